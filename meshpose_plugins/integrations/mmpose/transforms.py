"""The pipeline step that takes all labels where MMPose's stock transforms took the image."""

from __future__ import annotations

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix

from meshpose_plugins.data.affine import (
    carry_camera_vertices,
    carry_points,
    carry_vertices,
    compose,
    is_mirror,
)
from meshpose_plugins.data.person_masks import ignored_mask, person_mask
from meshpose_plugins.data.records import SurfacePoints
from meshpose_plugins.rendering import inside_frame
from meshpose_plugins.templates import load_template


def flip_matrix(direction: str | None, width: int, height: int) -> np.ndarray:
    """Return the (2, 3) matrix by which MMPose's ``RandomFlip`` moves pixels, identity for None.

    Args:
        direction: None, 'horizontal' (x -> width - 1 - x), 'vertical' (y -> height - 1 - y) or 'diagonal'
            (both).
        width: width of the flipped image in pixels.
        height: height of the flipped image in pixels.
    """
    if direction not in (None, 'horizontal', 'vertical', 'diagonal'):
        raise ValueError(
            f"flip_direction must be 'horizontal', 'vertical', 'diagonal' or None, got {direction!r}"
        )
    matrix = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    if direction in ('horizontal', 'diagonal'):
        matrix[0] = -1.0, 0.0, width - 1
    if direction in ('vertical', 'diagonal'):
        matrix[1] = 0.0, -1.0, height - 1
    return matrix


def crop_matrix(results: dict, use_udp: bool = False) -> np.ndarray:
    """Return the (2, 3) matrix by which MMPose's ``TopdownAffine`` has just moved the pixels of one person.

    Args:
        results: a pipeline dict with ``bbox_center``, ``bbox_scale``, ``input_size`` and, optionally,
            ``bbox_rotation`` (degrees), as ``TopdownAffine`` leaves them.
        use_udp: the ``use_udp`` of that ``TopdownAffine``.
    """
    rotation = float(results['bbox_rotation'][0]) if 'bbox_rotation' in results else 0.0
    build = get_udp_warp_matrix if use_udp else get_warp_matrix
    matrix = build(
        results['bbox_center'][0], results['bbox_scale'][0], rotation, output_size=results['input_size']
    )
    return np.asarray(matrix, np.float64)


