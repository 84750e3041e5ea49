"""Whose pixels are whose: the mask of one person, and the regions about which it says nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from meshpose_plugins.data.masks import MASK_GRID, segmentation_mask
from meshpose_plugins.data.rle import decode_mask

if TYPE_CHECKING:
    from meshpose_plugins.data.person import PersonRecord


def person_mask(
    segmentation: Any,
    dp_masks: Sequence | None,
    box: Sequence[float] | None,
    height: int,
    width: int,
    where: str = 'annotation',
) -> np.ndarray | None:
    """Return the (height, width) uint8 mask of a person, from its segmentation or else its part masks.

    Args:
        segmentation: COCO polygons or run-length mask, or None.
        dp_masks: the 14 box-relative run-length masks of DensePose, or None.
        box: x, y, width, height to which dp_masks are relative, px.
        height, width: of the image, px.
        where: what error messages call the annotation.

    Returns:
        the mask, or None where there is neither.

    Raises:
        ValueError: a mask is broken.
    """
    if segmentation is not None and len(segmentation):
        return segmentation_mask(segmentation, height, width, where)
    if dp_masks and box is not None and any(isinstance(mask, dict) for mask in dp_masks):
        return part_union(dp_masks, box, height, width, where)
    return None


def part_union(
    dp_masks: Sequence, box: Sequence[float], height: int, width: int, where: str = 'annotation'
) -> np.ndarray:
    """Return the (height, width) uint8 union of DensePose's part masks; see :func:`person_mask`.

    As the public DensePose evaluation does it: drawn on 256 x 256, resized to the box linearly, cut at 0.5
    and put at the truncated corner of the box.
    """
    union = np.zeros((MASK_GRID, MASK_GRID), np.float32)
    for number, mask in enumerate(dp_masks):
        if not isinstance(mask, dict):  # a part that is not seen
            continue
        part = decode_mask(mask)
        if part.shape != union.shape:
            raise ValueError(f'{where}: dp_masks[{number}] is {part.shape}, must be {union.shape}')
        np.maximum(union, part, out=union)
    x, y, w, h = (int(value) for value in box)
    person = np.zeros((height, width), np.uint8)
    if w <= 0 or h <= 0:
        return person
    in_box = (cv2.resize(union, (w, h), interpolation=cv2.INTER_LINEAR) > 0.5).astype(np.uint8)
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    if left < right and top < bottom:
        person[top:bottom, left:right] = in_box[top - y : bottom - y, left - x : right - x]
    return person


def ignored_mask(
    others: Iterable | None,
    regions: Sequence | None,
    height: int,
    width: int,
    where: str = 'annotation',
) -> np.ndarray:
    """Return the (height, width) uint8 union of other people's segmentations and of regions (polygons)."""
    ignored = np.zeros((height, width), np.uint8)
    for silhouette in others or ():
        ignored |= segmentation_mask(silhouette, height, width, f'someone beside {where}')
    if regions is not None and len(regions):
        ignored |= segmentation_mask(list(regions), height, width, f'ignored regions of {where}')
    return ignored


def silhouettes_by_image(records: Iterable[PersonRecord]) -> dict[Any, list[tuple]]:
    """Collect the segmentations, crowds included, of images with several people.

    Returns:
        image id -> (annotation id, segmentation), polygons as small arrays.
    """
    found = defaultdict(list)
    for record in records:
        if record.segmentation is not None and len(record.segmentation):
            silhouette = record.segmentation
            if not isinstance(silhouette, dict):
                silhouette = [np.asarray(polygon, np.float32) for polygon in silhouette]
            found[record.image_id].append((record.annotation_id, silhouette))
    return {image: silhouettes for image, silhouettes in found.items() if len(silhouettes) > 1}
