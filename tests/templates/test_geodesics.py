"""Straight lines over unfolded faces, shortest paths, and the table of all distances."""

import numpy as np
import pytest
from scipy.sparse.csgraph import dijkstra

from meshpose_plugins.templates import geodesic_table as module
from meshpose_plugins.templates.geodesic_table import geodesic_table
from meshpose_plugins.templates.geodesics import geodesic_distances, surface_graph


def plane(rows=9, columns=8, seed=0):
    """An irregular triangulated piece of a plane."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns]
    vertices = np.stack([x, y, 0 * x], axis=-1).reshape(-1, 3) + rng.uniform(
        -0.3, 0.3, (rows * columns, 3)
    ) * [1, 1, 0]
    ids = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (corner.ravel() for corner in (ids[:-1, :-1], ids[:-1, 1:], ids[1:, :-1], ids[1:, 1:]))
    return vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])


def sphere(levels=3):
    """An icosphere of radius 1."""
    g = (1 + 5**0.5) / 2
    vertices = np.array(
        [
            [-1, g, 0],
            [1, g, 0],
            [-1, -g, 0],
            [1, -g, 0],
            [0, -1, g],
            [0, 1, g],
            [0, -1, -g],
            [0, 1, -g],
            [g, 0, -1],
            [g, 0, 1],
            [-g, 0, -1],
            [-g, 0, 1],
        ],
        float,
    )
    faces = np.array(
        [
            [0, 11, 5],
            [0, 5, 1],
            [0, 1, 7],
            [0, 7, 10],
            [0, 10, 11],
            [1, 5, 9],
            [5, 11, 4],
            [11, 10, 2],
            [10, 7, 6],
            [7, 1, 8],
            [3, 9, 4],
            [3, 4, 2],
            [3, 2, 6],
            [3, 6, 8],
            [3, 8, 9],
            [4, 9, 5],
            [2, 4, 11],
            [6, 2, 10],
            [8, 6, 7],
            [9, 8, 1],
        ]
    )
    for _ in range(levels):
        middles: dict = {}
        points = list(vertices)

        def middle(a, b):
            key = (min(a, b), max(a, b))
            if key not in middles:
                middles[key] = len(points)
                points.append((points[a] + points[b]) / 2)
            return middles[key]

        split = []
        for a, b, c in faces.tolist():
            ab, bc, ca = middle(a, b), middle(b, c), middle(c, a)
            split += [[a, ab, ca], [b, bc, ab], [c, ca, bc], [ab, bc, ca]]
        vertices, faces = np.array(points), np.array(split)
    return vertices / np.linalg.norm(vertices, axis=1, keepdims=True), faces


@pytest.mark.parametrize('crossings', [0, 1, 2, 5])
def test_lines_in_a_plane_are_straight(crossings):
    """On a plane every line's length is the Euclidean distance; more crossings only add lines."""
    vertices, faces = plane()
    graph = surface_graph(vertices, faces, crossings).tocoo()
    lengths = np.linalg.norm(vertices[graph.row] - vertices[graph.col], axis=1)
    np.testing.assert_allclose(graph.data, lengths, atol=1e-12)
    assert (graph.row < graph.col).all()
    fewer = surface_graph(vertices, faces, max(crossings - 1, 0)).tocoo()
    assert set(zip(fewer.row, fewer.col)) <= set(zip(graph.row, graph.col))
    assert crossings == 0 or graph.nnz > fewer.nnz


def test_lines_reach_exactly_what_a_straight_line_reaches():
    """Against a plain count: how many edges the segment between two vertices of a plane crosses."""
    vertices, faces = plane(5, 5, seed=1)
    edges = surface_graph(vertices, faces, 0).tocoo()
    expected = set(zip(edges.row.tolist(), edges.col.tolist()))
    for start in range(len(vertices)):
        for end in range(start + 1, len(vertices)):
            if (start, end) not in expected and _crossed(vertices, edges, start, end) in range(1, 4):
                expected.add((start, end))
    graph = surface_graph(vertices, faces, 3).tocoo()
    assert set(zip(graph.row.tolist(), graph.col.tolist())) == expected


