"""The built-in template: what the issue of a template asks of it, measured on the shipped file."""

import numpy as np
import pytest
import torch

from meshpose_plugins.bodies import load_body
from meshpose_plugins.templates import BodySurface, load_template
from meshpose_plugins.templates.builder import random_bodies
from meshpose_plugins.templates.parts import MIRROR_PARTS, NUM_PARTS
from meshpose_plugins.templates.quality import check_template, measure_template


@pytest.fixture(scope='module')
def template():
    return load_template('anny')


@pytest.fixture(scope='module')
def posed():
    return random_bodies(load_body('anny'), 100, seed=987)


@pytest.fixture(scope='module')
def figures(template, posed):
    return measure_template(template, posed[0])


def test_size(template):
    assert 400 <= template.num_vertices <= 620
    assert template.faces.shape == (2 * template.num_vertices - 4, 3)  # closed, genus 0


def test_vertices_are_body_vertices(template):
    body = load_body('anny')
    np.testing.assert_array_equal(template.vertices, body.vertices[template.source_vertex_ids])


def test_closed_manifold_symmetric(template):
    check_template(template)
    mirrored = template.vertices[template.symmetry] * [-1, 1, 1]
    np.testing.assert_allclose(mirrored, template.vertices, atol=1e-4)


def test_broken_meshes_are_noticed(template):
    import dataclasses

    with pytest.raises(ValueError, match='closed'):
        check_template(dataclasses.replace(template, faces=template.faces[1:]))
    with pytest.raises(ValueError, match='involution'):
        check_template(dataclasses.replace(template, symmetry=np.roll(template.symmetry, 1)))


def test_every_part_is_there_and_mirrored(template):
    assert set(np.unique(template.face_parts)) == set(range(1, NUM_PARTS + 1))
    counts = np.bincount(template.face_parts, minlength=NUM_PARTS + 1)[1:]
    np.testing.assert_array_equal(counts, counts[np.array(MIRROR_PARTS) - 1])


def test_hands_feet_and_head_keep_detail(figures):
    assert (
        figures['hand_vertices'] >= 50 and figures['foot_vertices'] >= 30 and figures['head_vertices'] >= 60
    )


def test_upsampling_error(template, figures, posed):
    assert figures['upsampling'] < 2.0  # mm; asked for: under 4
    vertices = posed[0][:3]
    low_poly = vertices[:, template.source_vertex_ids]
    upsampled = template.upsample(low_poly)
    np.testing.assert_allclose(upsampled[:, template.source_vertex_ids], low_poly, atol=1e-6)


def test_chart_round_trips(figures):
    assert figures['chart'] < 0.1 and figures['chart_p99'] < 1.0
    assert figures['chart_8bit'] < 1.5
    assert figures['low_poly_chart'] < 3.0 and figures['low_poly_chart_p99'] < 15.0


def test_upsample_joints_keypoints_agree_between_numpy_and_torch(template):
    xyz = np.random.default_rng(0).normal(size=(2, 3, template.num_vertices, 3)).astype(np.float32)
    for function in (template.upsample, template.joints, template.keypoints):
        expected = function(xyz)
        assert expected.shape[:2] == (2, 3) and expected.dtype == np.float32
        np.testing.assert_allclose(function(torch.from_numpy(xyz)).numpy(), expected, atol=1e-5)
    affine = template.upsample(np.ones((template.num_vertices, 1), np.float32))
    np.testing.assert_allclose(affine, 1, atol=1e-5)


def test_joints_and_keypoints_on_posed_bodies(template, posed):
    vertices, joints, keypoints = posed
    low_poly = vertices[:, template.source_vertex_ids]
    names = load_body('anny').joint_names
    wanted = joints[:, [names.index(name) for name in template.joint_names]]
    assert np.linalg.norm(template.joints(low_poly) - wanted, axis=-1).mean() < 0.012
    assert np.linalg.norm(template.keypoints(low_poly) - keypoints, axis=-1).mean() < 0.008
    assert template.joint_names[template.root_joint] == 'root'


