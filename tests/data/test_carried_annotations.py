"""Annotations on SMPL's charts that supervise a template on anny."""

import json

import numpy as np
import pytest
import smpl_topology

from meshpose_plugins.bodies import load_body
from meshpose_plugins.bodies.pose_sampling import sample_pose
from meshpose_plugins.cli.build_correspondence import main
from meshpose_plugins.data.correspondence_builder import (
    build_correspondence,
    measure_correspondence,
    outer_vertices,
    project_vertices,
)
from meshpose_plugins.data.densepose import DensePoseCoco
from meshpose_plugins.templates import load_template
from meshpose_plugins.templates.correspondence import (
    CarriedCharts,
    builtin_correspondences,
    load_correspondence,
    save_correspondence,
)
from meshpose_plugins.templates.parts import PART_NAMES
from meshpose_plugins.templates.registration import RegistrationSettings, rest_pose
from meshpose_plugins.templates.segmentation import SEGMENT_NAMES, adjacent_segments


@pytest.fixture(scope='module')
def template():
    return load_template('anny')


@pytest.fixture(scope='module')
def shipped():
    return load_correspondence('smpl_to_anny')


@pytest.fixture(scope='module')
def body(tmp_path_factory):
    """A body in SMPL's topology whose faces come with the charts."""
    charts = smpl_topology.charts_or_skip()
    path = tmp_path_factory.mktemp('smpl') / 'SMPL_NEUTRAL.npz'
    np.savez(path, **smpl_topology.model_fields(charts.closed_faces()))
    return load_body('smpl', path)


def chart_points(charts, count, seed=0):
    """I, U, V of random points and their triangles' vertices and places."""
    rng = np.random.default_rng(seed)
    faces, places = rng.integers(len(charts.faces), size=count), rng.dirichlet([1, 1, 1], count)
    uv = np.einsum('pk,pkd->pd', places, charts.face_uv[faces])
    return charts.face_parts[faces], uv[:, 0], uv[:, 1], charts.faces[faces], places


def segments_of_parts(parts):
    names = [PART_NAMES[part - 1] for part in parts]
    stems = ['torso' if 'torso' in n else 'head' if 'head' in n else n.rsplit('_', 1)[0] for n in names]
    return np.array([SEGMENT_NAMES.index(s if s in SEGMENT_NAMES else n) for s, n in zip(stems, names)])


def test_shipped_file(shipped, template, tmp_path):
    assert 'smpl_to_anny' in builtin_correspondences()
    assert (shipped.source, shipped.target, len(shipped.faces)) == ('smpl', 'anny', 6890)
    np.testing.assert_allclose(shipped.barycentrics.sum(axis=1), 1, atol=1e-6)
    assert shipped.barycentrics.min() > -1e-3
    assert shipped.errors['surface'] < 1 and shipped.errors['face'] < 15 and shipped.errors['joints'] < 30
    assert shipped.errors['segments_or_beside'] > 99.9
    save_correspondence(shipped, tmp_path / 'again.npz')
    again = load_correspondence(tmp_path / 'again.npz')
    np.testing.assert_array_equal(again.faces, shipped.faces)
    np.testing.assert_allclose(again.points(template.surface), shipped.points(template.surface), atol=1e-5)
    assert again.errors == shipped.errors


def test_carried_vertices_are_where_the_file_says(shipped, template):
    ids = np.arange(0, 6890, 7)
    faces, places = shipped.carry(np.stack([ids] * 3, axis=1), np.tile([1.0, 0, 0], (len(ids), 1)), template.surface)
    found = template.surface.points(faces, places)
    assert np.linalg.norm(found - shipped.points(template.surface)[ids], axis=1).max() < 1e-5


