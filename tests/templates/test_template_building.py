"""The builder's parts against plain references on small meshes."""

import numpy as np
import pytest
import trimesh

from meshpose_plugins.templates.decimation import DecimationSettings, SymmetricDecimator
from meshpose_plugins.templates.farthest_points import sample_farthest_points
from meshpose_plugins.templates.geodesics import geodesic_distances, surface_graph
from meshpose_plugins.templates.mesh_topology import (
    boundary_loops,
    faces_are_symmetric,
    is_closed_manifold,
    topological_mirror,
    unique_edges,
)
from meshpose_plugins.templates.parameterization import flatten_disk
from meshpose_plugins.templates.projection import TriangleFinder, closest_point_barycentrics
from meshpose_plugins.templates.regression import fit_sparse_regressor, nearest_support


@pytest.fixture(scope='module')
def sphere():
    mesh = trimesh.creation.icosphere(subdivisions=4)  # symmetric in x, 2,562 vertices
    return np.array(mesh.vertices), np.array(mesh.faces)


def test_topology_of_a_sphere(sphere):
    vertices, faces = sphere
    assert is_closed_manifold(faces) and not is_closed_manifold(faces[1:])
    assert len(vertices) - len(unique_edges(faces)) + len(faces) == 2
    partner = topological_mirror(vertices, faces)
    np.testing.assert_allclose(vertices[partner] * [-1, 1, 1], vertices, atol=1e-9)
    rng = np.random.default_rng(0)  # the connectivity decides, not the exact place
    shaken = vertices + rng.normal(0, 2e-3, vertices.shape)
    np.testing.assert_array_equal(topological_mirror(shaken, faces), partner)
    for wrong in (vertices + [0.1, 0, 0], vertices[:, [1, 0, 2]] @ np.diag([1.0, 1, 2]) + [0.5, 0, 0]):
        with pytest.raises(ValueError, match='not mirror symmetric'):
            topological_mirror(wrong, faces)


def symmetric_cap(rings=8, segments=32):
    """Most of a sphere around +z, as rings of vertices; mirrored at x = 0 also in its diagonals."""
    angles = 2 * np.pi * np.arange(segments) / segments + np.pi / 2
    polar = np.linspace(0, 0.75 * np.pi, rings + 1)[1:]
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    ring_vertices = [
        np.concatenate([np.sin(p) * circle, np.full((segments, 1), np.cos(p))], axis=1) for p in polar
    ]
    vertices = np.concatenate([[[0, 0, 1.0]], *ring_vertices])
    following = np.roll(np.arange(segments), -1)
    faces = [[0, 1 + k, 1 + following[k]] for k in range(segments)]
    for ring in range(rings - 1):
        inner, outer = 1 + ring * segments, 1 + (ring + 1) * segments
        for k in range(segments):
            a, b, c, d = inner + k, outer + k, outer + following[k], inner + following[k]
            faces += [[a, b, c], [a, c, d]] if k < segments // 2 else [[a, b, d], [b, c, d]]
    return vertices, np.array(faces)


def test_boundary_of_a_cap():
    vertices, faces = symmetric_cap()
    loops = boundary_loops(faces)
    assert len(loops) == 1 and sorted(loops[0]) == list(range(len(vertices) - 32, len(vertices)))
    assert (
        np.diff(np.unwrap(np.arctan2(*vertices[loops[0]].T[1::-1]))) > 0
    ).all()  # walks along the faces' direction
    with pytest.raises(ValueError, match='pinched'):
        boundary_loops(np.array([[0, 1, 2], [0, 3, 4]]))


def test_flattened_disk_has_no_folds():
    vertices, cap = symmetric_cap()
    vertices, cap = np.concatenate([vertices, [[0, 0, -5]]]), cap  # one vertex that is not on the disk
    symmetry = np.concatenate([topological_mirror(vertices[:-1], cap), [len(vertices) - 1]])
    uv = flatten_disk(vertices, cap, symmetry)
    np.testing.assert_allclose(uv[symmetry], uv * [-1, 1] + [1, 0], atol=1e-6)
    a, b, c = uv[cap].transpose(1, 0, 2)
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    assert (area > 0).all() or (area < 0).all()
    assert np.isnan(uv[-1]).all() and np.nanmin(uv) >= 0 and np.nanmax(uv) <= 1


def test_flattened_disk_squeezes_less_after_stretch_steps():
    vertices, cap = symmetric_cap()

    def area_spread(uv):
        (a, b, c), (p, q, r) = uv[cap].transpose(1, 0, 2), vertices[cap].transpose(1, 0, 2)
        flat = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
        return np.log(flat / np.linalg.norm(np.cross(q - p, r - p), axis=1)).std()

    assert area_spread(flatten_disk(vertices, cap)) < 0.6 * area_spread(
        flatten_disk(vertices, cap, stretch_steps=0)
    )