def test_flip_mirrors_the_surface_point(template):
    rng = np.random.default_rng(1)
    faces = rng.integers(len(template.surface.faces), size=2000)
    barycentrics = rng.dirichlet([1, 1, 1], 2000)
    point = template.surface.points(faces, barycentrics)
    i, u, v = template.surface.iuv(faces, barycentrics)
    flipped = template.flip_iuv(i, u, v)
    mirrored = template.surface.points(*template.surface.locate_iuv(*flipped))
    assert np.linalg.norm(mirrored - point * [-1, 1, 1], axis=1).max() < 5e-4
    for twice, once in zip(template.flip_iuv(*flipped), (i, u, v)):
        np.testing.assert_allclose(twice, once, atol=1e-5)


def test_mirror(template):
    xyz = np.random.default_rng(2).normal(size=(template.num_vertices, 3))
    np.testing.assert_array_equal(template.mirror(template.mirror(xyz, 96), 96)[:, 1:], xyz[:, 1:])
    mirrored = template.mirror(xyz, 96)
    np.testing.assert_allclose(mirrored[:, 0], 95 - xyz[template.symmetry, 0])
    np.testing.assert_allclose(template.mirror(torch.from_numpy(xyz), 96).numpy(), mirrored)


def test_keypoint_scores_are_weighted_means(template):
    visibility = np.random.default_rng(3).random((2, template.num_vertices)).astype(np.float32)
    scores = template.keypoint_scores(visibility)
    assert scores.shape == (2, 17)
    weights = np.abs(template.keypoint_regressor[5])
    assert scores[1, 5] == pytest.approx(np.average(visibility[1], weights=weights), abs=1e-6)
    np.testing.assert_allclose(template.keypoint_scores(np.ones_like(visibility)), 1, atol=1e-6)
    np.testing.assert_allclose(
        template.keypoint_scores(torch.from_numpy(visibility)).numpy(), scores, atol=1e-6
    )
    with pytest.raises(ValueError, match='vertices: expected an array of shape'):
        template.keypoint_scores(visibility[:, 1:])


def test_locate_iuv_stays_in_the_part(template):
    rng = np.random.default_rng(3)
    i, u, v = rng.integers(1, 25, 3000), rng.random(3000), rng.random(3000)
    ids, barycentrics = template.locate_iuv(i, u, v)
    assert (barycentrics >= 0).all()
    np.testing.assert_allclose(barycentrics.sum(axis=1), 1, atol=1e-9)
    part_of = {tuple(face): part for face, part in zip(template.faces.tolist(), template.face_parts.tolist())}
    assert [part_of[tuple(triangle)] for triangle in ids.tolist()] == i.tolist()


@pytest.mark.parametrize(
    'i, u, v, message',
    [
        (0, 0.5, 0.5, 'part 1 to 24, got 0 at point 1'),
        (25, 0.5, 0.5, 'got 25'),
        (3, 1.5, 0.5, r'\[0, 1\]'),
        (3, float('nan'), 0.5, r'\[0, 1\]'),
    ],
)
def test_locate_iuv_names_bad_input(template, i, u, v, message):
    with pytest.raises(ValueError, match=message):
        template.locate_iuv(np.array([1, i]), np.array([0.5, u]), np.array([0.5, v]))


def test_geodesics(template):
    distances = template.geodesics
    straight = np.linalg.norm(template.vertices[:, None] - template.vertices[None], axis=2)
    np.testing.assert_allclose(distances, distances.T, atol=2e-3)
    assert (distances >= straight - 2e-3).all()
    assert (np.diag(distances) == 0).all()
    assert 1.5 < distances.max() < 2.6  # fingertip to opposite foot


def test_wrong_vertex_count_is_named(template):
    with pytest.raises(ValueError, match=f"'anny' has {template.num_vertices} vertices.*got \\(5, 3\\)"):
        template.upsample(np.zeros((5, 3)))


def test_surface_is_consistent(template):
    surface = template.surface
    assert isinstance(surface, BodySurface)
    assert surface.face_uv.min() >= 0 and surface.face_uv.max() <= 1
    edges = surface.face_uv[:, 1:] - surface.face_uv[:, :1]
    area = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    for part in range(1, NUM_PARTS + 1):  # no chart folds over itself
        signs = np.sign(area[surface.face_parts == part])
        assert abs(signs.sum()) == len(signs)
