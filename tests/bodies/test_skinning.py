"""Forward kinematics and skinning on bodies small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from meshpose_plugins.bodies.skinning import (
    SkinWeights,
    blend_vertices,
    blend_vertices_fast,
    forward_kinematics,
    forward_kinematics_fast,
)

KINEMATICS = [forward_kinematics, forward_kinematics_fast]


def arm():
    """Root at the origin, then two joints one metre apart along x."""
    parents = np.array([-1, 0, 1])
    heads = np.array([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]])
    identity = np.tile(np.eye(3), (1, 3, 1, 1))
    return parents, heads, identity


@pytest.mark.parametrize("kinematics", KINEMATICS)
def test_a_bent_arm(kinematics):
    parents, heads, identity = arm()
    rotations = identity.copy()
    rotations[0, 1] = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    transforms, joints = kinematics(parents, heads, identity, rotations)
    np.testing.assert_allclose(joints[0], [[0, 0, 0], [1, 0, 0], [1, 1, 0]], atol=1e-12)
    tip = transforms[0, 2] @ [3, 0, 0, 1]
    np.testing.assert_allclose(tip, [1, 2, 0], atol=1e-12)


@pytest.mark.parametrize("kinematics", KINEMATICS)
def test_alignment_brings_the_bone_to_its_reference_direction(kinematics):
    parents, heads, identity = arm()
    alignments = identity.copy()
    alignments[0, 1] = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    _, joints = kinematics(parents, heads, alignments, identity)
    np.testing.assert_allclose(joints[0], [[0, 0, 0], [1, 0, 0], [1, 1, 0]], atol=1e-12)


def test_both_kinematics_agree_on_a_random_tree():
    rng = np.random.default_rng(0)
    parents = np.array([-1] + [rng.integers(0, joint) for joint in range(1, 30)])
    heads = rng.normal(size=(4, 30, 3))
    alignments, rotations = (
        Rotation.random(120, random_state=k).as_matrix().reshape(4, 30, 3, 3) for k in (1, 2)
    )
    for one, two in zip(*(kinematics(parents, heads, alignments, rotations) for kinematics in KINEMATICS)):
        np.testing.assert_allclose(one, two, atol=1e-10)


def test_both_blends_agree_and_identity_leaves_vertices_alone():
    rng = np.random.default_rng(1)
    vertices = rng.normal(size=(2, 5, 3)).astype(np.float32)
    skin = SkinWeights(
        np.array([0, 1, 3, 4, 6, 7]),
        np.array([0, 0, 1, 2, 1, 2, 1]),
        np.array([1, 0.25, 0.75, 1, 0.5, 0.5, 1], np.float32),
    )
    transforms = rng.normal(size=(2, 3, 3, 4)).astype(np.float32)
    reference = blend_vertices(vertices, skin.dense(3), transforms)
    fast = blend_vertices_fast(vertices, skin.starts, skin.joints, skin.weights, transforms)
    np.testing.assert_allclose(fast, reference, atol=1e-5)
    identity = np.tile(np.eye(3, 4, dtype=np.float32), (2, 3, 1, 1))
    np.testing.assert_array_equal(blend_vertices(vertices, skin.dense(3), identity), vertices)


def test_a_vertex_between_two_bones_moves_half_way():
    vertices = np.zeros((1, 1, 3), np.float32)
    skin = SkinWeights(np.array([0, 2]), np.array([0, 1]), np.array([0.5, 0.5], np.float32))
    transforms = np.tile(np.eye(3, 4, dtype=np.float32), (1, 2, 1, 1))
    transforms[0, 1, :, 3] = (2, 0, 0)
    np.testing.assert_allclose(blend_vertices(vertices, skin.dense(2), transforms)[0, 0], [1, 0, 0])
