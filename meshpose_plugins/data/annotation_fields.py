"""The fields of one COCO or DensePose-COCO annotation, checked, in image pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meshpose_plugins.data.masks import MASK_GRID, NUM_MASKS, check_segmentation
from meshpose_plugins.data.records import SurfacePoints
from meshpose_plugins.data.rle import mask_runs

if TYPE_CHECKING:
    from meshpose_plugins.templates import MeshTemplate

#: dp_x and dp_y run from 0 at the box's left (top) to this at its right (bottom).
BOX_GRID = 255.0
POINT_FIELDS = ('dp_x', 'dp_y', 'dp_I', 'dp_U', 'dp_V')
NUM_KEYPOINTS = 17
_LOCATE_CHUNK = 200_000


@dataclass
class DensePosePoints:
    """The usable DensePose points of one annotation, before they are located on a template.

    Args:
        xy: (P, 2) float64 image px.
        i: (P,) int64 chart 1..24.
        u, v: (P,) float64 chart coordinates in [0, 1].
    """

    xy: np.ndarray
    i: np.ndarray
    u: np.ndarray
    v: np.ndarray

    def __len__(self) -> int:
        return len(self.xy)


def _numbers(annotation: dict, name: str, where: str, size: int | None = None) -> np.ndarray:
    """Return a field as a flat float64 array, or say what is wrong with it."""
    value = annotation.get(name)
    try:
        if not isinstance(value, (list, tuple, np.ndarray)):
            raise TypeError
        numbers = np.asarray(value, dtype=np.float64)
        if numbers.ndim != 1 or (size is not None and numbers.size != size):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        need = 'a list of numbers' if size is None else f'a list of {size} numbers'
        raise ValueError(f'{where}: {name} must be {need}, got {str(value)[:80]}') from None
    return numbers


def parse_bbox(annotation: dict, where: str = 'annotation') -> np.ndarray:
    """Return the box (x, y, width, height) of an annotation in image px.

    Raises:
        ValueError: it is missing, has not four numbers, or a value is not finite.
    """
    bbox = _numbers(annotation, 'bbox', where, 4)
    if not np.isfinite(bbox).all():
        raise ValueError(f'{where}: bbox must be finite, got {bbox.tolist()}')
    return bbox


def parse_keypoints(
    annotation: dict, where: str = 'annotation', order: Sequence[int] | None = None
) -> np.ndarray | None:
    """Return the keypoints (17, 3) float32 (x, y in image px, visibility 0, 1, 2), or None without any.

    Args:
        annotation: a COCO annotation.
        where: what error messages call it.
        order: for files with other keypoints than COCO's, the place of each of the 17 in the file's list, -1
            for one that it lacks; see :func:`meshpose_plugins.data.coco.keypoint_order`.

    Raises:
        ValueError: there are not 3 numbers per keypoint, or a value is not finite.
    """
    if annotation.get('keypoints') is None:
        return None
    count = NUM_KEYPOINTS if order is None else None
    keypoints = _numbers(annotation, 'keypoints', where, None if count is None else count * 3)
    if order is not None:
        if len(keypoints) % 3 or len(keypoints) <= 3 * max(order):
            raise ValueError(
                f"{where}: keypoints must be 3 numbers for each of the category's keypoints, got "
                f'{len(keypoints)} numbers'
            )
        # The last row stands for those that the file lacks.
        keypoints = np.vstack([keypoints.reshape(-1, 3), np.zeros(3)])[list(order)]
    keypoints = keypoints.reshape(-1, 3)
    if not np.isfinite(keypoints).all():
        wrong = keypoints[~np.isfinite(keypoints)][0]
        raise ValueError(f'{where}: keypoints must be finite, got {wrong}')
    return keypoints.astype(np.float32)


def checked_part_masks(annotation: dict, where: str, dropped: Counter, problems: list[str]) -> list | None:
    """Return the 14 ``dp_masks`` of an annotation, or None where they are absent or broken.

    Args:
        annotation: an annotation; each mask is [] or a run-length mask of 256 x 256.
        where: what the problems call it.
        dropped, problems: where broken masks are counted and named.
    """
    masks = annotation.get('dp_masks')
    if not masks:
        return None
    try:
        if not isinstance(masks, list) or len(masks) != NUM_MASKS:
            raise ValueError(f'dp_masks must be {NUM_MASKS} masks, got {str(masks)[:80]}')
        for number, mask in enumerate(masks):
            _check_part_mask(mask, number)
    except ValueError as error:
        dropped['mask: broken dp_masks'] += 1
        problems.append(f'{where}: {error}')
        return None
    return masks


def _check_part_mask(mask: Any, number: int) -> None:
    """Raise a ValueError unless one of the ``dp_masks`` is empty or a run-length mask of 256 x 256."""
    if not mask:
        return
    try:
        size = tuple(mask_runs(mask)[1])
    except ValueError as error:
        raise ValueError(f'dp_masks[{number}]: {error}') from None
    if size != (MASK_GRID, MASK_GRID):
        raise ValueError(f'dp_masks[{number}] must be {MASK_GRID} x {MASK_GRID}, got {list(size)}')


def checked_segmentation(
    annotation: dict, size: tuple[int, int], where: str, dropped: Counter, problems: list[str]
) -> Any:
    """Return the ``segmentation`` of an annotation, or None where it is absent or broken.

    Args:
        annotation: an annotation with polygons or a run-length mask of its image's size.
        size: (width, height) of the image in px, (0, 0) where the file does not say.
        where, dropped, problems: as in :func:`checked_part_masks`.
    """
    segmentation = annotation.get('segmentation')
    if not segmentation:
        return None
    try:
        check_segmentation(segmentation, size[1], size[0], where)
    except ValueError as error:
        dropped['mask: broken segmentation'] += 1
        problems.append(str(error))
        return None
    return segmentation


def parse_points(annotation: dict, where: str = 'annotation', dropped: Counter | None = None,
                 problems: list[str] | None = None) -> DensePosePoints | None:
    """Check the DensePose fields of one annotation and turn them into image pixels.

    Args:
        annotation: a COCO annotation with ``bbox`` and the five point fields.
        where: what error messages call it (file and annotation id).
        dropped: counts, by reason, of points left out; points with values that are not finite or out of range
            are.
        problems: where these are named, a line for each reason.

    Returns:
        The usable points, or None if the annotation has no DensePose fields.

    Raises:
        ValueError: some but not all fields are there, a field is no list of numbers, or their lengths differ.
    """
    present = [name for name in POINT_FIELDS if annotation.get(name) is not None]
    if not present:
        return None
    missing = [name for name in POINT_FIELDS if name not in present]
    if missing:
        raise ValueError(f'{where}: {missing[0]} is missing though {present[0]} is there')
    values = {name: _numbers(annotation, name, where) for name in POINT_FIELDS}
    lengths = {name: len(value) for name, value in values.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f'{where}: point fields differ in length: {lengths}')
    x, y, i, u, v = (values[name] for name in POINT_FIELDS)
    bbox = parse_bbox(annotation, where)

    dropped = Counter() if dropped is None else dropped
    keep = np.ones(len(x), bool)
    with np.errstate(invalid='ignore'):
        checks = [(name, np.isfinite(values[name]), 'is not finite') for name in POINT_FIELDS]
        checks += [(name, (values[name] >= 0) & (values[name] <= BOX_GRID), 'is outside 0..255')
                   for name in ('dp_x', 'dp_y')]
        checks += [('dp_I', (i >= 1) & (i <= 24) & (i == np.floor(i)), 'is no part 1..24')]
        checks += [
            (name, (values[name] >= 0) & (values[name] <= 1), 'is outside [0, 1]')
            for name in ('dp_U', 'dp_V')
        ]
    for name, good, reason in checks:
        bad = np.flatnonzero(keep & ~good)
        if len(bad):
            dropped[f'point: {name} {reason}'] += len(bad)
            keep &= good
            if problems is not None:
                problems.append(f'{where}: {name}[{bad[0]}] {reason}: {values[name][bad[0]]:g} '
                                f'({len(bad)} of {len(good)} points left out for this)')
    xy = np.stack([x, y], 1)[keep] / BOX_GRID * bbox[2:] + bbox[:2]
    return DensePosePoints(xy, i[keep].astype(np.int64), u[keep], v[keep])


def parse_surface_points(annotation: dict, template: MeshTemplate, where: str = 'annotation',
                         dropped: Counter | None = None) -> SurfacePoints | None:
    """Read the DensePose fields of one annotation as surface points of a template.

    Args:
        annotation: a COCO annotation with DensePose fields.
        template: the template whose ``locate_iuv`` finds each (I, U, V).
        where, dropped: as in :func:`parse_points`.

    Returns:
        The points in image px, or None if the annotation has no DensePose fields.
    """
    points = parse_points(annotation, where, dropped)
    return None if points is None else locate_points([points], template)[0]


def locate_points(points: list[DensePosePoints], template: MeshTemplate) -> list[SurfacePoints]:
    """Locate the points of many people on the template, in few large calls."""
    sizes = [len(p) for p in points]
    if sum(sizes) == 0:
        return [SurfacePoints.empty() for _ in points]
    i, u, v = (np.concatenate([getattr(p, name) for p in points]) for name in 'iuv')
    spans = [slice(start, start + _LOCATE_CHUNK) for start in range(0, len(i), _LOCATE_CHUNK)]
    located = [template.locate_iuv(i[span], u[span], v[span]) for span in spans]
    ends = np.cumsum(sizes)[:-1]
    vertex_ids = np.split(np.concatenate([ids for ids, _ in located]), ends)
    barycentrics = np.split(np.concatenate([weights for _, weights in located]), ends)
    return [SurfacePoints(p.xy, *place) for p, *place in zip(points, vertex_ids, barycentrics)]


