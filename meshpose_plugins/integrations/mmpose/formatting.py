"""The last pipeline step: labels into the fields of MMPose's ``PoseDataSample``."""

from __future__ import annotations

import numpy as np
from mmpose.datasets.transforms import PackPoseInputs
from mmpose.registry import TRANSFORMS

from meshpose_plugins.data.records import SurfacePoints


@TRANSFORMS.register_module()
class PackMeshPoseInputs(PackPoseInputs):
    """Pack one crop and its MeshPose labels, otherwise as MMPose's ``PackPoseInputs``.

    Place it after ``MeshPoseTransform``. Beyond the stock fields a sample then has

    * ``gt_instance_labels`` (arrays for the losses, frame: the crop): ``points_xy`` (1, P, 2) px,
      ``point_vertex_ids`` (1, P, 3) int64, ``point_barycentrics`` (1, P, 3), ``point_valid`` (1, P) bool,
      ``vertices_crop`` (1, V, 3) px, ``vertices_valid`` (1, V) bool, ``vertices_camera`` (1, V, 3) m,
      ``vertex_visibility`` (1, V), ``keypoints_crop`` (1, K, 2) px and ``keypoints_valid`` (1, K) bool, where
      the pipeline has them ``joints_crop`` (1, J, 3) px and ``joints_valid`` (1, J), and with masks
      ``person_mask`` and ``ignore_mask`` (1, H, W) in [0, 1] and ``person_mask_valid`` (1,) bool;
    * ``gt_instances`` (arrays for the metric, frame: the flipped image before cropping): ``vertices`` (1, V,
      3) px, and all Q annotated points as ``points_xy`` (1, Q, 2) px, ``point_vertex_ids``,
      ``point_barycentrics``, ``point_valid``.

    The labels stay NumPy arrays, which the head turns into tensors per batch: data loader workers hand over
    each tensor through a file descriptor of its own, which costs the training process more than the pipeline
    costs the worker.

    Args:
        max_points: P, to which the losses' points of every person are padded. Of a person with more, a random
            subset is taken.
        meta_keys: as in ``PackPoseInputs``.
        pack_transformed: as in ``PackPoseInputs``.
    """

    instance_mapping_table = dict(
        PackPoseInputs.instance_mapping_table,
        vertices_image='vertices',
        image_points_xy='points_xy',
        image_point_vertex_ids='point_vertex_ids',
        image_point_barycentrics='point_barycentrics',
        image_point_valid='point_valid',
    )

    #: Arrays of the pipeline that go to ``gt_instance_labels`` under the same name.
    label_keys = (
        'points_xy',
        'point_vertex_ids',
        'point_barycentrics',
        'point_valid',
        'vertices_crop',
        'vertices_valid',
        'vertices_camera',
        'vertex_visibility',
        'person_mask',
        'person_mask_valid',
        'ignore_mask',
        'keypoints_crop',
        'keypoints_valid',
        'joints_crop',
        'joints_valid',
    )

    def __init__(self, max_points: int = 128, **kwargs) -> None:
        super().__init__(**kwargs)
        if max_points < 1:
            raise ValueError(f'PackMeshPoseInputs: max_points must be at least 1, got {max_points}')
        self.max_points = max_points

    def transform(self, results: dict) -> dict:
        """Return ``inputs`` (3, H, W) uint8 and ``data_samples`` of one person."""
        if 'surface_points_crop' not in results:
            raise ValueError(
                "PackMeshPoseInputs found no 'surface_points_crop': put dict(type='MeshPoseTransform') "
                'before it in the pipeline'
            )
        image = results['surface_points']
        results.update(
            self._pad_points(results['surface_points_crop']),
            image_points_xy=image.xy[None],
            image_point_vertex_ids=image.vertex_ids[None],
            image_point_barycentrics=image.barycentrics[None],
            image_point_valid=image.valid[None],
        )
        packed = super().transform(results)
        labels = packed['data_samples'].gt_instance_labels
        for key in self.label_keys:
            if key in results:
                labels.set_field(results[key], key)
        return packed

    def _pad_points(self, points: SurfacePoints) -> dict[str, np.ndarray]:
        """Return the label arrays of one person's points, cut or padded to ``max_points``."""
        if len(points) > self.max_points:
            points = points.select(np.random.permutation(len(points))[: self.max_points])
        fields = dict(
            points_xy=np.zeros((1, self.max_points, 2), np.float32),
            point_vertex_ids=np.zeros((1, self.max_points, 3), np.int64),
            point_barycentrics=np.zeros((1, self.max_points, 3), np.float32),
            point_valid=np.zeros((1, self.max_points), bool),
        )
        sources = (points.xy, points.vertex_ids, points.barycentrics, points.valid)
        for field, source in zip(fields.values(), sources):
            field[0, : len(points)] = source
        return fields

    def __repr__(self) -> str:
        return f'{type(self).__name__}(max_points={self.max_points}, meta_keys={self.meta_keys})'
