"""Normals, shading and overlays."""

import numpy as np
import pytest
import trimesh

from meshpose_plugins.rendering import overlay_mesh, rasterize, shade, vertex_normals


@pytest.fixture(scope="module")
def ball():
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=20.0)
    xyz, faces = mesh.vertices + np.array([32.0, 24.0, 0.0]), np.asarray(mesh.faces)
    return xyz, faces, rasterize(xyz, faces, 48, 64)


def test_normals_of_a_sphere_point_outwards_and_backends_agree(ball):
    xyz, faces, _ = ball
    normals = vertex_normals(xyz, faces)
    np.testing.assert_array_equal(normals, vertex_normals(xyz, faces, backend="numpy"))
    np.testing.assert_allclose(normals, (xyz - [32, 24, 0]) / 20, atol=8e-3)
    lonely = vertex_normals(np.concatenate([xyz, [[np.nan, 0, 0], [1, 1, 1]]]), faces)
    assert (lonely[-2:] == 0).all() and np.isfinite(lonely).all()


@pytest.mark.parametrize("per_face", [False, True])
def test_backends_agree_and_background_stays_black(ball, per_face):
    xyz, faces, raster = ball
    colors = np.random.default_rng(0).random((len(faces) if per_face else len(xyz), 3))
    pictures = [
        shade(raster, xyz, faces, colors, per_face=per_face, backend=name) for name in ("numba", "numpy")
    ]
    np.testing.assert_allclose(*pictures, atol=1e-6)
    assert pictures[0].dtype == np.float32 and pictures[0].shape == (48, 64, 3)
    assert (pictures[0][~raster.mask] == 0).all() and pictures[0][raster.mask].max() <= 1


def test_lambert_law_on_a_sphere(ball):
    xyz, faces, raster = ball
    light = np.array([-0.6, 0.0, -0.8])
    picture = shade(
        raster, xyz, faces, (1.0, 1.0, 1.0), light=3 * light, ambient=0.2, diffuse=(0.7, 0.5, 0.0)
    )
    rows, columns = np.nonzero((np.hypot(*(np.indices((48, 64)) - np.array([24, 32])[:, None, None])) < 18))
    normal = np.stack([columns - 32, rows - 24, np.zeros(len(rows))], axis=1) / 20
    normal[:, 2] = -np.sqrt(1 - (normal**2).sum(axis=1))
    expected = 0.2 + np.maximum(normal @ light, 0)[:, None] * [0.7, 0.5, 0.0]
    np.testing.assert_allclose(picture[rows, columns], expected, atol=0.01)


def test_mirrored_and_inside_out_meshes_are_lit_the_same(ball):
    xyz, faces, raster = ball
    a = shade(raster, xyz, faces, (1.0, 0.5, 0.2))
    turned = faces[:, ::-1]
    b = shade(rasterize(xyz, turned, 48, 64), xyz, turned, (1.0, 0.5, 0.2))
    facing = np.hypot(*(np.indices((48, 64)) - np.array([24, 32])[:, None, None])) < 19
    np.testing.assert_allclose(a[facing], b[facing], atol=1e-5)


def test_uint8_colours_mean_the_same_as_floats(ball):
    xyz, faces, raster = ball
    a = shade(raster, xyz, faces, np.array([255, 51, 0], dtype=np.uint8))
    np.testing.assert_allclose(a, shade(raster, xyz, faces, (1.0, 0.2, 0.0)), atol=1e-6)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(colors=np.zeros((4, 3))), r"one RGB per vertex \(2562, 3\), got \(4, 3\)"),
        (dict(colors=(1, 1, 1), light=(0, 0, 0)), "light must be three finite numbers"),
        (dict(colors=(1, 1, 1), ambient=(1, 2)), "ambient must be one number or three"),
        (dict(colors=(1, 1, 1), backend="gl"), "got 'gl'"),
    ],
)
def test_bad_options_are_named(ball, options, message):
    xyz, faces, raster = ball
    with pytest.raises(ValueError, match=message):
        shade(raster, xyz, faces, **options)


def test_overlay_draws_inside_blends_and_leaves_the_rest(ball):
    xyz, faces, raster = ball
    image = np.full((48, 64, 3), 100, dtype=np.uint8)
    opaque, half = overlay_mesh(image, xyz, faces, alpha=1.0), overlay_mesh(image, xyz, faces, alpha=0.5)
    assert opaque.dtype == np.uint8 and (image == 100).all()
    far = np.hypot(*(np.indices((48, 64)) - np.array([24, 32])[:, None, None])) > 22
    assert (opaque[far] == 100).all()
    np.testing.assert_allclose(half[24, 32], (opaque[24, 32] + 100.0) / 2, atol=1)
    np.testing.assert_array_equal(overlay_mesh(image, xyz, faces, alpha=0.0), image)


def test_overlay_outline_is_smoother_with_more_samples(ball):
    xyz, faces, _ = ball
    image = np.zeros((48, 64, 3), dtype=np.uint8)
    light = dict(alpha=1.0, color=(1.0, 1.0, 1.0))
    values = [len(np.unique(overlay_mesh(image, xyz, faces, supersample=s, **light)[4:7])) for s in (1, 3)]
    assert values[1] > values[0]


def test_overlay_of_meshes_outside_or_without_finite_vertices_changes_nothing(ball):
    xyz, faces, _ = ball
    image = np.full((48, 64, 3), 7, dtype=np.uint8)
    for mesh in (xyz + [500, 0, 0], xyz - [0, 500, 0], xyz * np.nan, xyz * 0 + 1e30):
        np.testing.assert_array_equal(overlay_mesh(image, mesh, faces), image)
    np.testing.assert_array_equal(overlay_mesh(image, np.zeros((0, 3)), np.zeros((0, 3), int)), image)
    partly = overlay_mesh(image, xyz - [32, 24, 0], faces)
    assert (partly[0, 0] != 7).any() and (partly[40, 60] == 7).all()


def test_overlay_refuses_other_pictures(ball):
    xyz, faces, _ = ball
    with pytest.raises(ValueError, match="uint8 RGB, got shape"):
        overlay_mesh(np.zeros((4, 4, 3)), xyz, faces)
    with pytest.raises(ValueError, match="alpha"):
        overlay_mesh(np.zeros((4, 4, 3), np.uint8), xyz, faces, alpha=2)
    with pytest.raises(ValueError, match="supersample"):
        overlay_mesh(np.zeros((64, 64, 3), np.uint8), xyz, faces, supersample=0)
