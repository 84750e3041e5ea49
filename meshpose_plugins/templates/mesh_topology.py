"""Connectivity of triangle meshes: edges, adjacency, boundary loops, mirror symmetry."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree


def unique_edges(faces: np.ndarray) -> np.ndarray:
    """List the undirected edges of a mesh once each.

    Args:
        faces: (F, 3) vertex ids.

    Returns:
        (E, 2) vertex ids, the smaller first, sorted.
    """
    half_edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.unique(np.sort(half_edges, axis=1), axis=0)


def face_adjacency(faces: np.ndarray) -> np.ndarray:
    """List the pairs of faces that share an edge.

    Args:
        faces: (F, 3) vertex ids of a mesh in which at most two faces meet at an edge.

    Returns:
        (A, 2) face ids.
    """
    half_edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    face_of = np.tile(np.arange(len(faces)), 3)
    order = np.lexsort((half_edges[:, 1], half_edges[:, 0]))
    half_edges, face_of = half_edges[order], face_of[order]
    shared = (half_edges[1:] == half_edges[:-1]).all(axis=1)
    return np.stack([face_of[:-1][shared], face_of[1:][shared]], axis=1)


def adjacency_matrix(pairs: np.ndarray, size: int) -> csr_matrix:
    """Turn (A, 2) pairs of ids into a symmetric (size, size) 0/1 matrix."""
    rows, columns = np.concatenate([pairs, pairs[:, ::-1]]).T
    return coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(size, size)).tocsr()


def component_labels(adjacency: csr_matrix, members: np.ndarray) -> np.ndarray:
    """Number the connected components among some nodes of a graph.

    Args:
        adjacency: (N, N) adjacency matrix.
        members: (K,) node ids.

    Returns:
        (K,) component of each member, 0 for the largest.
    """
    _, labels = connected_components(adjacency[members][:, members], directed=False)
    rank = np.argsort(np.argsort(-np.bincount(labels), kind='stable'), kind='stable')
    return rank[labels]


def boundary_loops(faces: np.ndarray) -> list[np.ndarray]:
    """Walk along the boundary of a surface patch.

    Args:
        faces: (F, 3) consistently oriented vertex ids.

    Returns:
        One array of vertex ids per closed boundary curve, in the direction of the faces' half-edges, longest
        first.

    Raises:
        ValueError: If a boundary vertex has more than one outgoing boundary edge (a pinched patch).
    """
    half_edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    existing = set(map(tuple, half_edges.tolist()))
    following: dict[int, int] = {}
    for start, end in existing:
        if (end, start) in existing:
            continue
        if start in following:
            raise ValueError(f'boundary is pinched at vertex {start}: the patch is no disk')
        following[start] = end
    loops = []
    while following:
        first, current = following.popitem()
        loop = [first]
        while current != first:
            loop.append(current)
            current = following.pop(current)
        loops.append(np.array(loop))
    return sorted(loops, key=len, reverse=True)


def faces_are_symmetric(faces: np.ndarray, permutation: np.ndarray) -> bool:
    """Tell whether a vertex permutation maps the faces of a mesh to its faces."""
    mirrored = np.sort(permutation[faces], axis=1)
    return set(map(tuple, mirrored.tolist())) == set(map(tuple, np.sort(faces, axis=1).tolist()))


def face_permutation(faces: np.ndarray, permutation: np.ndarray) -> np.ndarray:
    """Find the face that each face becomes under a vertex permutation that maps faces to faces.

    Args:
        faces: (F, 3) vertex ids.
        permutation: (N,) vertex ids.

    Returns:
        (F,) face ids.
    """
    index = {tuple(face): k for k, face in enumerate(np.sort(faces, axis=1).tolist())}
    return np.array([index[tuple(face)] for face in np.sort(permutation[faces], axis=1).tolist()])


def is_closed_manifold(faces: np.ndarray) -> bool:
    """Tell whether every edge has two faces of opposite direction and every vertex one fan of faces."""
    half_edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    directed = set(map(tuple, half_edges.tolist()))
    if len(directed) != len(half_edges) or any((b, a) not in directed for a, b in directed):
        return False
    # A vertex is manifold if the edges opposite to it form a single closed curve.
    opposite: dict[int, dict[int, int]] = {}
    for a, b, c in faces.tolist():
        for vertex, start, end in ((a, b, c), (b, c, a), (c, a, b)):
            opposite.setdefault(vertex, {})[start] = end
    for ring in opposite.values():
        first = next(iter(ring))
        current, steps = ring[first], 1
        while current != first:
            current, steps = ring[current], steps + 1
        if steps != len(ring):
            return False
    return True


def face_normals(vertices: np.ndarray, faces: np.ndarray, unit: bool = True) -> np.ndarray:
    """Compute face normals.

    Args:
        vertices: (N, 3) positions.
        faces: (F, 3) vertex ids, counter-clockwise seen from outside.
        unit: Give unit vectors; otherwise their length is twice the face's area.

    Returns:
        (F, 3) outward normals.
    """
    a, b, c = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    normals = np.cross(b - a, c - a)
    if unit:
        normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    return normals


def topological_mirror(vertices: np.ndarray, faces: np.ndarray, tolerance: float = 0.02) -> np.ndarray:
    """Find the vertex that each vertex becomes when a mesh is mirrored at x = 0.

    The connectivity must be symmetric, the shape only nearly: positions choose one pair of mirrored faces, from
    there the connectivity alone decides.

    Args:
        vertices: (N, 3) positions, x to the left or right.
        faces: (F, 3) vertex ids of a connected, consistently oriented manifold.
        tolerance: Largest distance between a mirrored vertex and its partner, as a share of the mesh's size.

    Returns:
        (N,) vertex ids, an involution that maps faces to faces.

    Raises:
        ValueError: If the connectivity has no mirror symmetry near the positions.
    """
    opposite = {}
    for a, b, c in faces.tolist():
        opposite[a, b], opposite[b, c], opposite[c, a] = c, a, b
    distance, nearest = cKDTree(vertices).query(vertices * [-1, 1, 1])
    mutual = nearest[nearest] == np.arange(len(vertices))
    error = np.where(mutual[faces].all(axis=1), distance[faces].max(axis=1), np.inf)
    for face in np.argsort(error)[:32]:  # a wrong guess contradicts itself within a few steps
        partner = _spread_mirror(faces[face], nearest, opposite, len(vertices))
        if partner is not None:
            away = np.linalg.norm(vertices[partner] * [-1, 1, 1] - vertices, axis=1)
            if away.max() <= tolerance * np.ptp(vertices, axis=0).max():
                return partner
    raise ValueError(
        'the connectivity of the mesh is not mirror symmetric at x = 0 (or the body does not face along y)'
    )


def _spread_mirror(face: np.ndarray, nearest: np.ndarray, opposite: dict, count: int) -> np.ndarray | None:
    """Partners that follow from those of one face, or None if they contradict each other."""
    partner = {int(vertex): int(nearest[vertex]) for vertex in face}
    a, b, c = (int(vertex) for vertex in face)
    queue = [(a, b), (b, c), (c, a), (b, a), (c, b), (a, c)]
    seen = set(queue)
    while queue:
        start, end = queue.pop()
        third = opposite.get((start, end))
        mirrored = opposite.get((partner[end], partner[start]))  # mirroring turns the faces round
        if third is None and mirrored is None:  # both at a border
            continue
        if third is None or mirrored is None or partner.setdefault(third, mirrored) != mirrored:
            return None
        for edge in ((third, end), (start, third)):
            if edge not in seen:
                seen.add(edge)
                queue.append(edge)
    permutation = np.array([partner.get(vertex, -1) for vertex in range(count)])
    return permutation if np.array_equal(permutation[permutation], np.arange(count)) else None
