"""Errors over time: how far accelerations are off, and how much a sequence trembles.

Differences are taken between neighbouring frames, without smoothing:

* acceleration ``a_t = x_{t+1} - 2 x_t + x_{t-1}``; the acceleration error is the mean over frames and points
  of ``|a_t(predicted) - a_t(true)|``, in mm/frame^2. Source: A. Kanazawa et al., "Learning 3D human dynamics
  from video", CVPR 2019; papers since then print this number as mm/s^2.
* jitter: the mean length of the third difference, in mm/frame^3; times fps^3 it is the jitter (mean jerk) of
  X. Yi et al., "TransPose", SIGGRAPH 2021, and of WHAM (which prints it in units of 10 m/s^3).
"""

from __future__ import annotations

import numpy as np


def differences(
    points: np.ndarray,  # (T, ..., 3)
    order: int,
    frames: np.ndarray | None = None,  # (T,)
) -> np.ndarray:
    """Differences of an order between neighbouring frames.

    Args:
        points: positions of each frame, in the order of time.
        order: 2 for accelerations, 3 for jerks.
        frames: whole frame numbers, rising; differences that span a gap (a step larger than the smallest one)
            are left out. No gaps if not given.

    Returns:
        (T', ..., 3), T' at most T - order.

    Raises:
        ValueError: frame numbers that do not rise, or are not as many as frames.
    """
    points = np.asarray(points, np.float64)
    regular = regular_windows(len(points), order, frames)
    return np.diff(points, n=order, axis=0)[regular] if len(regular) else np.zeros((0, *points.shape[1:]))


def regular_windows(length: int, order: int, frames: np.ndarray | None = None) -> np.ndarray:
    """Tell which of a sequence's differences of an order are there, and not across a gap.

    Args:
        length: T, the number of frames.
        order: of the difference, which takes order + 1 frames.
        frames: as in :func:`differences`.

    Returns:
        (max(T - order, 0),) bool.
    """
    steps = np.ones(max(length - 1, 0), np.int64)
    if frames is not None:
        frames = np.asarray(frames)
        if frames.shape != (length,):
            raise ValueError(f'frames must be ({length},), got {frames.shape}')
        steps = np.diff(frames)
        if (steps <= 0).any():
            first = int(np.argmax(steps <= 0))
            raise ValueError(f'frames must rise, got {frames[first]} before {frames[first + 1]}')
    if length <= order:
        return np.zeros(0, bool)
    return np.lib.stride_tricks.sliding_window_view(steps == steps.min(), order).all(-1)


def acceleration_error(predicted: np.ndarray, true: np.ndarray, frames: np.ndarray | None = None) -> float:
    """Mean length of the difference between predicted and true accelerations.

    Args:
        predicted: (T, N, 3) in mm.
        true: (T, N, 3) in mm.
        frames: as in :func:`differences`.

    Returns:
        mm/frame^2; NaN without three frames in a row.

    Raises:
        ValueError: the shapes differ, or a value is not finite.
    """
    predicted, true = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if predicted.shape != true.shape or predicted.ndim != 3 or predicted.shape[-1] != 3:
        raise ValueError(
            f'expected two arrays (T, N, 3) of one shape, got {predicted.shape} and {true.shape}'
        )
    # Differences are linear, so that one difference of the errors serves.
    return _mean_length(differences(predicted - true, 2, frames))


def jitter(points: np.ndarray, frames: np.ndarray | None = None) -> float:
    """Mean length of the third difference (jerk) of a sequence.

    Args:
        points: (T, N, 3) in mm.
        frames: as in :func:`differences`.

    Returns:
        mm/frame^3; NaN without four frames in a row.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 3 or points.shape[-1] != 3:
        raise ValueError(f'expected points (T, N, 3), got {points.shape}')
    return _mean_length(differences(points, 3, frames))


def per_second(value: float, order: int, fps: float) -> float:
    """Convert mm/frame^order to m/s^order at a frame rate.

    Raises:
        ValueError: a frame rate that is not positive.
    """
    if not fps > 0:
        raise ValueError(f'fps must be positive, got {fps}')
    return value * fps**order / 1000.0


def _mean_length(vectors: np.ndarray) -> float:
    if not np.isfinite(vectors).all():
        raise ValueError('positions must be finite')
    return float(np.linalg.norm(vectors, axis=-1).mean()) if len(vectors) else float('nan')
