"""Distances along a body's surface."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import dijkstra

from .mesh_topology import face_adjacency, unique_edges


def surface_graph(vertices: np.ndarray, faces: np.ndarray) -> csr_matrix:
    """Connect the vertices of a surface by short straight lines on it.

    Lines run along edges and across pairs of neighbouring faces (unfolded into a plane), which removes most
    of the detour that a path along edges alone makes.

    Args:
        vertices: (N, 3) positions.
        faces: (F, 3) vertex ids.

    Returns:
        (N, N) lengths in the unit of ``vertices``, each line stored once.
    """
    edges = unique_edges(faces)
    lengths = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    across, across_lengths = _unfolded_diagonals(vertices, faces)
    pairs = np.concatenate([edges, across])
    weights = np.concatenate([lengths, across_lengths])
    return coo_matrix((weights, (pairs[:, 0], pairs[:, 1])), shape=(len(vertices),) * 2).tocsr()


def geodesic_distances(graph: csr_matrix, sources: np.ndarray) -> np.ndarray:
    """Approximate geodesic distances by shortest paths over a surface graph.

    Args:
        graph: (N, N) lengths from :func:`surface_graph`.
        sources: (S,) vertex ids.

    Returns:
        (S, N) distances in the graph's unit.
    """
    return dijkstra(graph, directed=False, indices=sources)


def _unfolded_diagonals(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of vertices opposite to a shared edge, and their distance when the two faces are laid flat."""
    first, second = face_adjacency(faces).T
    shared = faces[first][:, :, None] == faces[second][:, None, :]
    apex_a = faces[first][~shared.any(axis=2)]
    apex_b = faces[second][~shared.any(axis=1)]
    on_edge = shared.any(axis=2)
    edge = faces[first][on_edge].reshape(-1, 2)
    origin, along = vertices[edge[:, 0]], vertices[edge[:, 1]] - vertices[edge[:, 0]]
    length = np.linalg.norm(along, axis=1)
    unit = along / length[:, None]

    def flat(apex: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        offset = vertices[apex] - origin
        x = (offset * unit).sum(axis=1)
        return x, np.linalg.norm(offset - x[:, None] * unit, axis=1)

    (xa, ya), (xb, yb) = flat(apex_a), flat(apex_b)
    crossing = xa + (xb - xa) * ya / np.maximum(ya + yb, 1e-12)
    inside = (crossing > 0) & (crossing < length)  # otherwise the straight line leaves the two faces
    return np.stack([apex_a, apex_b], axis=1)[inside], np.hypot(xb - xa, ya + yb)[inside]
