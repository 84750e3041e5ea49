"""Reading of DensePose-COCO style JSON: one plain record per annotated person.

Format: the published DensePose-COCO annotations (R. A. Guler, N. Neverova, I. Kokkinos, CVPR 2018): beside
COCO's fields each annotation may hold ``dp_x, dp_y`` (points relative to the box on a 0..255 grid), ``dp_I,
dp_U, dp_V`` (chart 1..24 and chart coordinates) and ``dp_masks`` (14 run-length masks of 256 x 256, relative
to the box).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meshpose_plugins.data.coco import (
    checked_id,
    checked_number,
    images_by_id,
    person_ids,
    read_json,
)
from meshpose_plugins.data.meshes import MeshLabels, load_meshes
from meshpose_plugins.data.records import SurfacePoints

if TYPE_CHECKING:
    from meshpose_plugins.templates import MeshTemplate

#: dp_x and dp_y run from 0 at the box's left (top) to this at its right (bottom).
BOX_GRID = 255.0
POINT_FIELDS = ('dp_x', 'dp_y', 'dp_I', 'dp_U', 'dp_V')
NUM_KEYPOINTS = 17
#: The surface of files that do not name one: the public DensePose data sets annotate SMPL.
UNNAMED_SURFACE = 'smpl'
_LOCATE_CHUNK = 200_000
#: What DensePoseCoco does about a broken annotation.
ON_ERROR = ('raise', 'skip')
#: So many skipped annotations are named in the log, the others are counted.
NAMED_PROBLEMS = 5


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


@dataclass
class PersonRecord:
    """One annotated person.

    Args:
        annotation_id, image_id: ids as in the file.
        file_name: the image's path as in the file.
        image_size: (width, height) px.
        bbox: (4,) float32 x, y, width, height in image px.
        area: px of the person's mask.
        iscrowd: whether the annotation covers a crowd.
        points: the located DensePose points in image px, or None where the annotation has none.
        keypoints: (17, 3) float32 x, y, visibility (0, 1, 2) in image px, or None.
        segmentation: COCO polygons or run-length mask, or None.
        dp_masks: the 14 box-relative run-length masks, or None.
        meshes, mesh_index: the file of meshes and the row of this person in it (None, -1 without).
    """

    annotation_id: int
    image_id: int
    file_name: str
    image_size: tuple[int, int]
    bbox: np.ndarray
    area: float = 0.0
    iscrowd: bool = False
    points: SurfacePoints | None = None
    keypoints: np.ndarray | None = None
    segmentation: Any = None
    dp_masks: list | None = None
    meshes: MeshLabels | None = field(default=None, repr=False)
    mesh_index: int = -1

    def _mesh(self, name: str) -> np.ndarray | None:
        if self.meshes is None or self.mesh_index < 0:
            return None
        return np.asarray(getattr(self.meshes, name)[self.mesh_index])

    @property
    def vertices_image(self) -> np.ndarray | None:
        """(V, 3) float32: x, y in image px, z relative to the root joint in image px; None without a mesh."""
        return self._mesh('vertices_image')

    @property
    def vertices_camera(self) -> np.ndarray | None:
        """(V, 3) float32 metres relative to the root joint (right, down, away); None without a mesh."""
        return self._mesh('vertices_camera')

    @property
    def vertex_visibility(self) -> np.ndarray | None:
        """(V,) uint8, 1 for a vertex that is in the image and unoccluded; None without a mesh."""
        return self._mesh('visibility')


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


def parse_keypoints(annotation: dict, where: str = 'annotation') -> np.ndarray | None:
    """Return the keypoints (17, 3) float32 (x, y in image px, visibility 0, 1, 2), or None without any.

    Raises:
        ValueError: they are not 51 numbers, or a value is not finite.
    """
    if annotation.get('keypoints') is None:
        return None
    keypoints = _numbers(annotation, 'keypoints', where, NUM_KEYPOINTS * 3).reshape(-1, 3)
    if not np.isfinite(keypoints).all():
        wrong = keypoints[~np.isfinite(keypoints)][0]
        raise ValueError(f'{where}: keypoints must be finite, got {wrong}')
    return keypoints.astype(np.float32)


def parse_points(annotation: dict, where: str = 'annotation',
                 dropped: Counter | None = None) -> DensePosePoints | None:
    """Check the DensePose fields of one annotation and turn them into image pixels.

    Args:
        annotation: a COCO annotation with ``bbox`` and the five point fields.
        where: what error messages call it (file and annotation id).
        dropped: counts, by reason, of points left out; points with values that are not finite or out of range
            are.

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
        bad = int((keep & ~good).sum())
        if bad:
            dropped[f'point: {name} {reason}'] += bad
            keep &= good
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