def test_no_point_jumps_to_another_limb(shipped, template):
    charts = smpl_topology.charts_or_skip()
    i, u, v, corners, places = chart_points(charts, 4000)
    carried = CarriedCharts(charts, shipped, template)
    triangles, barycentrics = carried.locate_iuv(i, u, v)
    part_of = {tuple(sorted(f)): p for f, p in zip(template.faces.tolist(), template.face_parts.tolist())}
    before = segments_of_parts(i)
    after = segments_of_parts([part_of[tuple(sorted(t))] for t in triangles.tolist()])
    assert all(b in adjacent_segments(a) for a, b in zip(before, after))
    assert (before == after).mean() > 0.9
    # Left stays left, and a point stays near its triangle's corners.
    points = np.einsum('pk,pkd->pd', barycentrics, template.vertices[triangles])
    at_corners = shipped.points(template.surface)[corners]
    spread = np.linalg.norm(at_corners - at_corners.mean(axis=1, keepdims=True), axis=2).max(axis=1)
    assert np.percentile(np.linalg.norm(points - at_corners.mean(axis=1), axis=1) - spread, 99) < 0.02
    limbs = ~np.isin(before, [SEGMENT_NAMES.index('torso'), SEGMENT_NAMES.index('head')])
    is_left = np.array([name.startswith('left') for name in SEGMENT_NAMES])
    assert ((points[limbs, 0] > 0) == is_left[before[limbs]]).mean() > 0.99


def test_a_quick_fit_agrees_with_the_shipped_file(body, shipped, template):
    settings = RegistrationSettings(8, 6, 0, stiffness=(100, 10, 3))
    lines = []
    found = build_correspondence(body, load_body('anny'), settings, lines.append)
    away = np.linalg.norm(found.points(template.surface) - shipped.points(template.surface), axis=1)
    assert np.median(away) < 0.01 and len(lines) == 4
    assert found.errors['surface'] < 2 and found.errors['segments_or_beside'] > 99
    assert found.errors['face'] < 25 and found.errors['joints'] < 40
    measured = measure_correspondence(found, body, load_body('anny'))
    np.testing.assert_allclose(measured['joints'], found.errors['joints'], rtol=1e-5)


def test_outside_of_a_body_with_a_mouth():
    anny = load_body('anny')
    outside = outer_vertices(rest_pose(anny).vertices, anny.faces)
    assert 0.85 < outside.mean() < 0.97
    # A small ball within a large one is inside.
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=2)
    vertices = np.concatenate([ball.vertices, 0.5 * ball.vertices])
    faces = np.concatenate([ball.faces, ball.faces + len(ball.vertices)])
    np.testing.assert_array_equal(outer_vertices(vertices, faces), np.arange(len(vertices)) < len(ball.vertices))


def test_projection_prefers_the_side_that_faces_the_same_way():
    # Two parallel squares back to back: the nearer one faces away.
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    up, down = np.array([[0, 1, 2], [0, 2, 3]]), np.array([[4, 6, 5], [4, 7, 6]])
    target = np.concatenate([square, square + [0, 0, 0.02]])
    target_faces = np.concatenate([up, down])
    torso = np.zeros(8, int)
    source = square * 0.5 + [0.25, 0.25, 0.03]
    found, places, distances = project_vertices(source, up, torso[:4], target, target_faces, torso)
    assert set(found) <= {0, 1}
    np.testing.assert_allclose(distances, 0.03, atol=1e-9)
    np.testing.assert_allclose(
        np.einsum('pk,pkd->pd', places, target[target_faces[found]]), source * [1, 1, 0], atol=1e-9
    )


def annotation_file(path, charts, **info):
    """One person of 40 points on SMPL's charts."""
    i, u, v, corners, places = chart_points(charts, 40, seed=5)
    rng = np.random.default_rng(6)
    person = dict(
        id=1, image_id=1, category_id=1, iscrowd=0, bbox=[10, 20, 100, 200], area=9000,
        dp_x=rng.uniform(0, 255, 40).tolist(), dp_y=rng.uniform(0, 255, 40).tolist(),
        dp_I=i.tolist(), dp_U=u.tolist(), dp_V=v.tolist(),
    )  # fmt: skip
    image = dict(id=1, file_name='1.jpg', width=200, height=300)
    content = dict(images=[image], annotations=[person], categories=[dict(id=1, name='person')], info=info)
    path.write_text(json.dumps(content))
    return i, u, v


