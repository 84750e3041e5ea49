import cv2
import numpy as np
import pytest

from meshpose_plugins.data.synthetic import kernels
from meshpose_plugins.data.synthetic.lighting import sample_light
from meshpose_plugins.rendering import interpolate, rasterize


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def mesh(rng):
    """A bumpy sheet of triangles that faces the camera (x right, y down, z away), in pixels."""
    y, x = np.mgrid[0:12, 0:10].astype(np.float32) * 4
    xyz = np.stack([x, y, rng.uniform(0, 5, x.shape)], -1).reshape(-1, 3).astype(np.float32)
    corner = (np.arange(11)[:, None] * 10 + np.arange(9)).ravel()
    faces = np.concatenate([np.stack([corner, corner + 10, corner + 1], 1),
                            np.stack([corner + 1, corner + 10, corner + 11], 1)])
    return xyz, faces


def test_points_move_and_project_as_in_homogeneous_coordinates(rng):
    points = rng.normal(0, 1, (50, 3)).astype(np.float32)
    matrix, shift = rng.normal(0, 1, (3, 3)), np.array([0.1, -0.2, 9.0])
    moved = kernels.move(points, matrix, shift)
    np.testing.assert_allclose(moved, points @ matrix.T + shift, atol=1e-5)
    camera = np.array([[70.0, 0, 20], [0, 70, 30], [0, 0, 1]])
    projected = moved @ camera.T
    expected = np.column_stack([projected[:, :2] / projected[:, 2:], moved[:, 2]])
    np.testing.assert_allclose(kernels.project(moved, 70.0, np.array([20.0, 30.0])), expected, rtol=1e-4)
    np.testing.assert_array_equal(kernels.bounds(moved), [moved.min(0), moved.max(0)])


def test_pixels_are_interpolated_as_by_the_renderer(mesh, rng):
    xyz, faces = mesh
    raster = rasterize(xyz, faces, 44, 36)
    attributes = rng.normal(0, 1, (len(xyz), 5)).astype(np.float32)
    values = kernels.gather_pixels(
        raster.face_ids[raster.mask], raster.barycentrics[raster.mask], faces, attributes
    )
    np.testing.assert_allclose(values, interpolate(raster, faces, attributes)[raster.mask], atol=1e-5)


def test_vertex_normals_are_the_mean_of_the_faces_around(mesh):
    xyz, faces = mesh
    corners = xyz[faces].astype(np.float64)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    expected = np.zeros((len(xyz), 3))
    for corner in range(3):
        np.add.at(expected, faces[:, corner], across)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(kernels.vertex_normals(xyz, faces), expected, atol=1e-5)


def test_textures_are_sampled_bilinearly_and_mirrored(rng):
    texture = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    uv = rng.uniform(-20, 20, (200, 2)).astype(np.float32)
    x = np.abs((uv[:, 0] + 8) % 16 - 8)
    y = np.abs((uv[:, 1] + 6) % 12 - 6)
    expected = cv2.remap(
        texture.astype(np.float32), x[None], y[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    # OpenCV rounds sub-pixel places to 1/32.
    np.testing.assert_allclose(kernels.sample_texture(texture, uv), expected[0], atol=256 / 16)
    exact = kernels.sample_texture(texture, np.array([[3, 2], [0, 0], [8, 6]], np.float32))
    np.testing.assert_allclose(exact, texture[[2, 0, 6], [3, 0, 8]])


def test_light_agrees_with_plain_formulas(rng):
    light = sample_light(rng)
    colors = rng.uniform(0, 255, (40, 3)).astype(np.float32)
    normals = rng.normal(0, 1, (40, 3))
    normals = (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)
    shine = rng.random(40).astype(np.float32)
    expected = colors * (light.ground + (light.sky - light.ground) * (0.5 - 0.5 * normals[:, 1:2]))
    for lamp, strength in zip(light.lamps, light.strengths):
        halfway = lamp + np.array([0, 0, -1])
        halfway = halfway / np.linalg.norm(halfway)
        expected = expected + colors * np.maximum(normals @ lamp, 0)[:, None] * strength
        expected = expected + 160 * (shine * np.maximum(normals @ halfway, 0) ** 16)[:, None] * strength
    np.testing.assert_allclose(light.shade(colors, normals, shine), expected, rtol=1e-3, atol=0.01)
