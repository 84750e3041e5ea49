"""COCO's run-length masks: read every form, write the compressed one, with the same bytes as the COCO tools.

Runs count pixels in column-major order, beginning with zeros. The compressed form writes each run (from the
third on as the difference to the run two before) in groups of five bits, low group first, with a continuation
bit, plus 48.
Source: the published COCO annotation format.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def _label_runs(labels: np.ndarray, count: int, runs: np.ndarray, sizes: np.ndarray) -> None:
    """Fill ``runs[l - 1, :sizes[l - 1]]`` for each label l of ``labels`` (H, W), column by column."""
    height, width = labels.shape
    last = np.zeros(count, np.int64)
    previous = np.int64(0)
    position = 0
    for x in range(width):
        for y in range(height):
            label = np.int64(labels[y, x])
            if label != previous:
                for changed in (previous, label):
                    if changed > 0:
                        m = changed - 1
                        runs[m, sizes[m]] = position - last[m]
                        sizes[m] += 1
                        last[m] = position
                previous = label
            position += 1
    for m in range(count):
        if sizes[m] > 0:
            runs[m, sizes[m]] = position - last[m]
            sizes[m] += 1


@njit(cache=True)
def _compress(runs: np.ndarray, out: np.ndarray) -> int:
    """Write the compressed bytes of ``runs`` (R,) to ``out`` and return their number."""
    used = 0
    for i in range(len(runs)):
        value = runs[i] - runs[i - 2] if i > 2 else runs[i]
        more = True
        while more:
            group = value & 0x1f
            value >>= 5
            more = value != -1 if group & 0x10 else value != 0
            out[used] = (group | 0x20 if more else group) + 48
            used += 1
    return used


@njit(cache=True)
def _decompress(data: np.ndarray, runs: np.ndarray) -> int:
    """Read the runs of compressed ``data`` (bytes) to ``runs``; return their number, -1 for broken data."""
    count = 0
    position = 0
    while position < len(data):
        value = 0
        shift = 0
        more = True
        while more:
            if position >= len(data) or shift > 55:
                return -1
            group = np.int64(data[position]) - 48
            if group < 0 or group > 63:
                return -1
            value |= (group & 0x1f) << shift
            more = (group & 0x20) != 0
            position += 1
            shift += 5
            if not more and group & 0x10:
                value |= np.int64(-1) << shift
        if count > 2:
            value += runs[count - 2]
        runs[count] = value
        count += 1
    return count


def encode_labels(labels: np.ndarray, count: int) -> list[dict | list]:
    """Encode each label of a label image as a mask.

    Args:
        labels: (H, W) integers, 0 for background and 1..count.
        count: number of labels.

    Returns:
        ``count`` entries, ``{'size': [H, W], 'counts': str}`` or ``[]`` where a label is absent.
    """
    if labels.ndim != 2:
        raise ValueError(f'labels must be (H, W), got {labels.shape}')
    labels = np.ascontiguousarray(labels, dtype=np.uint8)
    # A column-major pass changes label at most once per pixel, so these are never too small.
    runs = np.empty((count, labels.size + 2), np.int64)
    sizes = np.zeros(count, np.int64)
    if labels.size and labels.max() > count:
        raise ValueError(f'labels must be 0..{count}, got {labels.max()}')
    _label_runs(labels, count, runs, sizes)
    out = np.empty(int(sizes.max(initial=0)) * 13 + 16, np.uint8)
    masks: list[dict | list] = []
    for label in range(count):
        if sizes[label] == 0:
            masks.append([])
            continue
        used = _compress(runs[label, :sizes[label]], out)
        masks.append({'size': [int(n) for n in labels.shape], 'counts': out[:used].tobytes().decode('ascii')})
    return masks


def encode_mask(mask: np.ndarray) -> dict:
    """Encode one (H, W) mask (non-zero is inside) as ``{'size': [H, W], 'counts': str}``."""
    encoded = encode_labels((np.asarray(mask) != 0).astype(np.uint8), 1)[0]
    if isinstance(encoded, dict):
        return encoded
    runs = np.array([np.asarray(mask).size], np.int64)
    out = np.empty(16, np.uint8)
    return {
        'size': [int(n) for n in np.shape(mask)],
        'counts': out[: _compress(runs, out)].tobytes().decode('ascii'),
    }


def mask_runs(rle: dict) -> tuple[np.ndarray, tuple[int, int]]:
    """Read and check a mask given as compressed (str, bytes) or plain (list) counts, without drawing it.

    Args:
        rle: ``{'size': [H, W], 'counts': ...}``.

    Returns:
        runs (R,) int64, beginning with zeros, and (H, W).

    Raises:
        ValueError: the fields are missing, or the runs do not fill the size.
    """
    if not isinstance(rle, dict) or 'size' not in rle or 'counts' not in rle:
        raise ValueError(f"a run-length mask needs 'size' and 'counts', got {str(rle)[:80]}")
    try:
        height, width = (int(n) for n in rle['size'])
    except (TypeError, ValueError):
        raise ValueError(f"a run-length mask's size must be [height, width], got {rle['size']!r}") from None
    counts = rle['counts']
    if isinstance(counts, (str, bytes)):
        data = np.frombuffer(
            counts.encode('latin-1', 'replace') if isinstance(counts, str) else counts, np.uint8
        )
        runs = np.empty(len(data) + 1, np.int64)
        used = _decompress(data, runs)
        runs = runs[:max(used, 0)]
    else:
        try:
            runs = np.asarray(counts, np.int64).reshape(-1)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(
                f'run-length mask: counts must be numbers or text, got {str(counts)[:80]}'
            ) from None
    if height <= 0 or width <= 0 or (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(
            f'run-length mask: runs sum to {int(runs.sum())}, size {height} x {width} needs {height * width}'
        )
    return runs, (height, width)


def decode_mask(rle: dict) -> np.ndarray:
    """Decode a mask given as compressed (str, bytes) or plain (list) counts.

    Args:
        rle: ``{'size': [H, W], 'counts': ...}``.

    Returns:
        (H, W) uint8, 0 or 1.

    Raises:
        ValueError: the fields are missing, or the runs do not fill the size.
    """
    runs, (height, width) = mask_runs(rle)
    values = np.zeros(len(runs), np.uint8)
    values[1::2] = 1
    return np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)