def test_densepose_coco_on_anny(tmp_path, template, shipped):
    charts = smpl_topology.charts_or_skip()
    path = tmp_path / 'densepose.json'
    i, u, v = annotation_file(path, charts)
    with pytest.raises(ValueError, match="or correspondence='smpl_to_anny'"):
        DensePoseCoco(path, template)
    data = DensePoseCoco(path, template, correspondence='smpl_to_anny', cache=True)
    triangles, barycentrics = CarriedCharts(charts, shipped, template).locate_iuv(i, u, v)
    np.testing.assert_array_equal(data[0].points.vertex_ids, triangles)
    np.testing.assert_allclose(data[0].points.barycentrics, barycentrics, atol=1e-6)
    assert not data.from_cache
    assert DensePoseCoco(path, template, correspondence='smpl_to_anny', cache=True).from_cache
    # Another correspondence is another cache.
    other = shipped.__class__(**{**vars(shipped), 'barycentrics': np.roll(shipped.barycentrics, 1, axis=1)})
    save_correspondence(other, tmp_path / 'c.npz')
    assert not DensePoseCoco(path, template, correspondence=tmp_path / 'c.npz', cache=True).from_cache


def test_files_on_the_templates_own_surface_are_left_alone(tmp_path, template):
    charts = smpl_topology.charts_or_skip()
    path = tmp_path / 'own.json'
    i, u, v = annotation_file(path, charts, densepose_surface='anny')
    plain, carried = DensePoseCoco(path, template), DensePoseCoco(path, template, correspondence='smpl_to_anny')
    np.testing.assert_array_equal(plain[0].points.vertex_ids, carried[0].points.vertex_ids)
    annotation_file(path, charts, densepose_surface='other')
    with pytest.raises(ValueError, match=r"'other'.*starts at 'smpl'"):
        DensePoseCoco(path, template, correspondence='smpl_to_anny')


def test_wrong_correspondences_are_named(tmp_path, template, shipped, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no correspondence 'smpl_to_none': .*smpl_to_anny"):
        load_correspondence('smpl_to_none')
    (tmp_path / 'broken.npz').write_bytes(b'no zip')
    with pytest.raises(ValueError, match='broken.npz is no correspondence file'):
        load_correspondence(tmp_path / 'broken.npz')
    np.savez(tmp_path / 'old.npz', correspondence_version=0)
    with pytest.raises(ValueError, match="'correspondence_version' is 0"):
        load_correspondence(tmp_path / 'old.npz')
    np.savez(tmp_path / 'short.npz', correspondence_version=1, barycentrics=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="lacks 'source'"):
        load_correspondence(tmp_path / 'short.npz')
    elsewhere = shipped.__class__(**{**vars(shipped), 'target': 'other'})
    with pytest.raises(ValueError, match="leads to body 'other', but template 'anny' lies on 'anny'"):
        CarriedCharts(None, elsewhere, template)
    larger = shipped.__class__(**{**vars(shipped), 'num_target_vertices': 5})
    with pytest.raises(ValueError, match="of 5 vertices"):
        larger.carry(np.zeros((1, 3), int), np.ones((1, 3)) / 3, template.surface)
    with pytest.raises(ValueError, match='one of them must be anny'):
        build_correspondence(load_body('anny'), load_body('anny'))
    with pytest.raises(SystemExit, match="needs model_path"):
        main(['--out', str(tmp_path / 'x.npz')])


def test_poses_on_both_bodies_carry_alike(body, shipped, template):
    """Carried vertices follow the same limbs when both bodies take one pose."""
    anny, rng = load_body('anny'), np.random.default_rng(3)
    state = rng.bit_generator.state
    poses = sample_pose(anny, rng, 6)
    rng.bit_generator.state = state
    same = sample_pose(body, rng, 6)
    carried = np.einsum(
        'nk,bnkd->bnd', shipped.barycentrics, anny.pose(np.full(6, 0.5), poses).vertices[:, shipped.faces]
    )
    own = body.pose(np.full(10, 0.5), same).vertices
    size = np.ptp(body.vertices[:, 2]) / np.ptp(anny.vertices[:, 2])
    away = np.linalg.norm(carried * size - own - (carried * size - own).mean(axis=1, keepdims=True), axis=2)
    assert away.mean() < 0.08  # the bodies differ in shape and where their joints are; a wrong limb would be far off
