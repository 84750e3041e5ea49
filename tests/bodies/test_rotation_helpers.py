"""Rotation helpers against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from meshpose_plugins.bodies.rotations import (
    axis_rotations,
    euler_rotations,
    local_rotations,
    remove_yaw,
    rotation_between,
)


@pytest.mark.parametrize("axis", "XYZ")
def test_axis_rotations(axis):
    degrees = np.array([-170.0, -30, 0, 45, 90])
    expected = Rotation.from_euler(axis, degrees[:, None], degrees=True).as_matrix()
    np.testing.assert_allclose(axis_rotations(axis, degrees), expected, atol=1e-12)


@pytest.mark.parametrize("axes", ["XYZ", "ZXY", "YZX"])
def test_euler_rotations_have_the_first_axis_leftmost(axes):
    degrees = np.random.default_rng(0).uniform(-180, 180, (10, 3))
    expected = Rotation.from_euler(axes, degrees, degrees=True).as_matrix()
    np.testing.assert_allclose(euler_rotations(axes, degrees), expected, atol=1e-12)


def test_rotation_between_turns_one_into_the_other_without_twist():
    rng = np.random.default_rng(1)
    for source, target in rng.normal(size=(20, 2, 3)):
        rotation = rotation_between(source, target)
        turned = rotation @ source / np.linalg.norm(source)
        np.testing.assert_allclose(turned, target / np.linalg.norm(target), atol=1e-12)
        axis = np.cross(source, target)
        np.testing.assert_allclose(rotation @ axis, axis, atol=1e-10)


def test_remove_yaw_keeps_the_tilt():
    tilts = Rotation.from_euler("x", [[0], [20], [-50], [90]], degrees=True)
    turned = Rotation.from_euler("z", [[10], [100], [-170], [60]], degrees=True) * tilts
    np.testing.assert_allclose(remove_yaw(turned.as_matrix()), tilts.as_matrix(), atol=1e-12)


def test_local_rotations_multiply_back_to_the_world():
    parents = np.array([-1, 0, 1, 1, 0])
    world = Rotation.random(15, random_state=0).as_matrix().reshape(3, 5, 3, 3)
    local = local_rotations(world, parents)
    rebuilt = local.copy()
    for joint in range(1, 5):
        rebuilt[:, joint] = rebuilt[:, parents[joint]] @ local[:, joint]
    np.testing.assert_allclose(rebuilt, world, atol=1e-12)
