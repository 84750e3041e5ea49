"""Person masks in image pixels from COCO segmentations, and the size of DensePose's part masks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from meshpose_plugins.data.rle import decode_mask

#: Side of the box-relative grid on which dp_masks are drawn, and their number.
MASK_GRID = 256
NUM_MASKS = 14


def segmentation_mask(segmentation: Any, height: int, width: int, where: str = 'annotation') -> np.ndarray:
    """Return the (height, width) uint8 mask of a COCO segmentation: a run-length mask or a list of polygons.

    Raises:
        ValueError: neither form, or one of another image size.
    """
    if isinstance(segmentation, dict):
        mask = decode_mask(segmentation)
        if mask.shape != (height, width):
            raise ValueError(f'{where}: segmentation is {mask.shape}, the image {(height, width)}')
        return mask
    if not isinstance(segmentation, (list, tuple)):
        raise ValueError(
            f'{where}: segmentation must be polygons or a run-length mask, got {str(segmentation)[:80]}'
        )
    mask = np.zeros((height, width), np.uint8)
    for polygon in segmentation:
        corners = np.asarray(polygon, np.float64)
        if corners.ndim != 1 or corners.size < 6 or corners.size % 2 or not np.isfinite(corners).all():
            raise ValueError(
                f'{where}: a polygon needs an even number (6 or more) of values, got {str(polygon)[:80]}'
            )
        cv2.fillPoly(mask, [np.round(corners.reshape(-1, 2)).astype(np.int32)], 1)
    return mask
