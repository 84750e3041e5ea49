"""Pipeline steps that take points, meshes and person masks where MMPose's stock transforms took the image."""

from __future__ import annotations

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmpose.registry import TRANSFORMS
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix

from meshpose_plugins.data.affine import (
    KEPT_DIRECTIONS,
    carry_camera_vertices,
    carry_points,
    carry_vertices,
    compose,
    is_mirror,
    truncate_box,
)
from meshpose_plugins.data.masks import segmentation_mask
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
    """Carry surface points, meshes and the person mask through the image's flip and crop.

    Place it after ``TopdownAffine``. It needs no random numbers of its own: it reads what stock
    ``RandomFlip``, ``RandomBBoxTransform``, ``RandomHalfBody`` and ``TopdownAffine`` left in the pipeline
    dict, and does the same to the labels in one affine map. ``RandomFlip`` has to come before
    ``TopdownAffine``, as in MMPose's configs.

    Required keys: ``img_shape``, ``bbox_center``, ``bbox_scale``, ``input_size``; optional:
    ``bbox_rotation``, ``flip``, ``flip_direction``, ``surface_points``, ``vertices_image`` (1, V, 3),
    ``vertices_camera`` (1, V, 3), ``vertex_visibility`` (1, V), ``segmentation``. Labels that are absent
    become empty ones (``vertices_valid`` False).

    Modified keys, now in the flipped image's frame: ``surface_points``, ``vertices_image``.

    Added keys: ``surface_points_crop`` (crop px; invalid outside the crop), ``vertices_crop`` (1, V, 3) crop
    px with z relative to the root joint in crop px, ``vertices_valid`` (1, V) bool, ``vertices_camera`` (1,
    V, 3) metres, mirrored and turned in the image plane with the crop, ``vertex_visibility`` (1, V) float32,
    zero outside the crop, and with ``with_mask``: ``person_mask`` (1, H, W) float32 in [0, 1] and
    ``person_mask_valid`` (1,) bool.

    Args:
        template: name or path of the template whose vertices the labels have.
        use_udp: the ``use_udp`` of the config's ``TopdownAffine``.
        with_mask: also decode and carry the person's ``segmentation`` (run-length or polygons).
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

    def _carry_mask(self, results: dict, matrix: np.ndarray, shape: tuple[int, int]) -> None:
        """Set ``person_mask`` and ``person_mask_valid`` from the COCO segmentation."""
        width, height = results['input_size']
        segmentation = results.get('segmentation')
        results['person_mask_valid'] = np.array([bool(segmentation)])
        if segmentation:
            where = f"annotation {results.get('id')} of {results.get('img_path')}"
            mask = segmentation_mask(segmentation, *shape, where).astype(np.float32)
            crop = cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_LINEAR)
            results['person_mask'] = crop[None]
        else:
            results['person_mask'] = np.zeros((1, height, width), np.float32)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(template={self.template!r}, use_udp={self.use_udp}, '
            f'with_mask={self.with_mask})'
        )


@TRANSFORMS.register_module()
class RandomTruncation(BaseTransform):
    """Shrink the person's box towards one side, so that the crop cuts the body off, as selfies do.

    Place it between ``GetBBoxCenterScale`` and ``TopdownAffine``. The box keeps its proportions; it is scaled
    by a random factor and pushed to the kept side.

    Modified keys: ``bbox_center``, ``bbox_scale``.

    Args:
        prob: probability of truncating a sample.
        keep: smallest and largest part of the box's size that is kept.
        side_weights: relative frequency of cutting off at the bottom, top, left and right.
    """

    def __init__(
        self,
        prob: float = 0.2,
        keep: tuple[float, float] = (0.4, 0.8),
        side_weights: tuple[float, float, float, float] = (0.7, 0.1, 0.1, 0.1),
    ) -> None:
        super().__init__()
        if not 0 <= prob <= 1:
            raise ValueError(f'RandomTruncation: prob must be in [0, 1], got {prob}')
        if len(keep) != 2 or not 0 < keep[0] <= keep[1] <= 1:
            raise ValueError(
                f'RandomTruncation: keep must be two numbers with 0 < low <= high <= 1, got {keep}'
            )
        if len(side_weights) != 4 or min(side_weights) < 0 or sum(side_weights) <= 0:
            raise ValueError(
                f'RandomTruncation: side_weights must be four numbers >= 0, not all 0, got {side_weights}'
            )
        self.prob = prob
        self.keep = tuple(keep)
        self.side_weights = tuple(side_weights)

    @cache_randomness
    def _draw(self) -> tuple[bool, float, str]:
        """Draw whether to truncate, the kept part and the side."""
        weights = np.asarray(self.side_weights, np.float64)
        return (
            np.random.rand() < self.prob,
            np.random.uniform(*self.keep),
            tuple(KEPT_DIRECTIONS)[np.random.choice(4, p=weights / weights.sum())],
        )

    def transform(self, results: dict) -> dict:
        """Change the box of one sample; see the class."""
        truncate, keep, side = self._draw()
        if truncate:
            results['bbox_center'], results['bbox_scale'] = truncate_box(
                results['bbox_center'], results['bbox_scale'], keep, side
            )
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob}, keep={self.keep}, side_weights={self.side_weights})'
