"""Person masks in image pixels from COCO segmentations, and the size of DensePose's part masks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from meshpose_plugins.data.rle import decode_mask, mask_runs

#: Side of the box-relative grid on which dp_masks are drawn, and their number.
MASK_GRID = 256
NUM_MASKS = 14


def check_segmentation(segmentation: Any, height: int, width: int, where: str = 'annotation') -> list | None:
    """Check a COCO segmentation without drawing it.

    Args:
        segmentation: polygons or a run-length mask.
        height, width: of the image in px; 0 where they are not known.
        where: what error messages call it.

    Returns:
        the polygons as arrays (K, 2), or None for a run-length mask.

    Raises:
        ValueError: neither form, a broken one, or a mask of another size than the image.
    """
    if isinstance(segmentation, dict):
        try:
            shape = mask_runs(segmentation)[1]
        except ValueError as error:
            raise ValueError(f'{where}: segmentation: {error}') from None
        if height > 0 and width > 0 and shape != (height, width):
            raise ValueError(f'{where}: segmentation is {shape}, the image {(height, width)}')
        return None
    if not isinstance(segmentation, (list, tuple)):
        raise ValueError(
            f'{where}: segmentation must be polygons or a run-length mask, got {str(segmentation)[:80]}'
        )
    return [_corners(polygon, where) for polygon in segmentation]


def _corners(polygon: Any, where: str) -> np.ndarray:
    try:
        corners = np.asarray(polygon, np.float64)
    except (TypeError, ValueError):
        corners = np.zeros(0)
    if corners.ndim != 1 or corners.size < 6 or corners.size % 2 or not np.isfinite(corners).all():
        raise ValueError(
            f'{where}: segmentation: a polygon needs an even number (6 or more) of values, '
            f'got {str(polygon)[:80]}'
        )
    return corners.reshape(-1, 2)


def segmentation_mask(segmentation: Any, height: int, width: int, where: str = 'annotation') -> np.ndarray:
    """Return the (height, width) uint8 mask of a COCO segmentation: a run-length mask or a list of polygons.

    Raises:
        ValueError: neither form, or one of another image size.
    """
    polygons = check_segmentation(segmentation, height, width, where)
    if polygons is None:
        return decode_mask(segmentation)
    mask = np.zeros((height, width), np.uint8)
    for corners in polygons:
        cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
    return mask