class DensePoseCoco:
    """The people of one DensePose-COCO style JSON file (and, where given, their meshes).

    Args:
        json_path: the annotation file.
        template: the template on which the points are located.
        meshes: path of an .npz of meshes (see :mod:`meshpose_plugins.data.meshes`), or None.
        surface: the surface of the file's charts, for files that do not name one in
            ``info.densepose_surface``; the public data sets' is 'smpl'.
        on_error: what a broken annotation does: 'raise' an error, or 'skip' it; skipped ones are counted in
            ``dropped`` and the first five named in the log.
        logger: the log for these; this module's when not given.

    Attributes:
        records: the people, in file order; annotations of other categories than 'person' are left out.
        dropped: how many points, people and annotations of other things were left out, by reason.
        problems: what is wrong with each annotation that was skipped, in file order.
        images: the file's images by id, also those without people.
        person_ids: ids of the category 'person'.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: broken structure (of a single annotation: unless it is skipped), charts (or meshes) of
            another surface than the template's, or an unknown ``on_error``.
    """

    def __init__(self, json_path: str | Path, template: MeshTemplate, meshes: str | Path | None = None,
                 surface: str | None = None, on_error: str = 'raise',
                 logger: logging.Logger | None = None) -> None:
        if on_error not in ON_ERROR:
            raise ValueError(f'on_error must be one of {ON_ERROR}, got {on_error!r}')
        self.path = Path(json_path)
        self.template = template
        self.on_error = on_error
        self.logger = logging.getLogger(__name__) if logger is None else logger
        self.dropped: Counter = Counter()
        self.problems: list[str] = []
        content = read_json(self.path)
        self.info = content.get('info') or {}
        self._check_surface(content['annotations'], surface)
        self.meshes = None if meshes is None else load_meshes(meshes, template)
        self.records = self._read(content)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> PersonRecord:
        return self.records[index]

    def __iter__(self) -> Iterator[PersonRecord]:
        return iter(self.records)

    def summary(self) -> str:
        """Return one line: how many people and points there are, and what was dropped and why."""
        points = sum(len(record.points) for record in self.records if record.points is not None)
        text = f'{self.path}: {len(self.records)} people, {points} points'
        reasons = [f'{count} x {reason}' for reason, count in sorted(self.dropped.items())]
        return text + (f'; dropped: {", ".join(reasons)}' if reasons else '')

    def _check_surface(self, annotations: list, surface: str | None) -> None:
        named = self.info.get('densepose_surface')
        if named is None and not any(isinstance(a, dict) and a.get('dp_I') is not None for a in annotations):
            return
        found = named or surface or UNNAMED_SURFACE
        if found != self.template.body:
            origin = 'info.densepose_surface is' if named else 'info.densepose_surface is missing, taken as'
            raise ValueError(
                f"{self.path}: {origin} '{found}', but template '{self.template.name}' lies on the surface "
                f"'{self.template.body}'; use a template of '{found}', or annotations of "
                f"'{self.template.body}'"
            )

    def _read(self, content: dict) -> list[PersonRecord]:
        images = self.images = images_by_id(content, self.path)
        people = self.person_ids = person_ids(content, self.path)
        records, raw = [], []
        for position, annotation in enumerate(content['annotations']):
            try:
                record, points = self._read_one(position, annotation, images, people)
            except ValueError as error:
                if self.on_error == 'raise':
                    raise
                self._skip(str(error))
                continue
            if record is not None:
                records.append(record)
                raw.append(points)
        with_points = [record for record, points in zip(records, raw) if points is not None]
        located = locate_points([points for points in raw if points is not None], self.template)
        for record, points in zip(with_points, located):
            record.points = points
        return records

    def _skip(self, problem: str) -> None:
        """Count a broken annotation, and name it in the log if it is one of the first."""
        self.problems.append(problem)
        self.dropped['person: broken annotation'] += 1
        if len(self.problems) <= NAMED_PROBLEMS:
            self.logger.warning('annotation dropped: %s', problem)

    def _read_one(self, position: int, annotation: dict, images: dict,
                  people: set) -> tuple[PersonRecord | None, DensePosePoints | None]:
        if not isinstance(annotation, dict) or 'id' not in annotation:
            raise ValueError(f"{self.path}: annotations[{position}]: 'id' is missing")
        identity = checked_id(annotation, 'id', f'{self.path}: annotations[{position}]')
        where = f'{self.path}: annotation {identity}'
        # A file of people alone may leave the category out.
        if annotation.get('category_id') is not None:
            if checked_id(annotation, 'category_id', where) not in people:
                self.dropped['annotation: of another category than person'] += 1
                return None, None
        image = images.get(checked_id(annotation, 'image_id', where))
        if image is None:
            raise ValueError(f"{where}: image_id {annotation['image_id']!r} is not among the file's images")
        size = [checked_number(image, name, f"{where}: image {image['id']}") for name in ('width', 'height')]
        bbox = parse_bbox(annotation, where)
        if (bbox[2:] <= 0).any():
            self.dropped['person: bbox has no area'] += 1
            return None, None
        record = PersonRecord(
            identity,
            image['id'],
            image['file_name'],
            (int(size[0] or 0), int(size[1] or 0)),
            bbox.astype(np.float32),
            checked_number(annotation, 'area', where) or float(bbox[2] * bbox[3]),
            bool(annotation.get('iscrowd')),
            keypoints=parse_keypoints(annotation, where),
            segmentation=annotation.get('segmentation'),
            dp_masks=annotation.get('dp_masks'),
            meshes=self.meshes,
            mesh_index=-1 if self.meshes is None else self.meshes.index.get(identity, -1),
        )
        return record, parse_points(annotation, where, self.dropped)
