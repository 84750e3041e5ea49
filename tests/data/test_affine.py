"""Affine maps of labels against homogeneous coordinates, and the way between image and crop."""

import numpy as np
import pytest

from meshpose_plugins.data import SurfacePoints
from meshpose_plugins.data.affine import (
    carry_camera_vertices,
    carry_points,
    carry_vertices,
    clip_to_image,
    compose,
    crop_to_image,
    image_to_crop,
    is_mirror,
    truncate_box,
)

META = dict(input_size=(48, 64), input_center=np.array([120.0, 90.0]), input_scale=np.array([96.0, 128.0]))
TURN = np.array([[0.0, -2.0, 30.0], [2.0, 0.0, 5.0]])  # a quarter turn, twice as large
MIRROR = np.array([[-1.0, 0.0, 99.0], [0.0, 1.0, 0.0]])
SYMMETRY = np.array([1, 0, 2])


def square(matrix):
    return np.vstack([matrix, [0, 0, 1]])


def test_composed_maps_apply_one_after_the_other():
    np.testing.assert_allclose(compose(TURN, MIRROR), (square(TURN) @ square(MIRROR))[:2])
    assert not is_mirror(TURN) and is_mirror(MIRROR) and is_mirror(compose(TURN, MIRROR))
    assert not is_mirror(compose(MIRROR, MIRROR))
    with pytest.raises(ValueError, match=r'matrix must be \(2, 3\), got \(3, 3\)'):
        compose(square(TURN), MIRROR)


def test_vertices_move_scale_and_change_sides():
    vertices = np.array([[[1, 2, 3], [4, 5, 6], [7, 8, 9]]], np.float32)
    turned = carry_vertices(vertices, TURN, SYMMETRY)
    assert turned.dtype == np.float32
    np.testing.assert_allclose(turned[0, 0], [30 - 2 * 2, 5 + 2 * 1, 2 * 3])
    mirrored = carry_vertices(vertices, MIRROR, SYMMETRY)
    np.testing.assert_allclose(mirrored[0, 0], [99 - 4, 5, 6])
    metric = carry_camera_vertices(vertices, TURN, SYMMETRY)
    np.testing.assert_allclose(metric[0, 0], [-2, 1, 3])
    with pytest.raises(ValueError, match=r'vertices must be \(\.\.\., 3, 3\), got \(1, 2, 3\)'):
        carry_vertices(vertices[:, :2], TURN, SYMMETRY)


def test_points_move_with_the_vertices_that_hold_them():
    rng = np.random.default_rng(0)
    vertices = rng.uniform(0, 50, (3, 3)).astype(np.float32)
    points = SurfacePoints(np.zeros((9, 2)), np.tile([0, 1, 2], (9, 1)), rng.dirichlet(np.ones(3), 9))
    points.xy = points.positions(vertices)[:, :2].astype(np.float32)
    for matrix in (TURN, MIRROR, compose(TURN, MIRROR)):
        moved = carry_points(points, matrix, SYMMETRY)
        places = moved.positions(carry_vertices(vertices, matrix, SYMMETRY))
        np.testing.assert_allclose(places[:, :2], moved.xy, atol=1e-3)


def test_crops_and_images_are_inverse():
    crop = np.random.default_rng(0).normal(size=(2, 30, 3)) * 50
    np.testing.assert_allclose(image_to_crop(crop_to_image(crop, **META), **META), crop, atol=1e-6)


def test_crop_to_image_inverts_the_affine():
    size, center, scale = (96, 128), np.array([70.0, 55.0]), np.array([150.0, 200.0])
    xyz_image = np.random.default_rng(0).uniform(-50, 200, (1, 9, 3)).astype(np.float32)
    ratio = 96 / 150
    xyz_crop = xyz_image * ratio
    xyz_crop[..., :2] += np.array(size) / 2 - center * ratio
    restored = crop_to_image(xyz_crop, size, center, scale)
    assert restored.dtype == np.float32
    assert restored == pytest.approx(xyz_image, abs=1e-3)
    assert image_to_crop(xyz_image, size, center, scale).dtype == np.float32


@pytest.mark.parametrize('side, kept', [
    ('bottom', [0, 0, 8, 16]), ('top', [2, 4, 10, 20]), ('left', [2, 4, 10, 20]), ('right', [0, 0, 8, 16])])
def test_a_truncated_box_keeps_the_other_side(side, kept):
    center, scale = truncate_box(np.array([5.0, 10.0]), np.array([10.0, 20.0]), 0.8, side)
    box = np.concatenate([center - scale / 2, center + scale / 2])
    axis = 1 if side in ('bottom', 'top') else 0
    np.testing.assert_allclose(box[axis::2], kept[axis::2])
    np.testing.assert_allclose(center[1 - axis], [5, 10][1 - axis])
    np.testing.assert_allclose(scale, [8, 16])


def test_wrong_truncations_are_explained():
    box = np.array([5.0, 10.0]), np.array([10.0, 20.0])
    with pytest.raises(ValueError, match="side must be one of 'bottom', .*, got 'below'"):
        truncate_box(*box, 0.8, 'below')
    with pytest.raises(ValueError, match=r'keep must be in \(0, 1\], got 1.5'):
        truncate_box(*box, 1.5, 'top')


@pytest.mark.parametrize(
    'box, inside',
    [
        ([-5, 10, 90, 20], [0, 10, 63, 20]),
        ([63, 2, 64, 6], [63, 2, 63, 6]),  # in the last column
        ([70, 10, 90, 20], None),
        ([3, 48, 9, 60], None),
        ([-9, -9, 0, 5], None),
        ([63, 47, 64, 48], None),  # the last pixel: a point is left
    ],
)
def test_boxes_are_clipped_as_mmpose_clips_them(box, inside):
    clipped = clip_to_image(np.array(box, np.float32), (64, 48))
    assert (None if clipped is None else clipped.tolist()) == inside
    assert clip_to_image(np.array(box, np.float32), (0, 0)).tolist() == box
