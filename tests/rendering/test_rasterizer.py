"""The rasteriser: what it draws, that both backends agree bit for bit, what is refused or skipped."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from meshpose_plugins.rendering import interpolate, rasterize, render_iuv


def sphere(subdivisions=3, radius=20.0, center=(32.0, 24.0, 5.0)):
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return mesh.vertices + np.array(center), np.asarray(mesh.faces)


def assert_identical(a, b):
    for name in ("face_ids", "barycentrics", "depth"):
        x, y = getattr(a, name), getattr(b, name)
        assert x.dtype == y.dtype and x.shape == y.shape
        assert x.tobytes() == y.tobytes(), name


def both(xyz, faces, height=48, width=64):
    fast = rasterize(xyz, faces, height, width, backend="numba")
    assert_identical(fast, rasterize(xyz, faces, height, width, backend="numpy"))
    return fast


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_triangle_covers_the_pixel_centres_inside_and_on_its_border(backend):
    triangle = np.array([[0.0, 0.0, 1.0], [4.0, 0.0, 5.0], [0.0, 4.0, 1.0]])
    raster = rasterize(triangle, np.array([[0, 1, 2]]), 6, 6, backend)
    rows, columns = np.mgrid[:6, :6]
    np.testing.assert_array_equal(raster.mask, rows + columns <= 4)
    np.testing.assert_array_equal(raster.face_ids, np.where(rows + columns <= 4, 0, -1))
    np.testing.assert_allclose(raster.depth[raster.mask], 1 + columns[raster.mask], rtol=1e-6)
    assert np.isinf(raster.depth[~raster.mask]).all()
    np.testing.assert_allclose(raster.barycentrics[1, 2], [1 / 4, 2 / 4, 1 / 4], rtol=1e-6)
    assert raster.face_ids.dtype == np.int32 and raster.depth.dtype == raster.barycentrics.dtype == np.float32


def test_nearest_face_wins_and_equal_depth_goes_to_the_smaller_id():
    square = np.array([[0, 0, 0], [9, 0, 0], [9, 9, 0], [0, 9, 0]], dtype=float)
    xyz = np.concatenate([square + [0, 0, 3], square + [0, 0, 2], square + [0, 0, 2]])
    faces = np.concatenate([np.array([[0, 1, 2], [0, 2, 3]]) + 4 * k for k in range(3)])
    raster = both(xyz, faces, 10, 10)
    assert set(np.unique(raster.face_ids)) == {2, 3}
    diagonal = np.diagonal(
        raster.face_ids
    )  # belongs to both triangles of the nearer squares, four faces in all
    assert (diagonal == 2).all()


def test_sphere_matches_its_analytic_depth():
    xyz, faces = sphere(5)
    raster = both(xyz, faces)
    rows, columns = np.mgrid[:48, :64]
    inside = 19.0**2 - (columns - 32) ** 2 - (rows - 24) ** 2 > 0
    assert raster.mask[inside].all()
    expected = 5 - np.sqrt(20.0**2 - (columns[inside] - 32) ** 2 - (rows[inside] - 24) ** 2)
    assert np.abs(raster.depth[inside] - expected).max() < 0.2


def test_neighbouring_faces_leave_no_gap():
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:13, :13]
    xyz = np.stack([columns, rows, np.zeros_like(rows)], axis=-1).reshape(-1, 3).astype(float)
    inner = (xyz[:, :2] > 0).all(axis=1) & (xyz[:, :2] < 12).all(axis=1)
    xyz[inner, :2] += np.round(rng.uniform(-0.4, 0.4, (inner.sum(), 2)) * 8) / 8
    xyz[:, :2] *= 4  # many vertices and edges exactly on pixel centres
    corner = (np.arange(12)[:, None] * 13 + np.arange(12)).reshape(-1)
    faces = np.concatenate(
        [np.stack([corner, corner + 1, corner + 14], 1), np.stack([corner, corner + 14, corner + 13], 1)]
    )
    assert both(xyz, faces, 49, 49).mask.all()


def test_winding_and_face_order_of_corners_do_not_change_what_is_covered():
    xyz, faces = sphere()
    a, b = both(xyz, faces), both(xyz, faces[:, ::-1])
    np.testing.assert_array_equal(a.mask, b.mask)
    np.testing.assert_allclose(a.depth, b.depth, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([0.5, 3.0, 20.0, 200.0, 1e6, 1e30, 3e38]),
    snap=st.booleans(),
)
def test_backends_agree_on_random_soups(seed, scale, snap):
    rng = np.random.default_rng(seed)
    with np.errstate(over="ignore"):
        xyz = (rng.normal(size=(60, 3)) * scale + 16).astype(np.float32)
    if snap and scale < 1e3:
        xyz = np.round(xyz)  # edges through pixel centres, equal depths, faces without area
    xyz[rng.integers(0, 60, 2)] = np.array([np.nan, 0, 0]), np.array([0, np.inf, 0])
    both(xyz, rng.integers(0, 60, (150, 3)), 31, 33)


def test_large_faces_are_drawn_in_chunks_with_the_same_result(monkeypatch):
    rng = np.random.default_rng(1)
    xyz, faces = rng.uniform(-20, 80, (90, 3)), rng.integers(0, 90, (200, 3))
    whole = both(xyz, faces)
    monkeypatch.setattr("meshpose_plugins.rendering.rasterizer._FRAGMENTS_PER_CHUNK", 500)
    assert_identical(whole, rasterize(xyz, faces, 48, 64, backend="numpy"))


def test_faces_without_area_or_with_non_finite_vertices_are_skipped():
    xyz = np.array(
        [[0, 0, 0], [9, 0, 0], [0, 9, 0], [np.nan, 3, 0], [5, 5, np.inf], [4.5, 0, 0], [1e300, 0, 0]]
    )
    faces = np.array([[0, 1, 3], [0, 1, 4], [0, 5, 1], [2, 2, 1], [0, 2, 6]])
    assert not both(xyz, faces, 10, 10).mask.any()
    assert both(xyz, np.concatenate([faces, [[0, 1, 2]]]), 10, 10).face_ids.max() == 5


def test_faces_outside_and_partly_outside():
    xyz = np.array([[-1e7, -1e7, 1], [1e7, -1e7, 1], [0, 1e7, 1], [100, 0, 0], [110, 0, 0], [100, 10, 0]])
    raster = both(xyz, np.array([[3, 4, 5], [0, 1, 2]]), 20, 30)
    assert (raster.face_ids == 1).all() and (raster.depth == 1).all()


def test_empty_mesh_and_background_depth():
    raster = both(np.zeros((0, 3)), np.zeros((0, 3), dtype=int), 4, 5)
    assert not raster.mask.any() and (raster.height, raster.width) == (4, 5)
    triangle = np.array([[0.0, 0.0, 50.0], [2.0, 0.0, 50.0], [0.0, 2.0, 50.0]])
    drawn = rasterize(triangle, np.array([[0, 1, 2]]), 4, 4, background_depth=10.0)
    assert drawn.depth[0, 0] == 50 and drawn.depth[3, 3] == 10


@pytest.mark.parametrize(
    "xyz, faces, size, backend, message",
    [
        (np.zeros((3, 2)), [[0, 1, 2]], (4, 4), "numpy", r"xyz must have shape \(N, 3\), got \(3, 2\)"),
        (np.zeros((3, 3)), [[0, 1]], (4, 4), "numpy", r"faces must have shape \(M, 3\), got \(1, 2\)"),
        (np.zeros((3, 3)), [[0, 1, 3]], (4, 4), "numba", "faces name vertices 0..3, but xyz has 3"),
        (np.zeros((3, 3)), [[0, 1, -1]], (4, 4), "numba", "faces name vertices -1..1"),
        (np.zeros((3, 3)), [[0.0, 1.0, 2.0]], (4, 4), "numba", "integers, got float64"),
        (np.zeros((3, 3)), [[0, 1, 2]], (0, 4), "numba", "got 0 x 4"),
        (np.zeros((3, 3)), [[0, 1, 2]], (4, 4), "cuda", "got 'cuda'"),
    ],
)
def test_bad_input_is_named(xyz, faces, size, backend, message):
    with pytest.raises(ValueError, match=message):
        rasterize(xyz, np.array(faces), *size, backend=backend)


def test_interpolate_reproduces_positions():
    xyz, faces = sphere()
    raster = both(xyz, faces)
    position = interpolate(raster, faces, xyz)
    rows, columns = np.nonzero(raster.mask)
    np.testing.assert_allclose(position[rows, columns, 0], columns, atol=1e-4)
    np.testing.assert_allclose(position[rows, columns, 1], rows, atol=1e-4)
    np.testing.assert_allclose(position[rows, columns, 2], raster.depth[rows, columns], atol=1e-4)
    assert (position[~raster.mask] == 0).all()
    assert (interpolate(raster, faces, xyz, background=-1)[~raster.mask] == -1).all()
    with pytest.raises(ValueError, match="only 3 faces"):
        interpolate(raster, faces[:3], xyz)


def test_render_iuv_writes_part_and_chart_coordinates():
    xyz, faces = sphere()
    raster = both(xyz, faces)
    parts = np.arange(len(faces)) % 24 + 1
    uv = np.random.default_rng(0).random((len(faces), 3, 2))
    iuv = render_iuv(raster, parts, uv)
    ids = raster.face_ids[raster.mask]
    np.testing.assert_array_equal(iuv[raster.mask][:, 0], parts[ids])
    expected = (raster.barycentrics[raster.mask][:, :, None] * uv[ids]).sum(axis=1)
    np.testing.assert_allclose(iuv[raster.mask][:, 1:], expected, atol=1e-6)
    assert (iuv[~raster.mask] == 0).all()
    with pytest.raises(ValueError, match="face_uv"):
        render_iuv(raster, parts, uv[:, :2])
