"""The labels of one synthetic person: DensePose points and masks, boxes, keypoints, visible vertices."""

from __future__ import annotations

import cv2
import numpy as np

from meshpose_plugins.data.densepose import BOX_GRID
from meshpose_plugins.data.masks import MASK_GRID, NUM_MASKS
from meshpose_plugins.data.rle import encode_labels, encode_mask
from meshpose_plugins.rendering import Raster, render_iuv
from meshpose_plugins.templates import BodySurface
from meshpose_plugins.templates.parts import MASK_PARTS, NUM_PARTS

#: DensePose-COCO has up to 14 points per visible part, about 100 per person.
POINTS_PER_PART = 14
POINTS_PER_PERSON = 105
_MASK_OF_PART = np.array((0,) + tuple(MASK_PARTS), np.uint8)


def mask_box(mask: np.ndarray) -> np.ndarray | None:
    """Return (x, y, width, height) of a mask's pixels as COCO counts them, or None if it is empty."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if not len(columns):
        return None
    return np.array([columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1], np.float64)


def sample_points(rng: np.random.Generator, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Choose the annotated pixels, more on larger parts but never more than 14 on one, about 100 in all.

    Args:
        parts: (H, W) uint8 part of each pixel, 0 where there is no visible body.

    Returns:
        Rows and columns of the chosen pixels, in order of part.
    """
    flat = parts.ravel()
    pixels = np.flatnonzero(flat)
    pixels = pixels[np.argsort(flat[pixels], kind='stable')]
    counts = np.bincount(flat[pixels], minlength=NUM_PARTS + 1)
    weights = np.sqrt(counts)
    quota = np.clip(np.round(POINTS_PER_PERSON * weights / weights.sum()), 1, POINTS_PER_PART)
    quota = np.minimum(quota, counts).astype(np.int64)
    # One random pixel of each of a part's equal strata, which follow the rows: distinct and spread out.
    stratum = np.arange(quota.sum()) - np.repeat(np.cumsum(quota) - quota, quota)
    place = (stratum + rng.random(len(stratum))) / np.repeat(quota, quota) * np.repeat(counts, quota)
    starts = np.cumsum(counts) - counts
    chosen = pixels[
        np.repeat(starts, quota) + np.minimum(place.astype(np.int64), np.repeat(counts, quota) - 1)
    ]
    return np.divmod(chosen, parts.shape[1])


def densepose_fields(rng: np.random.Generator, raster: Raster, parts: np.ndarray, surface: BodySurface,
                     box: np.ndarray) -> dict:
    """Return dp_x, dp_y, dp_I, dp_U, dp_V.

    Args:
        raster: what the pixels see of the body.
        parts: (H, W) part of each pixel that may be annotated, 0 elsewhere.
        surface: the body's charts.
        box: (4,) the annotation's box.
    """
    rows, columns = sample_points(rng, parts)
    chosen = Raster(
        *(values[rows, columns][None] for values in (raster.face_ids, raster.barycentrics, raster.depth))
    )
    iuv = render_iuv(chosen, surface.face_parts, surface.face_uv)[0].astype(np.float64)
    return {'dp_x': _grid_values(columns - box[0], box[2]), 'dp_y': _grid_values(rows - box[1], box[3]),
            'dp_I': iuv[:, 0].astype(int).tolist(),
            'dp_U': np.round(iuv[:, 1], 5).tolist(), 'dp_V': np.round(iuv[:, 2], 5).tolist()}


def _grid_values(offsets: np.ndarray, extent: float) -> list[float]:
    """Whole pixels from the box's corner on its 0..255 grid, rounded up: the public evaluation cuts the pixel's
    fraction off again, and must not land on the one before."""
    return (np.ceil(offsets / extent * BOX_GRID * 1000 + 1e-6) / 1000).tolist()


def part_masks(parts: np.ndarray, box: np.ndarray) -> list:
    """Return the 14 dp_masks (256 x 256, relative to the box) of a (H, W) image of parts."""
    x, y, width, height = (int(value) for value in box)
    crop = _MASK_OF_PART[parts[y:y + height, x:x + width]]
    return encode_labels(cv2.resize(crop, (MASK_GRID, MASK_GRID), interpolation=cv2.INTER_NEAREST), NUM_MASKS)


def unhidden(xy: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Say which of the places xy (V, 2), image px, lie in no pixel of ``hidden`` (H, W) bool."""
    height, width = hidden.shape
    column = np.clip(np.round(xy[:, 0]), 0, width - 1).astype(np.int64)
    row = np.clip(np.round(xy[:, 1]), 0, height - 1).astype(np.int64)
    return ~hidden[row, column]


def keypoint_labels(xy: np.ndarray, depth: np.ndarray, radii: np.ndarray, surface: np.ndarray,
                    person: np.ndarray) -> list[float]:
    """Return COCO's keypoint list: x, y, and 2 (visible), 1 (in the image but hidden) or 0 (outside, zeros).

    Args:
        xy: (17, 2) image px.
        depth: (17,) metres.
        radii: (17,) metres by which each keypoint lies below the skin.
        surface: (H, W) depth of the nearest surface.
        person: (H, W) bool, the person's visible pixels.
    """
    height, width = person.shape
    inside = (xy > -0.5).all(1) & (xy[:, 0] < width - 0.5) & (xy[:, 1] < height - 0.5)
    column = np.clip(np.round(xy[:, 0]), 0, width - 1).astype(np.int64)
    row = np.clip(np.round(xy[:, 1]), 0, height - 1).astype(np.int64)
    seen = person[row, column] & (depth - surface[row, column] < 2 * radii + 0.04)
    values = np.zeros((len(xy), 3))
    values[inside, :2] = np.round(xy[inside], 2)
    values[inside, 2] = np.where(seen[inside], 2, 1)
    return values.ravel().tolist()


def annotation_of(index: int, box: np.ndarray, person: np.ndarray, keypoints: list[float]) -> dict:
    """Return the COCO fields of one person; image and annotation ids are ``index + 1``."""
    return {'id': index + 1, 'image_id': index + 1, 'category_id': 1, 'iscrowd': 0, 'bbox': box.tolist(),
            'area': int(person.sum()), 'segmentation': encode_mask(person), 'keypoints': keypoints,
            'num_keypoints': int(sum(v > 0 for v in keypoints[2::3]))}
