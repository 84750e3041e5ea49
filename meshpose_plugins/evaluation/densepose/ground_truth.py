"""The annotated people of a DensePose-COCO style file, as its evaluation sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from meshpose_plugins.data.coco import checked_id, checked_number, images_by_id, person_ids, read_json
from meshpose_plugins.data.densepose import POINT_FIELDS, UNNAMED_SURFACE, parse_bbox
from meshpose_plugins.data.masks import MASK_GRID, NUM_MASKS
from meshpose_plugins.data.rle import decode_mask
from meshpose_plugins.evaluation.densepose.problems import Problems
from meshpose_plugins.evaluation.densepose.similarity import WindowMask, resize_mask
from meshpose_plugins.templates.parts import NUM_PARTS

#: A person is left out when this share of its box lies in ignore regions (PoseTrack).
IGNORED_BOX_SHARE = 0.7
#: Longest side of a box in px: a typing error must not ask for gigabytes.
LARGEST_BOX = 16384


@dataclass
class AnnotatedPerson:
    """One annotated person.

    Attributes:
        annotation_id, image_id: as in the file.
        box: (4,) float64 x, y, width, height in image px.
        area: px.
        crowd: whether the annotation covers a crowd.
        points: dp_x, dp_y, dp_I, dp_U, dp_V (P,) float64 each, or None: the person is then ignored.
        dp_masks: 14 part masks, or None.
        segmentation: COCO polygons, run-length mask, or None.
    """

    annotation_id: int | str
    image_id: int | str
    box: np.ndarray
    area: float
    crowd: bool
    points: tuple[np.ndarray, ...] | None
    dp_masks: list | None
    segmentation: Any

    @property
    def ignored(self) -> bool:
        """Whether the person does not count: a crowd, or one without points."""
        return self.crowd or self.points is None

    def mask(self, height: int, width: int) -> WindowMask:
        """The person's mask in its image: its part masks, else its segmentation, else empty."""
        if self.dp_masks is not None:
            painted = np.zeros((MASK_GRID, MASK_GRID), np.uint8)
            for part in self.dp_masks:
                if part:
                    painted |= decode_mask(part)
            resized = resize_mask(painted, self.box[2], self.box[3])
            return WindowMask.paste(resized, self.box, height, width)
        return WindowMask(0, 0, segmentation_pixels(self.segmentation, height, width))


@dataclass
class AnnotatedImage:
    """One image of the file.

    Attributes:
        image_id, file_name: as in the file.
        height, width: px.
        people: in the order of the file.
        ignore_region: (height, width) bool made when called, or None.
    """

    image_id: int | str
    file_name: str
    height: int
    width: int
    people: list[AnnotatedPerson] = field(default_factory=list)
    ignore_region: Callable[[], np.ndarray] | None = None


def segmentation_pixels(segmentation: Any, height: int, width: int) -> np.ndarray:
    """The (height, width) bool mask of a segmentation, with the pixels that the COCO tools give it."""
    if not segmentation:
        return np.zeros((0, 0), bool)
    if isinstance(segmentation, dict):
        mask = decode_mask(segmentation)
        if mask.shape != (height, width):
            raise ValueError(f'segmentation is {mask.shape}, the image {(height, width)}')
        return mask > 0
    polygons = [[float(value) for value in polygon] for polygon in segmentation]
    if any(len(polygon) < 6 or len(polygon) % 2 for polygon in polygons):
        raise ValueError('a polygon of the segmentation needs an even number (6 or more) of values')
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))) > 0


class GroundTruth:
    """All images and people of a file.

    Args:
        annotations: path of a DensePose-COCO style JSON, or its content.
        problems: takes what is wrong with single annotations.

    Attributes:
        images: by id, sorted: the order that decides between equal scores in the public evaluation.
        surface: name of the surface whose charts the points are in; 'smpl' where the file names none.
        left_out: annotations of other categories than person.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file, or an image has no size.
    """

    def __init__(self, annotations: str | Path | dict, problems: Problems) -> None:
        given = isinstance(annotations, dict)
        content = annotations if given else read_json(annotations)
        self.path = 'annotations' if given else str(annotations)
        self.surface = (content.get('info') or {}).get('densepose_surface') or UNNAMED_SURFACE
        self.left_out = 0
        self.images = self._read_images(content)
        self._read_people(content, problems)
        for image in self.images.values():
            self._drop_in_ignore_region(image)

    @property
    def people(self) -> dict[tuple, AnnotatedPerson]:
        """(image id, annotation id) -> person."""
        return {(p.image_id, p.annotation_id): p for image in self.images.values() for p in image.people}

    def _read_images(self, content: dict) -> dict[Any, AnnotatedImage]:
        images = {}
        found = images_by_id(content, self.path)
        for image_id in sorted(found, key=lambda value: (isinstance(value, str), value)):
            where = f'{self.path}: image {image_id!r}'
            size = [checked_number(found[image_id], name, where) for name in ('height', 'width')]
            if not all(size):
                raise ValueError(f'{where}: height and width must be given, got {size}')
            height, width = (int(value) for value in size)
            region = _ignore_region(found[image_id], height, width, where)
            name = found[image_id]['file_name']
            images[image_id] = AnnotatedImage(image_id, name, height, width, ignore_region=region)
        return images

    def _read_people(self, content: dict, problems: Problems) -> None:
        people = person_ids(content, self.path)
        seen: set = set()
        for position, annotation in enumerate(content['annotations']):
            where = f'annotations[{position}]'
            try:
                if not isinstance(annotation, dict):
                    raise ValueError(f'{where}: expected an object, got {type(annotation).__name__}')
                identity = checked_id(annotation, 'id', where)
                where = f'annotation {identity!r}'
                if annotation.get('category_id') is not None:
                    if checked_id(annotation, 'category_id', where) not in people:
                        self.left_out += 1
                        continue
                image = self.images.get(checked_id(annotation, 'image_id', where))
                if image is None:
                    problems.add(
                        'annotation of an unknown image', f"{where}: image_id {annotation['image_id']!r}"
                    )
                    continue
                if identity in seen:
                    problems.add('annotation with an id that appears twice', where)
                    continue
                person = _parse_person(annotation, identity, image, where, problems)
            except ValueError as error:
                problems.add('broken annotation, left out', str(error))
                continue
            seen.add(identity)
            image.people.append(person)

    def _drop_in_ignore_region(self, image: AnnotatedImage) -> None:
        """Leave out the people that lie in ignore regions by :data:`IGNORED_BOX_SHARE` or more."""
        if image.ignore_region is None or not image.people:
            return
        region = image.ignore_region()
        image.people = [p for p in image.people if _share_in(region, p.box) < IGNORED_BOX_SHARE]