@TRANSFORMS.register_module()
class MeshPoseTransform(BaseTransform):
    """Carry surface points, keypoints, meshes and the person mask through the image's flip and crop.

    Place it after ``TopdownAffine``. It needs no random numbers of its own: it reads what stock
    ``RandomFlip``, ``RandomBBoxTransform``, ``RandomHalfBody`` and ``TopdownAffine`` left in the pipeline
    dict, and does the same to the labels in one affine map. ``RandomFlip`` has to come before
    ``TopdownAffine``, as in MMPose's configs.

    Required keys: ``img_shape``, ``bbox_center``, ``bbox_scale``, ``input_size``; optional:
    ``bbox_rotation``, ``flip``, ``flip_direction``, ``surface_points``, ``vertices_image`` (1, V, 3),
    ``vertices_camera`` (1, V, 3), ``vertex_visibility`` (1, V), ``transformed_keypoints`` and
    ``keypoints_visible``, and for the masks ``segmentation``, ``dp_masks`` with ``raw_ann_info['bbox']``
    (which give the mask where there is no segmentation), ``other_people`` (segmentations) and
    ``ignore_regions`` (polygons). Labels that are absent become empty ones (``vertices_valid`` False).

    Modified keys, now in the flipped image's frame: ``surface_points``, ``vertices_image``.

    Added keys: ``surface_points_crop`` (crop px; invalid outside the crop), ``vertices_crop`` (1, V, 3) crop
    px with z relative to the root joint in crop px, ``vertices_valid`` (1, V) bool, ``vertices_camera`` (1,
    V, 3) metres, mirrored and turned in the image plane with the crop, ``vertex_visibility`` (1, V) float32,
    zero outside the crop, ``keypoints_crop`` (1, K, 2) crop px with ``keypoints_valid`` (1, K) bool
    (labelled, visible or not), and with ``with_mask``: ``person_mask`` (1, H, W) float32 in [0, 1],
    ``person_mask_valid`` (1,) bool, and ``ignore_mask`` (1, H, W): other people, ignored regions and what lies
    outside the image.

    Args:
        template: name or path of the template whose vertices the labels have.
        use_udp: the ``use_udp`` of the config's ``TopdownAffine``.
        with_mask: also decode and carry the person's mask.
    """

    def __init__(self, template: str = 'anny', use_udp: bool = False, with_mask: bool = False) -> None:
        super().__init__()
        self.template = template
        self.use_udp = use_udp
        self.with_mask = with_mask
        self._template = load_template(template)

    def transform(self, results: dict) -> dict:
        """Carry the labels of one person; see the class for the keys."""
        if 'input_size' not in results:
            raise ValueError(
                "MeshPoseTransform found no 'input_size': put dict(type='MeshPoseTransform') after "
                "dict(type='TopdownAffine', ...) in the pipeline"
            )
        height, width = results['img_shape'][:2]
        flip = flip_matrix(results.get('flip_direction') if results.get('flip') else None, width, height)
        crop = crop_matrix(results, self.use_udp)
        self._check_same_crop(results, crop)
        self._carry_points(results, flip, crop)
        self._carry_mesh(results, flip, crop)
        self._carry_keypoints(results)
        if self.with_mask:
            self._carry_mask(results, compose(crop, flip), (height, width))
        return results

    def _symmetry(self, matrix: np.ndarray) -> np.ndarray:
        """The template's left-right permutation (V,), which has to be known only where the map mirrors."""
        if is_mirror(matrix):
            return np.asarray(self._template.symmetry)
        return np.arange(self._template.num_vertices)

    def _check_same_crop(self, results: dict, crop: np.ndarray) -> None:
        """Raise if ``TopdownAffine`` took the keypoints elsewhere, as with another ``use_udp``."""
        before, after = results.get('keypoints'), results.get('transformed_keypoints')
        if before is None or after is None or np.ndim(after) < 2:
            return
        expected = before[..., :2] @ crop[:, :2].T + crop[:, 2]
        difference = np.nanmax(np.abs(expected - after[..., :2]), initial=0.0)
        if difference > 0.1:
            raise ValueError(
                f'MeshPoseTransform(use_udp={self.use_udp}) and the TopdownAffine before it move points '
                f'{difference:.2f} px apart: give both the same use_udp, and put nothing that moves the '
                'image between them'
            )

    def _carry_points(self, results: dict, flip: np.ndarray, crop: np.ndarray) -> None:
        """Set ``surface_points`` (flipped image px) and ``surface_points_crop`` (crop px)."""
        points = results.get('surface_points')
        points = SurfacePoints.empty() if points is None else carry_points(points, flip, self._symmetry(flip))
        results['surface_points'] = points
        in_crop = carry_points(points, crop, self._symmetry(crop))
        results['surface_points_crop'] = in_crop.inside(*results['input_size'])

    def _carry_mesh(self, results: dict, flip: np.ndarray, crop: np.ndarray) -> None:
        """Set the mesh labels; without a mesh they are zeros and ``vertices_valid`` is False."""
        vertices = results.get('vertices_image')
        count = self._template.num_vertices
        if vertices is None:
            for key in ('vertices_image', 'vertices_crop', 'vertices_camera'):
                results[key] = np.zeros((1, count, 3), np.float32)
            results['vertices_valid'] = np.zeros((1, count), bool)
            results['vertex_visibility'] = np.zeros((1, count), np.float32)
            return
        if vertices.shape != (1, count, 3):
            raise ValueError(
                f"vertices_image of annotation {results.get('id')} in {results.get('img_path')} must be "
                f"(1, {count}, 3) for template '{self.template}', got {vertices.shape}"
            )
        whole = compose(crop, flip)
        symmetry = self._symmetry(whole)
        results['vertices_image'] = carry_vertices(vertices, flip, self._symmetry(flip))
        results['vertices_crop'] = carry_vertices(vertices, whole, symmetry)
        results['vertices_valid'] = np.ones((1, count), bool)
        results['vertices_camera'] = carry_camera_vertices(results['vertices_camera'], whole, symmetry)
        visible = np.asarray(results['vertex_visibility'], np.float32)[:, symmetry]
        inside = inside_frame(results['vertices_crop'], *results['input_size'])
        results['vertex_visibility'] = visible * inside

    def _carry_keypoints(self, results: dict) -> None:
        """Set ``keypoints_crop`` and ``keypoints_valid`` from what ``TopdownAffine`` left."""
        keypoints = results.get('transformed_keypoints')
        if keypoints is None or np.ndim(keypoints) != 3:
            return
        keypoints = np.asarray(keypoints[..., :2], np.float32)
        visible = np.asarray(results['keypoints_visible']).reshape(*keypoints.shape[:2], -1)[..., 0]
        valid = (visible > 0) & np.isfinite(keypoints).all(-1)
        results['keypoints_crop'] = np.where(valid[..., None], keypoints, 0)
        results['keypoints_valid'] = valid

    def _carry_mask(self, results: dict, matrix: np.ndarray, shape: tuple[int, int]) -> None:
        """Set ``person_mask``, ``person_mask_valid`` and ``ignore_mask``."""
        width, height = results['input_size']
        where = f"annotation {results.get('id')} of {results.get('img_path')}"
        box = results.get('raw_ann_info', {}).get('bbox')
        mask = person_mask(results.get('segmentation'), results.get('dp_masks'), box, *shape, where)
        results['person_mask_valid'] = np.array([mask is not None])
        if mask is None:
            for key in ('person_mask', 'ignore_mask'):
                results[key] = np.zeros((1, height, width), np.float32)
            return
        ignored = ignored_mask(results.get('other_people'), results.get('ignore_regions'), *shape, where)
        planes = np.stack([mask, ignored & ~mask & 1, np.ones_like(mask)], axis=-1) * np.uint8(255)
        planes = cv2.warpAffine(planes, matrix, (width, height), flags=cv2.INTER_LINEAR)
        person, others, image = planes.astype(np.float32).transpose(2, 0, 1) / 255
        results['person_mask'] = person[None]
        results['ignore_mask'] = np.minimum(others + 1 - image, 1)[None]

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(template={self.template!r}, use_udp={self.use_udp}, '
            f'with_mask={self.with_mask})'
        )