def _crossed(vertices, edges, start, end):
    """Edges crossed by a segment; none (0) if it leaves the piece of plane."""
    p, q = vertices[start, :2], vertices[end, :2]

    def side(a, b, c):
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    count = 0
    border = set(_border_edges(edges, vertices))
    for a, b in zip(edges.row.tolist(), edges.col.tolist()):
        if {a, b} & {start, end}:
            continue
        r, s = vertices[a, :2], vertices[b, :2]
        if side(p, q, r) * side(p, q, s) < 0 and side(r, s, p) * side(r, s, q) < 0:
            if (a, b) in border:
                return 0
            count += 1
    return count if not _outside((p + q) / 2, vertices, edges, border) else 0


def _border_edges(edges, vertices):
    side = int(len(vertices) ** 0.5)
    rows, columns = np.divmod(np.arange(len(vertices)), side)
    for a, b in zip(edges.row.tolist(), edges.col.tolist()):
        for line in (rows, columns):
            if line[a] == line[b] and line[a] in (0, side - 1):
                yield a, b


def _outside(point, vertices, edges, border):
    """Even-odd rule with a ray to the right."""
    inside = False
    for a, b in border:
        (ax, ay), (bx, by) = vertices[a, :2], vertices[b, :2]
        if (ay > point[1]) != (by > point[1]) and point[0] < ax + (point[1] - ay) / (by - ay) * (bx - ax):
            inside = not inside
    return not inside


def test_shortest_paths_equal_scipys():
    graph = surface_graph(*sphere(2), 3)
    sources = np.array([0, 17, 60])
    np.testing.assert_allclose(
        geodesic_distances(graph, sources), dijkstra(graph, directed=False, indices=sources), atol=1e-12
    )
    with pytest.raises(ValueError, match='crossings must be at least 0, got -1'):
        surface_graph(*sphere(1), -1)


def test_more_crossings_come_nearer_to_the_sphere():
    vertices, faces = sphere(3)
    exact = np.arccos(np.clip(vertices[:4] @ vertices.T, -1, 1))
    far = exact > 0.5
    detours = []
    for crossings in (0, 1, 3, 5):
        found = geodesic_distances(surface_graph(vertices, faces, crossings), np.arange(4))
        detours.append((found[far] / exact[far]).mean() - 1)
    assert detours[0] > 0.05 > detours[1] > detours[2] > detours[3]
    assert abs(detours[3]) < 0.005


def test_the_table_is_computed_once(tmp_path, monkeypatch):
    vertices, faces = sphere(2)
    table = geodesic_table(vertices, faces, tmp_path, workers=2)
    expected = geodesic_distances(surface_graph(vertices, faces, module.CROSSINGS), np.arange(len(vertices)))
    assert table.dtype == np.float16 and np.abs(table - expected).max() < 1e-3
    assert np.abs(table - table.T).max() < 2e-3 and (np.diag(table) == 0).all()
    (file,) = tmp_path.iterdir()

    def never(*args, **kwargs):
        raise AssertionError('computed again')

    compute = module._compute
    monkeypatch.setattr(module, '_compute', never)
    np.testing.assert_array_equal(geodesic_table(vertices, faces, tmp_path), table)
    for other in ((vertices * 1.01, faces, module.CROSSINGS), (vertices, faces, 2)):
        with pytest.raises(AssertionError, match='computed again'):
            geodesic_table(*other[:2], tmp_path, crossings=other[2])
    # A file that is cut off is made again.
    monkeypatch.setattr(module, '_compute', compute)
    file.write_bytes(file.read_bytes()[:500])
    np.testing.assert_array_equal(geodesic_table(vertices, faces, tmp_path), expected.astype(np.float16))
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_surfaces_of_two_pieces_are_refused(tmp_path):
    vertices, faces = sphere(0)
    with pytest.raises(ValueError, match='more than one piece'):
        geodesic_table(
            np.concatenate([vertices, vertices + 5]), np.concatenate([faces, faces + len(vertices)]), tmp_path
        )
    assert not list(tmp_path.iterdir())