def _parse_person(
    annotation: dict, identity: int | str, image: AnnotatedImage, where: str, problems: Problems
) -> AnnotatedPerson:
    box = parse_bbox(annotation, where)
    if not ((box[2:] > 0) & (box[2:] <= LARGEST_BOX)).all():
        raise ValueError(f'{where}: bbox must have sides of 0 to {LARGEST_BOX} px, got {box.tolist()}')
    area = checked_number(annotation, 'area', where)
    person = AnnotatedPerson(
        identity,
        image.image_id,
        box,
        float(box[2] * box[3]) if area is None else area,
        bool(annotation.get('iscrowd')),
        None,
        annotation.get('dp_masks'),
        annotation.get('segmentation'),
    )
    try:
        person.points = _parse_points(annotation)
        _check_masks(person, image)
    except (TypeError, ValueError) as error:
        problems.add('annotation with broken points or masks, person ignored', f'{where}: {error}')
        person.points, person.dp_masks, person.segmentation = None, None, None
    return person


def _parse_points(annotation: dict) -> tuple[np.ndarray, ...] | None:
    """The five lists of points; None for a person without points."""
    present = [name for name in POINT_FIELDS if annotation.get(name) is not None]
    if not present:
        return None
    missing = [name for name in POINT_FIELDS if name not in present]
    if missing:
        raise ValueError(f'{missing[0]} is missing though {present[0]} is there')
    points = tuple(np.asarray(annotation[name], np.float64).ravel() for name in POINT_FIELDS)
    if len({len(values) for values in points}) != 1:
        raise ValueError(f'point fields differ in length: {[len(values) for values in points]}')
    for name, values in zip(POINT_FIELDS, points):
        if not np.isfinite(values).all():
            raise ValueError(f'{name} has {int((~np.isfinite(values)).sum())} values that are not finite')
    parts = points[2]
    if len(parts) and (parts.min() < 0 or parts.max() > NUM_PARTS):
        raise ValueError(f'dp_I must be 0 to {NUM_PARTS}, got {parts.min():g} to {parts.max():g}')
    return points


def _check_masks(person: AnnotatedPerson, image: AnnotatedImage) -> None:
    """Raise ValueError unless the masks can be read and have the right sizes."""
    if person.dp_masks is not None:
        if not isinstance(person.dp_masks, list) or len(person.dp_masks) != NUM_MASKS:
            raise ValueError(f'dp_masks must be a list of {NUM_MASKS} masks')
        for number, part in enumerate(person.dp_masks, 1):
            if part and decode_mask(part).shape != (MASK_GRID, MASK_GRID):
                raise ValueError(f"dp_masks: mask {number} is {part['size']}, not {MASK_GRID} x {MASK_GRID}")
    elif person.segmentation is not None:
        segmentation_pixels(person.segmentation, image.height, image.width)


def _ignore_region(image: dict, height: int, width: int, where: str) -> Callable[[], np.ndarray] | None:
    """The pixels of an image's ignore regions, made when called; None without any."""
    columns, rows = image.get('ignore_regions_x'), image.get('ignore_regions_y')
    if not columns:
        return None
    if not rows or len(columns) != len(rows) or any(len(x) != len(y) for x, y in zip(columns, rows)):
        raise ValueError(f'{where}: ignore_regions_x and ignore_regions_y differ in length')
    polygons = [np.stack([x, y], axis=1).ravel().tolist() for x, y in zip(columns, rows)]
    return lambda: segmentation_pixels(polygons, height, width)


def _share_in(region: np.ndarray, box: np.ndarray) -> float:
    """Which share of a box, its numbers truncated, lies in a region; 1 for a box without area."""
    x, y, width, height = (int(value) for value in box)
    if width * height == 0:
        return 1.0
    return float(region[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)].sum() / width / height)
