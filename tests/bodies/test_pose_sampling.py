"""Sampled poses: deterministic, within limits, symmetric, limbs bending the way limbs bend."""

from __future__ import annotations

import time

import numpy as np
import pytest

from meshpose_plugins.bodies import load_body
from meshpose_plugins.bodies.collisions import LimbCollisions, segment_distance_squared
from meshpose_plugins.bodies.joint_angles import SIDE_NAMES, TRUNK_NAMES, JointAngles
from meshpose_plugins.bodies.motion import sample_pose
from meshpose_plugins.bodies.pose_modes import ARM_MODES, LEG_MODES, SIDE_LIMITS, TRUNK_LIMITS
from meshpose_plugins.bodies.pose_sampling import fold, sample_angles

MIDDLE = np.full(6, 0.5)


@pytest.fixture(scope="module")
def body():
    return load_body("anny")


@pytest.fixture(scope="module")
def angles(body):
    return JointAngles(body)


@pytest.fixture(scope="module")
def poses(body):
    return sample_pose(body, np.random.default_rng(0), 2000)


def joints_of(body, angles, **degrees):
    """Joints of the average body with some angles set and the others at anatomical zero."""
    values = np.zeros((1, len(angles.names)))
    for name, value in degrees.items():
        values[0, angles.column(name[:-2] + "." + name[-1] if name[-2:] in ("_L", "_R") else name)] = value
    joints = body.pose(MIDDLE, angles.rotations(values)[0]).joints
    return {name: joints[index] for index, name in enumerate(body.joint_names)}


def test_same_seed_same_poses_and_batches_are_poses(body):
    one, two = (sample_pose(body, np.random.default_rng(5), 7) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.shape == (7, 104, 3, 3) and one.dtype == np.float32
    single = sample_pose(body, np.random.default_rng(5))
    assert single.shape == (104, 3, 3)
    assert not np.array_equal(sample_pose(body, np.random.default_rng(6), 7), one)
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        sample_pose(body, np.random.default_rng(0), 0)


def test_poses_are_rotations(poses):
    product = poses @ np.swapaxes(poses, -1, -2)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(poses), 1, atol=1e-5)


def test_angles_stay_within_their_limits(angles):
    values = sample_angles(angles, np.random.default_rng(1), 3000)
    for side in "LR":
        for name, (low, high) in SIDE_LIMITS.items():
            column = values[:, angles.column(f"{name}.{side}")]
            assert low - 1e-9 <= column.min() and column.max() <= high + 1e-9, name
    for name in TRUNK_NAMES:
        if not name.startswith("pelvis"):
            low, high = TRUNK_LIMITS[name]
            column = values[:, angles.column(name)]
            assert low - 1e-9 <= column.min() and column.max() <= high + 1e-9, name


def test_left_and_right_are_alike(angles):
    values = sample_angles(angles, np.random.default_rng(2), 20000)
    for name in SIDE_NAMES:
        left, right = (values[:, angles.column(f"{name}.{side}")] for side in "LR")
        error = np.hypot(left.std(), right.std()) / np.sqrt(len(values))
        assert abs(left.mean() - right.mean()) < 5 * error, name
        assert abs(left.std() / right.std() - 1) < 0.06, name
    for name in ("spine_side", "spine_turn", "neck_side", "neck_turn"):
        column = values[:, angles.column(name)]
        assert abs(column.mean()) < 5 * column.std() / np.sqrt(len(column)), name


def test_mirrored_angles_give_mirrored_bodies(body, angles):
    values = sample_angles(angles, np.random.default_rng(3), 4)
    mirrored = values.copy()
    for column, name in enumerate(angles.names):
        if name.endswith(".L"):
            other = angles.column(name[:-1] + "R")
            mirrored[:, [column, other]] = values[:, [other, column]]
        elif name.split("_")[-1] in ("side", "turn"):
            mirrored[:, column] *= -1
    one, two = (body.pose(MIDDLE, angles.rotations(array)).joints for array in (values, mirrored))
    for index, name in enumerate(body.joint_names):
        swapped = name[:-1] + {"L": "R", "R": "L"}[name[-1]] if name[-2:] in (".L", ".R") else name
        np.testing.assert_allclose(
            one[:, index], two[:, body.joint_index(swapped)] * (-1, 1, 1), atol=6e-3, err_msg=name
        )


def test_zero_angles_stand_with_hanging_arms(body, angles):
    joints = joints_of(body, angles)
    for side in "LR":
        for start, end in (("upperarm01", "lowerarm01"), ("lowerarm01", "wrist"), ("upperleg01", "foot")):
            limb = joints[f"{end}.{side}"] - joints[f"{start}.{side}"]
            assert -limb[2] / np.linalg.norm(limb) > 0.97, (start, side)


