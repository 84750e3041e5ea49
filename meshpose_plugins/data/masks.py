"""Person masks in image pixels from COCO segmentations and DensePose part masks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from meshpose_plugins.data.rle import decode_mask

#: Side of the box-relative grid on which dp_masks are drawn, and their number.
MASK_GRID = 256
NUM_MASKS = 14


def decode_part_masks(dp_masks: list, where: str = 'annotation') -> np.ndarray:
    """Paint the 14 part masks of an annotation in order.

    Args:
        dp_masks: 14 entries, each a 256 x 256 run-length mask or ``[]`` for an absent part.
        where: what error messages call the annotation.

    Returns:
        (256, 256) uint8, 0 for background, else 1..14.

    Raises:
        ValueError: the number of masks, or a mask, is wrong.
    """
    if not isinstance(dp_masks, (list, tuple)) or len(dp_masks) != NUM_MASKS:
        size = len(dp_masks) if isinstance(dp_masks, (list, tuple)) else type(dp_masks).__name__
        raise ValueError(f'{where}: dp_masks must be a list of {NUM_MASKS}, got {size}')
    labels = np.zeros((MASK_GRID, MASK_GRID), np.uint8)
    for position, rle in enumerate(dp_masks):
        if not rle:
            continue
        try:
            mask = decode_mask(rle)
        except ValueError as error:
            raise ValueError(f'{where}: dp_masks[{position}]: {error}') from None
        if mask.shape != labels.shape:
            raise ValueError(f'{where}: dp_masks[{position}] must be {labels.shape}, got {mask.shape}')
        labels[mask > 0] = position + 1
    return labels


def person_mask_from_parts(dp_masks: list, bbox: np.ndarray, height: int, width: int,
                           where: str = 'annotation') -> np.ndarray:
    """Return the (height, width) uint8 mask of a person from the box-relative part masks.

    As in the public DensePose evaluation: the union is resized to the box by linear interpolation, cut at 0.5
    and pasted at the truncated origin of the box.

    Args:
        dp_masks: as in :func:`decode_part_masks`.
        bbox: (4,) x, y, width, height in image px.
    """
    union = (decode_part_masks(dp_masks, where) > 0).astype(np.float32)
    box_x, box_y = int(bbox[0]), int(bbox[1])
    size = (max(int(bbox[2]), 1), max(int(bbox[3]), 1))
    resized = cv2.resize(union, size, interpolation=cv2.INTER_LINEAR) > 0.5
    mask = np.zeros((height, width), np.uint8)
    left, top = max(box_x, 0), max(box_y, 0)
    right, bottom = min(box_x + size[0], width), min(box_y + size[1], height)
    if left < right and top < bottom:
        mask[top:bottom, left:right] = resized[top - box_y:bottom - box_y, left - box_x:right - box_x]
    return mask


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
