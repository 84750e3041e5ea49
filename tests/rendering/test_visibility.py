"""Which vertices are seen: against geometry, against the plain reference, and against the z-buffer."""

import numpy as np
import pytest
import trimesh

from meshpose_plugins.rendering import rasterize, vertex_visibility


def ball(radius=20.0, center=(32.0, 24.0, 0.0), subdivisions=3):
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return mesh.vertices + np.array(center), np.asarray(mesh.faces)


def test_front_half_of_a_sphere_is_seen():
    xyz, faces = ball()
    visible = vertex_visibility(rasterize(xyz, faces, 48, 64), xyz, faces)
    assert visible.dtype == bool and visible.shape == (len(xyz),)
    assert visible[xyz[:, 2] < -2].all() and not visible[xyz[:, 2] > 2].any()


def test_pictures_smaller_than_the_faces_give_the_same_answer():
    xyz, faces = ball()
    small = np.column_stack([xyz[:, :2] * 0.05 + 2, xyz[:, 2] * 0.05])
    expected = vertex_visibility(rasterize(xyz, faces, 48, 64), xyz, faces)
    got = vertex_visibility(rasterize(small, faces, 6, 8), small, faces)
    assert (expected != got).mean() < 0.01


@pytest.mark.parametrize("seed", range(4))
def test_backends_agree_on_random_meshes(seed):
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(-8, 48, (120, 3))
    if seed % 2:
        xyz = np.round(xyz / 4) * 4
    xyz[0], xyz[1] = np.nan, np.inf
    faces = rng.integers(0, 120, (60, 3))
    raster = rasterize(xyz, faces, 40, 36)
    fast, plain = (vertex_visibility(raster, xyz, faces, backend=name) for name in ("numba", "numpy"))
    np.testing.assert_array_equal(fast, plain)
    assert 0 < fast.sum() < 120 and not fast[:2].any()
    ids = rng.permutation(120)[:30]
    np.testing.assert_array_equal(vertex_visibility(raster, xyz, faces, ids), fast[ids])


def test_agrees_with_the_z_buffer_away_from_silhouettes():
    xyz, faces = ball(subdivisions=4)
    other, other_faces = ball(8.0, (40.0, 20.0, -40.0))
    scene, scene_faces = np.concatenate([xyz, other]), np.concatenate([faces, other_faces + len(xyz)])
    scene = scene * 8
    raster = rasterize(scene, scene_faces, 48 * 8, 64 * 8)
    visible = vertex_visibility(raster, scene, scene_faces)
    column, row = np.rint(scene[:, :2]).astype(int).T
    seen = scene[:, 2] < raster.depth[row, column] + 4
    flat = np.abs(np.concatenate([xyz[:, 2] / 20, (other[:, 2] + 40) / 8])) > 0.2
    assert (seen == visible)[flat].mean() > 0.99 and 0.2 < visible[flat].mean() < 0.6
    behind = np.hypot(xyz[:, 0] - 40, xyz[:, 1] - 20) < 7.5
    assert behind.any() and not visible[: len(xyz)][behind].any()


def test_vertices_outside_the_picture_are_not_seen():
    triangle = np.array([[-0.6, 1.0, 0.0], [-0.4, 1.0, 0.0], [3.4, 2.0, 0.0]])
    visible = vertex_visibility(
        rasterize(triangle, np.array([[0, 1, 2]]), 4, 4), triangle, np.array([[0, 1, 2]])
    )
    np.testing.assert_array_equal(visible, [False, True, True])


def test_coincident_vertices_do_not_hide_each_other():
    xyz, faces = ball()
    split = xyz[faces].reshape(-1, 3)
    split_faces = np.arange(len(split)).reshape(-1, 3)
    raster = rasterize(split, split_faces, 48, 64)
    np.testing.assert_array_equal(
        vertex_visibility(raster, split, split_faces),
        vertex_visibility(raster, xyz, faces)[faces].reshape(-1),
    )


def test_bad_input_is_named():
    xyz, faces = ball()
    raster = rasterize(xyz, faces, 48, 64)
    with pytest.raises(ValueError, match="tolerance must be a finite number >= 0, got -1"):
        vertex_visibility(raster, xyz, faces, tolerance=-1)
    with pytest.raises(ValueError, match=r"vertex_ids must lie in 0..641, got 3..642"):
        vertex_visibility(raster, xyz, faces, vertex_ids=[3, 642])
    with pytest.raises(ValueError, match="vertex_ids must be"):
        vertex_visibility(raster, xyz, faces, vertex_ids=[[0.5]])