@pytest.mark.parametrize("side, sign", [("L", 1), ("R", -1)])
def test_joints_bend_the_way_people_do(body, angles, side, sign):
    def moved(joint, **degrees):
        return (
            joints_of(body, angles, **degrees)[f"{joint}.{side}"] - joints_of(body, angles)[f"{joint}.{side}"]
        )

    assert moved("foot", **{f"hip_flexion_{side}": 60})[1] < -0.3  # forward
    assert moved("foot", **{f"knee_flexion_{side}": 60})[1] > 0.2  # back
    assert moved("foot", **{f"hip_abduction_{side}": 30})[0] * sign > 0.2  # outward
    assert moved("toe3-1", **{f"hip_rotation_{side}": 40})[0] * sign > 0.04  # outward
    assert moved("toe3-1", **{f"ankle_flexion_{side}": 30})[2] < -0.03  # down
    assert moved("wrist", **{f"elbow_flexion_{side}": 80})[1] < -0.15  # forward
    assert moved("wrist", **{f"arm_elevation_{side}": 80})[1] < -0.3  # forward
    assert moved("wrist", **{f"arm_elevation_{side}": 80, f"arm_plane_{side}": 90})[0] * sign > 0.3  # outward
    inward = moved("wrist", **{f"elbow_flexion_{side}": 90, f"arm_rotation_{side}": 60})
    assert inward[0] * sign < -0.1
    straight = joints_of(body, angles)
    fist = joints_of(body, angles, **{f"finger_flexion_{side}": 80})
    reach = [np.linalg.norm(j[f"finger3-3.{side}"] - j[f"wrist.{side}"]) for j in (straight, fist)]
    assert reach[1] < reach[0] - 0.015
    thumbs = joints_of(body, angles)[f"finger1-3.{side}"] - joints_of(body, angles)[f"wrist.{side}"]
    assert thumbs[1] < -0.03  # with the arm hanging and no pronation the thumb points forward


def test_trunk_and_neck_bend_forward(body, angles):
    assert joints_of(body, angles, spine_bend=40)["head"][1] < joints_of(body, angles)["head"][1] - 0.15
    assert joints_of(body, angles, neck_bend=40)["eye.L"][2] < joints_of(body, angles)["eye.L"][2] - 0.02


def test_no_limb_runs_through_the_body(body, poses):
    collisions = LimbCollisions(body)
    joints = body.pose(MIDDLE, poses[:300]).joints
    assert not collisions.overlap(joints).any()
    folded = joints.copy()
    wrist, hand = body.joint_index("wrist.L"), body.joint_index("finger3-2.L")
    folded[:, wrist] = folded[:, hand] = folded[:, body.joint_index("spine03")]
    assert collisions.overlap(folded).all()


def test_most_people_are_upright_and_the_variety_is_wide(body, poses):
    joints = body.pose(MIDDLE, poses[:600]).joints
    index = body.joint_index
    upright = joints[:, index("head"), 2] - joints[:, index("root"), 2] > 0.35
    assert 0.8 < upright.mean() < 0.97
    for side in "LR":
        raised = joints[:, index(f"wrist.{side}"), 2] > joints[:, index("head"), 2]
        assert 0.04 < raised[upright].mean() < 0.3
        thigh = joints[:, index(f"lowerleg01.{side}")] - joints[:, index(f"upperleg01.{side}")]
        level = -thigh[:, 2] / np.linalg.norm(thigh, axis=1) < 0.5
        assert 0.12 < level[upright].mean() < 0.45
    yaw = np.arctan2(poses[:, 0, 1, 0], poses[:, 0, 0, 0])[: len(upright)][upright]
    assert np.abs(np.degrees(yaw)).max() < 25


def test_a_pose_is_quick(body):
    rng = np.random.default_rng(0)
    sample_pose(body, rng)
    start = time.perf_counter()
    for _ in range(50):
        sample_pose(body, rng)
    assert (time.perf_counter() - start) / 50 < 0.02  # 0.4 ms on an idle core; the machine may be busy


def test_fold_reflects_at_the_limits():
    values = fold(np.array([-5.0, 0, 3, 10, 12, 20, 23, -10]), np.array(0.0), np.array(10.0))
    np.testing.assert_allclose(values, [5, 0, 3, 10, 8, 0, 3, 10])


def test_segment_distance_against_dense_sampling():
    rng = np.random.default_rng(4)
    t = np.linspace(0, 1, 201)[:, None]
    for p, q, r, s in rng.normal(size=(40, 4, 3)):
        one, two = p + t * (q - p), r + t * (s - r)
        sampled = np.linalg.norm(one[:, None] - two[None], axis=-1).min()
        exact = np.sqrt(segment_distance_squared(p, q, r, s))
        assert exact <= sampled + 1e-9 and sampled - exact < 0.02
    point = np.ones(3)
    assert segment_distance_squared(point, point, np.zeros(3), np.zeros(3)) == pytest.approx(3)


def test_tables_name_each_mode_once():
    for modes in (LEG_MODES, ARM_MODES):
        assert len({mode.name for mode in modes}) == len(modes)
        assert all(mode.weight > 0 for mode in modes)