def test_collapse_is_symmetric_manifold_and_close(sphere):
    vertices, faces = sphere
    symmetry = topological_mirror(vertices, faces)
    parts = np.where(vertices[faces].mean(axis=1)[:, 2] > 0, 1, 2)
    settings = DecimationSettings(num_vertices=120, part_weights={})
    kept, low_faces, low_parts = SymmetricDecimator(vertices[None], faces, parts, symmetry, settings).run()
    index = np.full(len(vertices), -1)
    index[kept] = np.arange(len(kept))
    assert len(kept) in (119, 120)
    assert is_closed_manifold(low_faces)
    assert faces_are_symmetric(low_faces, index[symmetry[kept]])
    centroids = vertices[kept][low_faces].mean(axis=1)
    assert np.linalg.norm(centroids, axis=1).min() > 0.8
    # The border between the parts survives as a closed curve of edges.
    upper_edges, lower_edges = (
        set(map(tuple, unique_edges(low_faces[low_parts == part]).tolist())) for part in (1, 2)
    )
    border = boundary_loops(low_faces[low_parts == 1])
    assert len(border) == 1 and len(upper_edges & lower_edges) == len(border[0])


def test_collapse_says_when_it_cannot_go_on(sphere):
    vertices, faces = sphere
    settings = DecimationSettings(num_vertices=2, part_weights={})
    symmetry = topological_mirror(vertices, faces)
    with pytest.raises(ValueError, match='num_vertices=2'):
        SymmetricDecimator(vertices[None], faces, np.ones(len(faces), int), symmetry, settings).run()


def test_farthest_points_spread(sphere):
    vertices, faces = sphere
    symmetry = topological_mirror(vertices, faces)
    kept, low_faces, _ = sample_farthest_points(vertices, faces, np.ones(len(faces), int), symmetry, 60)
    assert len(np.unique(kept)) == len(kept) and set(symmetry[kept]) == set(kept)
    spacing = np.linalg.norm(vertices[kept][:, None] - vertices[kept][None], axis=2)
    assert spacing[spacing > 0].min() > 0.2
    assert low_faces.max() == len(kept) - 1


def test_geodesics_on_a_sphere(sphere):
    vertices, faces = sphere
    sources = np.array([0, 100])
    distances = geodesic_distances(surface_graph(vertices, faces), sources)
    exact = np.arccos(np.clip(vertices[sources] @ vertices.T, -1, 1))
    relative = distances[exact > 0.1] / exact[exact > 0.1]
    assert 0.99 < relative.min() and relative.mean() < 1.04


@pytest.mark.parametrize('dimensions', [2, 3])
def test_triangle_finder_equals_brute_force(dimensions):
    rng = np.random.default_rng(0)
    corners = rng.normal(size=(200, 3, dimensions))
    corners[7, 2] = corners[7, 1]  # a degenerate triangle
    groups = rng.integers(1, 4, 200)
    points, point_groups = rng.normal(size=(300, dimensions)), rng.integers(1, 4, 300)
    triangles, barycentrics, distances = TriangleFinder(corners, groups)(points, point_groups)
    assert (groups[triangles] == point_groups).all()
    _, squared = closest_point_barycentrics(
        np.repeat(points[:, None], 200, axis=1), np.repeat(corners[None], 300, axis=0)
    )
    squared[groups[None] != point_groups[:, None]] = np.inf
    np.testing.assert_allclose(distances, np.sqrt(squared.min(axis=1)), atol=1e-9)
    found = np.einsum('pk,pkd->pd', barycentrics, corners[triangles])
    np.testing.assert_allclose(np.linalg.norm(found - points, axis=1), distances, atol=1e-9)


def test_triangle_finder_names_an_empty_group():
    finder = TriangleFinder(np.zeros((2, 3, 3)), np.array([1, 3]))
    with pytest.raises(ValueError, match='no triangle of group 2'):
        finder(np.zeros((1, 3)), np.array([2]))


def test_regressor_recovers_true_weights():
    rng = np.random.default_rng(0)
    sources = rng.normal(size=(50, 12, 3))
    support = np.stack([rng.permutation(12)[:4] for _ in range(7)])
    true = rng.dirichlet(np.ones(4), 7)
    targets = np.einsum('nk,bnkd->bnd', true, sources[:, support])
    prior = np.full((7, 4), 0.25)
    np.testing.assert_allclose(fit_sparse_regressor(sources, targets, support, prior, 1e-9), true, atol=1e-6)
    np.testing.assert_allclose(fit_sparse_regressor(sources, targets, support, prior, 1e9), prior, atol=1e-6)
    np.testing.assert_allclose(
        fit_sparse_regressor(sources, targets, support, prior, 0.1).sum(axis=1), 1, atol=1e-12
    )


def test_nearest_support_keeps_the_required():
    distances = np.array([[5.0, 1, 2, 3, 4]])
    np.testing.assert_array_equal(
        np.sort(nearest_support(distances, np.array([[0, 4, 3]]), 4)[0]), [0, 1, 3, 4]
    )
