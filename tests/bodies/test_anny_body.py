"""The Anny body from its file: against bodies posed by anny, and against its own reference path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from meshpose_plugins.bodies import BODY_NAMES, BodyModel, load_body
from meshpose_plugins.bodies.anny import AnnyBody, grid_weights, interpolation_weights, nearest_rotations
from meshpose_plugins.bodies.base import COCO_KEYPOINT_NAMES

GOLDEN = Path(__file__).with_name("anny_golden.npz")
MIDDLE = np.full(6, 0.5)


@pytest.fixture(scope="module")
def body():
    return load_body("anny")


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        data = {key: file[key] for key in file.files}
    vectors = data["rotation_vectors"]
    data["rotations"] = (
        Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(vectors.shape[:2] + (3, 3))
    )
    return data


def identity(body):
    return np.tile(np.eye(3), (len(body.joint_names), 1, 1))


def test_agrees_with_anny_on_random_shapes_and_poses(body, golden):
    posed = body.pose(golden["shapes"], golden["rotations"])
    vertex_error = np.linalg.norm(posed.vertices[:, golden["vertex_ids"]] - golden["vertices"], axis=-1)
    joint_error = np.linalg.norm(posed.joints - golden["joints"], axis=-1)
    assert vertex_error.mean() < 0.5e-3
    assert vertex_error.mean(axis=1).max() < 1e-3
    assert joint_error.mean() < 0.5e-3


def test_has_the_topology_and_rig_of_anny(body, golden):
    assert body.joint_names == tuple(golden["joint_names"])
    assert (body.faces * np.array([1, 7, 49])).sum() == golden["face_checksum"]
    assert body.vertices.shape == (12272, 3) and body.vertices.dtype == np.float32
    assert body.faces.shape == (24540, 3) and body.faces.dtype == np.int64
    assert body.shape_names == ("gender", "age", "muscle", "weight", "height", "proportions")
    assert (
        body.parents[0] == -1
        and (body.parents[1:] < np.arange(1, 104)).all()
        and (body.parents[1:] >= 0).all()
    )
    assert isinstance(body, BodyModel)


def test_is_closed_and_faces_point_outward(body):
    a, b, c = (body.vertices[body.faces[:, k]].astype(np.float64) for k in range(3))
    edges = np.concatenate([body.faces[:, [0, 1]], body.faces[:, [1, 2]], body.faces[:, [2, 0]]])
    directed = edges[:, 0] * len(body.vertices) + edges[:, 1]
    opposite = edges[:, 1] * len(body.vertices) + edges[:, 0]
    assert len(np.unique(directed)) == len(directed)
    assert np.array_equal(np.sort(directed), np.sort(opposite))
    assert np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6 > 0.04  # volume in cubic metres


def test_compiled_path_equals_the_reference(body, golden):
    fast = body.pose(golden["shapes"], golden["rotations"])
    reference = body.pose(golden["shapes"], golden["rotations"], backend="numpy")
    for name in ("vertices", "joints", "keypoints"):
        np.testing.assert_allclose(getattr(fast, name), getattr(reference, name), atol=2e-6, err_msg=name)
        assert getattr(fast, name).dtype == np.float32


def test_single_body_equals_the_batch(body, golden):
    batch = body.pose(golden["shapes"][:3], golden["rotations"][:3])
    single = body.pose(golden["shapes"][1], golden["rotations"][1])
    assert (
        single.vertices.shape == (12272, 3)
        and single.joints.shape == (104, 3)
        and single.keypoints.shape == (17, 3)
    )
    np.testing.assert_allclose(single.vertices, batch.vertices[1], atol=2e-6)
    np.testing.assert_allclose(single.keypoints, batch.keypoints[1], atol=2e-6)


def test_one_shape_serves_many_poses_and_one_pose_many_shapes(body, golden):
    poses = body.pose(golden["shapes"][0], golden["rotations"][:3])
    shapes = body.pose(golden["shapes"][:3], golden["rotations"][0])
    assert poses.vertices.shape == shapes.vertices.shape == (3, 12272, 3)
    np.testing.assert_allclose(poses.vertices[0], shapes.vertices[0], atol=2e-6)


def test_translation_is_the_position_of_the_root(body, golden):
    offsets = np.array([[1.0, 2, 3], [-4, 5, 6]])
    moved = body.pose(golden["shapes"][:2], golden["rotations"][:2], offsets)
    plain = body.pose(golden["shapes"][:2], golden["rotations"][:2])
    np.testing.assert_allclose(moved.joints[:, 0], offsets, atol=1e-6)
    np.testing.assert_allclose(plain.joints[:, 0], 0, atol=1e-7)
    np.testing.assert_allclose(
        moved.vertices - plain.vertices, np.broadcast_to(offsets[:, None], (2, 12272, 3)), atol=2e-6
    )
    np.testing.assert_allclose(
        moved.keypoints - plain.keypoints, np.broadcast_to(offsets[:, None], (2, 17, 3)), atol=2e-6
    )


def test_root_rotation_turns_the_whole_body(body):
    rotations = identity(body)
    plain = body.pose(MIDDLE, rotations)
    rotations[0] = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    turned = body.pose(MIDDLE, rotations)
    np.testing.assert_allclose(turned.vertices, plain.vertices @ rotations[0].T, atol=2e-6)


def test_a_joint_moves_its_descendants_only(body):
    rotations = identity(body)
    plain = body.pose(MIDDLE, rotations)
    rotations[body.joint_index("lowerleg01.L")] = Rotation.from_euler("x", 70, degrees=True).as_matrix()
    bent = body.pose(MIDDLE, rotations)
    moved = np.linalg.norm(bent.joints - plain.joints, axis=1) > 1e-5
    names = [name for name, flag in zip(body.joint_names, moved) if flag]
    assert "foot.L" in names and "lowerleg02.L" in names
    assert all(name.endswith(".L") and name.startswith(("lowerleg02", "foot", "toe")) for name in names)


def test_stands_upright_facing_minus_y_with_its_left_at_plus_x(body):
    posed = body.pose(MIDDLE, identity(body))
    points = dict(zip(body.keypoint_names, posed.keypoints))
    assert points["left_shoulder"][0] > 0.1 > -0.1 > points["right_shoulder"][0]
    assert points["nose"][2] > points["left_hip"][2] > points["left_knee"][2] > points["left_ankle"][2]
    assert points["nose"][1] < points["left_ear"][1]
    assert 1.4 < np.ptp(posed.vertices[:, 2]) < 2.0


def test_keypoints_are_the_regressor_times_the_vertices(body, golden):
    posed = body.pose(golden["shapes"][0], golden["rotations"][0])
    assert body.keypoint_names == COCO_KEYPOINT_NAMES and body.keypoint_regressor.shape == (17, 12272)
    np.testing.assert_allclose(body.keypoint_regressor.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(posed.keypoints, body.keypoint_regressor @ posed.vertices, atol=5e-6)


def test_keypoints_lie_at_the_joints_they_name(body, golden):
    posed = body.pose(golden["shapes"], golden["rotations"])
    for keypoint, joint in (
        ("left_knee", "lowerleg01.L"),
        ("right_elbow", "lowerarm01.R"),
        ("left_ankle", "foot.L"),
    ):
        gap = (
            posed.keypoints[:, COCO_KEYPOINT_NAMES.index(keypoint)] - posed.joints[:, body.joint_index(joint)]
        )
        assert np.linalg.norm(gap, axis=1).max() < 0.06, keypoint


def test_left_and_right_joints_mirror_each_other(body):
    joints = body.pose(MIDDLE, identity(body)).joints
    for index, name in enumerate(body.joint_names):
        if name.endswith(".L"):
            other = joints[body.joint_index(name[:-1] + "R")] * (-1, 1, 1)
            np.testing.assert_allclose(joints[index], other, atol=2e-3, err_msg=name)


def test_shape_parameters_do_what_they_say(body):
    def size(**changes):
        shape = MIDDLE.copy()
        for name, value in changes.items():
            shape[body.shape_names.index(name)] = value
        return np.ptp(body.pose(shape, identity(body)).vertices, axis=0)

    assert size(height=0.8)[2] > size(height=0.2)[2] + 0.1
    assert size(age=0.0)[2] < 0.9 < size(age=0.66)[2]
    assert size(weight=1.0)[1] > size(weight=0.0)[1]


def test_sampled_shapes_are_plausible(body):
    rng = np.random.default_rng(3)
    shapes = np.array([body.sample_shape(rng) for _ in range(60)])
    assert shapes.shape == (60, 6) and shapes.dtype == np.float32
    assert shapes.min() >= 0 and shapes.max() <= 1
    heights = np.ptp(body.pose(shapes, identity(body)).vertices[..., 2], axis=1)
    adults = shapes[:, 1] > 0.57
    assert 0.7 < adults.mean() < 0.97
    assert heights[adults].min() > 1.35 and heights[adults].max() < 2.15
    assert heights[~adults].mean() < heights[adults].mean() - 0.1
    np.testing.assert_array_equal(
        body.sample_shape(np.random.default_rng(1)), body.sample_shape(np.random.default_rng(1))
    )


def test_interpolation_weights_are_the_hat_functions():
    anchors = np.array([0.0, 0.5, 1.0])
    weights = interpolation_weights(np.array([0.0, 0.1, 0.5, 0.75, 1.0, -3.0, 7.0]), anchors)
    expected = [[1, 0, 0], [0.8, 0.2, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1], [1, 0, 0], [0, 0, 1]]
    np.testing.assert_allclose(weights, expected, atol=1e-12)


def test_grid_weights_reproduce_multilinear_functions():
    anchors = (np.array([0.0, 1.0]), np.array([0.0, 0.5, 1.0]))
    corners = np.array([(a, b) for a in anchors[0] for b in anchors[1]])
    points = np.random.default_rng(0).random((20, 2))
    values = grid_weights(points, anchors) @ (
        1 + 2 * corners[:, 0] - corners[:, 1] + 3 * corners.prod(axis=1)
    )
    np.testing.assert_allclose(
        values, 1 + 2 * points[:, 0] - points[:, 1] + 3 * points.prod(axis=1), atol=1e-12
    )


def test_nearest_rotations_undo_noise_and_scale():
    rotations = Rotation.random(50, random_state=0).as_matrix()
    noisy = 3.0 * rotations + 0.01 * np.random.default_rng(0).normal(size=rotations.shape)
    found = nearest_rotations(noisy)
    np.testing.assert_allclose(np.linalg.det(found), 1, atol=1e-9)
    np.testing.assert_allclose(found, rotations, atol=0.02)
    np.testing.assert_allclose(np.linalg.det(nearest_rotations(-rotations)), 1, atol=1e-9)


def test_load_body_returns_the_same_object_and_names_the_known_ones(body):
    assert load_body("anny") is body
    with pytest.raises(ValueError, match="'annie'.*known bodies: anny") as error:
        load_body("annie")
    assert all(name in str(error.value) for name in BODY_NAMES)


@pytest.mark.parametrize(
    "shape, rotations, message",
    [
        (np.zeros(5), np.eye(3)[None].repeat(104, 0), r"shape must be .*got \(5,\)"),
        (np.full(6, 0.5), np.eye(3)[None].repeat(103, 0), r"rotations must be .*got \(103, 3, 3\)"),
        (
            np.array([0.5, 1.5, 0.5, 0.5, 0.5, 0.5]),
            np.eye(3)[None].repeat(104, 0),
            "'age' of body 0 is .*1.5",
        ),
        (
            np.array([0.5, 0.5, 0.5, np.nan, 0.5, 0.5]),
            np.eye(3)[None].repeat(104, 0),
            "'weight' of body 0 is .*nan",
        ),
        (np.full((2, 6), 0.5), np.tile(np.eye(3), (3, 104, 1, 1)), "shape has 2 bodies and rotations 3"),
    ],
)
def test_bad_arguments_are_named(body, shape, rotations, message):
    with pytest.raises(ValueError, match=message):
        body.pose(shape, rotations)


def test_bad_translation_backend_and_joint_are_named(body):
    with pytest.raises(ValueError, match=r"translation must be \(3,\) or \(1, 3\), got \(2,\)"):
        body.pose(MIDDLE, identity(body), np.zeros(2))
    with pytest.raises(ValueError, match="backend must be one of .*'cuda'"):
        body.pose(MIDDLE, identity(body), backend="cuda")
    with pytest.raises(ValueError, match="no joint 'foot.X'.*foot.L"):
        body.joint_index("foot.X")


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.npz.*tools/export_anny.py"):
        AnnyBody.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", version=99)
    with pytest.raises(ValueError, match="other.npz.*'version' is 99"):
        AnnyBody.load(tmp_path / "other.npz")
    np.savez(tmp_path / "plain.npz", vertices=np.zeros(3))
    with pytest.raises(ValueError, match="'version' is None"):
        AnnyBody.load(tmp_path / "plain.npz")
