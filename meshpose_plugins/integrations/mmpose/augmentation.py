"""Augmentation that hides a part of the body: crops that cut it off, and things in front of it."""

from __future__ import annotations

import logging
import zlib
from collections import deque

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmengine.logging import print_log
from mmpose.registry import TRANSFORMS

from meshpose_plugins.data.affine import KEPT_DIRECTIONS, truncate_box
from meshpose_plugins.data.records import SurfacePoints
from meshpose_plugins.data.synthetic.compose import add_occluders
from meshpose_plugins.data.synthetic.photos import PictureSource, find_photos, read_photo
from meshpose_plugins.data.truncation import REGIONS, region_box
from meshpose_plugins.templates import load_template

from .transforms import flip_matrix

#: Part of the box that is kept of people whose keypoints are not known, cut at the bottom.
KEPT_WITHOUT_KEYPOINTS = {'half_body': 0.55, 'head_shoulders': 0.3}
#: Least size of a region's box, as a part of the person's box.
SMALLEST_REGION = np.float32(0.25)
MODES = ('side', *REGIONS)


def _check_probability(name: str, prob: float) -> float:
    if not 0 <= prob <= 1:
        raise ValueError(f'{name}: prob must be in [0, 1], got {prob}')
    return prob


@TRANSFORMS.register_module()
class RandomTruncation(BaseTransform):
    """Shrink the person's box, so that the crop cuts the body off, as selfies do.

    Place it between ``GetBBoxCenterScale`` and ``TopdownAffine`` (``RandomFlip`` may come before or after).
    In mode 'side' the box keeps its proportions; it is scaled by a random factor and pushed to the kept side.
    In the modes 'half_body' and 'head_shoulders' it becomes the box around these keypoints: the labelled
    ones, or else those of the mesh; without either, the upper part of the box.

    Modified keys: ``bbox_center``, ``bbox_scale``.

    Args:
        prob: probability of truncating a sample.
        keep: smallest and largest part of the box's size that is kept in mode 'side'.
        side_weights: relative frequency of cutting off at the bottom, top, left and right.
        mode_weights: relative frequency of the modes, e.g. ``dict(side=1, half_body=1, head_shoulders=1)``.
        padding: smallest and largest size of a region's box relative to its keypoints' extent.
        template: whose keypoints a mesh has.
        by_sample: draw by the sample's ``id`` alone, for tests: the same crops in every run.
    """

    def __init__(
        self,
        prob: float = 0.2,
        keep: tuple[float, float] = (0.4, 0.8),
        side_weights: tuple[float, float, float, float] = (0.7, 0.1, 0.1, 0.1),
        mode_weights: dict[str, float] | None = None,
        padding: tuple[float, float] = (1.2, 1.8),
        template: str = 'anny',
        by_sample: bool = False,
    ) -> None:
        super().__init__()
        mode_weights = dict(side=1.0) if mode_weights is None else dict(mode_weights)
        self.prob = _check_probability('RandomTruncation', prob)
        if len(keep) != 2 or not 0 < keep[0] <= keep[1] <= 1:
            raise ValueError(
                f'RandomTruncation: keep must be two numbers with 0 < low <= high <= 1, got {keep}'
            )
        if len(side_weights) != 4 or min(side_weights) < 0 or sum(side_weights) <= 0:
            raise ValueError(
                f'RandomTruncation: side_weights must be four numbers >= 0, not all 0, got {side_weights}'
            )
        weights = list(mode_weights.values())
        if not set(mode_weights) <= set(MODES) or not weights or min(weights) < 0 or sum(weights) <= 0:
            raise ValueError(
                f'RandomTruncation: mode_weights must be numbers >= 0, not all 0, for any of {MODES}, got '
                f'{mode_weights}'
            )
        if len(padding) != 2 or not 0 < padding[0] <= padding[1]:
            raise ValueError(
                f'RandomTruncation: padding must be two numbers with 0 < low <= high, got {padding}'
            )
        self.keep = tuple(keep)
        self.side_weights = tuple(side_weights)
        self.mode_weights = mode_weights
        self.padding = tuple(padding)
        self.template = template
        self.by_sample = by_sample

    @cache_randomness
    def _draw(self, identity) -> tuple[bool, float, str, str, float]:
        """Draw whether to truncate, the kept part and the side, the mode and the padding."""
        draw = np.random.RandomState(zlib.crc32(str(identity).encode())) if self.by_sample else np.random
        sides, modes = (
            np.asarray(list(weights), np.float64)
            for weights in (self.side_weights, self.mode_weights.values())
        )
        return (
            draw.rand() < self.prob,
            draw.uniform(*self.keep),
            tuple(KEPT_DIRECTIONS)[draw.choice(4, p=sides / sides.sum())],
            tuple(self.mode_weights)[draw.choice(len(modes), p=modes / modes.sum())],
            draw.uniform(*self.padding),
        )

    def transform(self, results: dict) -> dict:
        """Change the box of one sample; see the class."""
        truncate, keep, side, mode, padding = self._draw(results.get('id'))
        if not truncate:
            return results
        box = None
        if mode != 'side':
            keep, side = KEPT_WITHOUT_KEYPOINTS[mode], 'bottom'
            box = region_box(*self._keypoints(results), mode, padding)
        if box is not None:
            # A body seen end on has its keypoints in one place: closer than this it is not recognised.
            smallest = SMALLEST_REGION * results['bbox_scale'][0].max()
            box = box[0], box[1] * max(1, smallest / box[1].max())
        else:
            box = truncate_box(results['bbox_center'][0], results['bbox_scale'][0], keep, side)
        results['bbox_center'], results['bbox_scale'] = box[0][None], box[1][None]
        return results

    def _keypoints(self, results: dict) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints (17, 2) in px of the image as it is now, and which are known."""
        if results.get('keypoints') is not None:
            visible = np.asarray(results['keypoints_visible']).reshape(len(results['keypoints'][0]), -1)
            if (visible[:, 0] > 0).any():
                return results['keypoints'][0, :, :2], visible[:, 0] > 0
        if results.get('vertices_image') is None:
            return np.zeros((17, 2)), np.zeros(17, bool)
        keypoints = load_template(self.template).keypoints(results['vertices_image'][0])[:, :2]
        # The mesh is flipped later, by MeshPoseTransform; left and right belong to the same regions.
        height, width = results['img_shape'][:2]
        flip = flip_matrix(results.get('flip_direction') if results.get('flip') else None, width, height)
        return keypoints @ flip[:, :2].T + flip[:, 2], np.ones(17, bool)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(prob={self.prob}, keep={self.keep}, side_weights={self.side_weights}, '
            f'mode_weights={self.mode_weights}, padding={self.padding}, by_sample={self.by_sample})'
        )


@TRANSFORMS.register_module()
class RandomOcclusion(BaseTransform):
    """Put one to three things in front of the person: random shapes, filled with pieces of other pictures.

    Place it after ``MeshPoseTransform``. The pieces come from the photographs of a folder, or from the crops
    that went through this transform before (of the same data set, in the same worker). At least 40 % of the
    person stay free.

    The body is still where it was: mesh, keypoints and person mask keep. Annotated surface points under a
    thing are no longer seen and become invalid, and ``vertex_visibility`` becomes 0 there.

    Modified keys: ``img``, ``surface_points_crop``, ``vertex_visibility``.

    Args:
        prob: probability of occluding a sample.
        photos: folder of photographs, or None for earlier crops.
        max_photos: so many photographs of the folder, or earlier crops, are kept in memory.
    """

    def __init__(self, prob: float = 0.3, photos: str | None = None, max_photos: int = 64) -> None:
        super().__init__()
        self.prob = _check_probability('RandomOcclusion', prob)
        if max_photos < 1:
            raise ValueError(f'RandomOcclusion: max_photos must be at least 1, got {max_photos}')
        self.photos = photos
        self.max_photos = max_photos
        self.pictures = PictureSource()
        if photos is not None:
            self.pictures.photos = _read_photos(photos, max_photos)
            self.pictures.procedural_share = 0.0
        else:
            self.pictures.photos = deque(maxlen=max_photos)

    @cache_randomness
    def _draw(self) -> tuple[bool, int]:
        """Draw whether to occlude, and the seed of how."""
        return np.random.rand() < self.prob, np.random.randint(2**31)

    def transform(self, results: dict) -> dict:
        """Change the picture and what it no longer shows; see the class."""
        if 'surface_points_crop' not in results:
            raise ValueError(
                "RandomOcclusion found no 'surface_points_crop': put dict(type='RandomOcclusion') after "
                "dict(type='MeshPoseTransform') in the pipeline"
            )
        occlude, seed = self._draw()
        image = results['img']
        if occlude:
            results['img'] = image.copy()
            hidden = add_occluders(
                np.random.default_rng(seed), results['img'], self._person(results), self.pictures
            )
            self._hide(results, hidden)
        if self.photos is None:
            self.pictures.photos.append(image)
            self.pictures.procedural_share = 0.0
        return results

    @staticmethod
    def _person(results: dict) -> np.ndarray:
        """Return (H, W) bool: the person's mask, else the box of its mesh, else the middle of the crop."""
        height, width = results['img'].shape[:2]
        if results.get('person_mask_valid', np.zeros(1))[0]:
            return results['person_mask'][0] > 0.5
        person = np.zeros((height, width), bool)
        low, high = np.array([0.2, 0.1]) * (width, height), np.array([0.8, 0.9]) * (width, height)
        if results['vertices_valid'].any():
            xy = results['vertices_crop'][0, :, :2]
            low, high = xy.min(0).clip(0), xy.max(0).clip(0)
        (left, top), (right, bottom) = low.astype(int), high.astype(int) + 1
        person[top:bottom, left:right] = True
        return person

    @staticmethod
    def _hide(results: dict, hidden: np.ndarray) -> None:
        """Mark points and vertices under hidden (H, W) px as not seen."""
        def covered(xy: np.ndarray) -> np.ndarray:
            x, y = np.round(xy).astype(int).T
            inside = (x >= 0) & (y >= 0) & (x < hidden.shape[1]) & (y < hidden.shape[0])
            return inside & hidden[y.clip(0, hidden.shape[0] - 1), x.clip(0, hidden.shape[1] - 1)]

        points = results['surface_points_crop']
        valid = points.valid & ~covered(points.xy)
        results['surface_points_crop'] = SurfacePoints(
            points.xy, points.vertex_ids, points.barycentrics, valid
        )
        seen = ~covered(results['vertices_crop'][0, :, :2])
        results['vertex_visibility'] = results['vertex_visibility'] * seen[None]

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(prob={self.prob}, photos={self.photos!r}, '
            f'max_photos={self.max_photos})'
        )


def _read_photos(folder: str, count: int) -> list[np.ndarray]:
    """Read some of a folder's photographs; unreadable ones are reported and skipped."""
    paths = find_photos(folder, 'train')
    pictures = []
    for index in np.random.default_rng(0).permutation(len(paths)):
        if len(pictures) == count:
            break
        try:
            pictures.append(read_photo(paths[index]))
        except ValueError as error:
            print_log(f'RandomOcclusion: photograph skipped: {error}', 'current', logging.WARNING)
    if not pictures:
        raise ValueError(f'RandomOcclusion: no photograph in {folder} is readable')
    return pictures
