"""Flatten disk-shaped surface patches to the unit square without folds, mirror images alike.

Sources: W. T. Tutte, "How to draw a graph", 1963; M. S. Floater, "Mean value coordinates", CAGD 2003;
S. Yoshizawa, A. Belyaev, H.-P. Seidel, "A fast and simple stretch-minimizing mesh parameterization", SMI 2004.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, diags, identity
from scipy.sparse.linalg import splu

from .mesh_topology import boundary_loops
from .parts import MIRROR_PARTS, NUM_PARTS


def parameterize_parts(
    vertices: np.ndarray,
    faces: np.ndarray,
    face_parts: np.ndarray,
    symmetry: np.ndarray,
    mirror_faces: np.ndarray,
) -> np.ndarray:
    """Compute the (U, V) chart of every part; a left part and its right partner get equal coordinates.

    Args:
        vertices: (N, 3) rest positions.
        faces: (F, 3) vertex ids.
        face_parts: (F,) parts 1 to 24, each a disk, mirror symmetric.
        symmetry: (N,) mirror partner of each vertex.
        mirror_faces: (F,) mirror partner of each face.

    Returns:
        (F, 3, 2) U, V in [0, 1] of each face's corners. In a part that is its own mirror image (the torso
        halves), mirroring turns U into 1 - U.
    """
    uv = np.zeros((len(faces), 3, 2))
    for part in range(1, NUM_PARTS + 1):
        mirrored_part = MIRROR_PARTS[part - 1]
        members = np.flatnonzero(face_parts == part)
        if mirrored_part < part:  # done before: copy the corners' coordinates through the symmetry
            of_vertex = np.full((len(vertices), 2), np.nan)
            source = mirror_faces[members]
            of_vertex[symmetry[faces[source]]] = uv[source]
        else:
            own_mirror = symmetry if mirrored_part == part else None
            of_vertex = flatten_disk(vertices, faces[members], own_mirror)
        uv[members] = of_vertex[faces[members]]
    return uv


def flatten_disk(
    vertices: np.ndarray, faces: np.ndarray, symmetry: np.ndarray | None = None, stretch_steps: int = 12
) -> np.ndarray:
    """Map a disk to the unit square without folds.

    The boundary curve runs along a rounded square by arc length, from its lowest vertex at (0.5, 0); each
    inner vertex is a convex combination of its neighbours, first with mean-value weights, then with weights
    relaxed where the map squeezes the surface most (fingers would otherwise vanish in the quantisation of U
    and V to bytes).

    Args:
        vertices: (N, 3) positions.
        faces: (K, 3) vertex ids of the disk.
        symmetry: (N,) mirror partner of each vertex if the disk is its own mirror image.
        stretch_steps: Number of stretch-minimising steps; the best of all steps is returned.

    Returns:
        (N, 2) U, V in [0, 1]; NaN for vertices that are not on the disk.
    """
    loop = _start_of_loop(vertices, boundary_loops(faces)[0], symmetry)
    members = np.unique(faces)
    local = np.full(len(vertices), -1)
    local[members] = np.arange(len(members))
    local_faces, positions = local[faces], vertices[members]
    weights = _mean_value_weights(positions, local_faces)
    border = local[loop]
    border_uv = _chart_border(_arc_length(vertices[loop]))

    best, best_stretch = None, np.inf
    for _ in range(stretch_steps + 1):
        local_uv = _solve_embedding(weights, border, border_uv)
        face_stretch, area = _stretch(positions, local_faces, local_uv)
        total = np.sqrt((face_stretch**2 * area).sum() / area.sum())
        if total < best_stretch:
            best, best_stretch = local_uv, total
        corners, repeated = local_faces.ravel(), np.repeat(area, 3)
        squared = np.bincount(corners, np.repeat(face_stretch**2 * area, 3), len(members))
        vertex_stretch = np.sqrt(squared / np.bincount(corners, repeated, len(members)))
        weights = weights @ diags(1 / vertex_stretch)
    uv = np.full((len(vertices), 2), np.nan)
    uv[members] = np.clip(best, 0, 1)
    return uv


def _solve_embedding(weights, border: np.ndarray, border_uv: np.ndarray) -> np.ndarray:
    """Place inner vertices at the weighted mean of their neighbours, border vertices where they are told to
    be."""
    size = weights.shape[0]
    inner = np.ones(size)
    inner[border] = 0
    degree = np.asarray(weights.sum(axis=1)).ravel()
    system = identity(size) - diags(inner / degree) @ weights
    right_side = np.zeros((size, 2))
    right_side[border] = border_uv
    return splu(system.tocsc()).solve(right_side)


def _stretch(positions: np.ndarray, faces: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L2 stretch of the map from the square to the surface (Sander et al. 2001) and area of each face."""
    (a, b, c), (ua, ub, uc) = positions[faces].transpose(1, 0, 2), uv[faces].transpose(1, 0, 2)
    first, second = ub - ua, uc - ua
    doubled = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    doubled = np.maximum(doubled, 1e-12)[:, None]
    along_u = ((b - a) * second[:, 1:] - (c - a) * first[:, 1:]) / doubled
    along_v = ((c - a) * first[:, :1] - (b - a) * second[:, :1]) / doubled
    stretch = np.sqrt(((along_u**2).sum(axis=1) + (along_v**2).sum(axis=1)) / 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    return np.minimum(stretch, 1e3), area


def _start_of_loop(vertices: np.ndarray, loop: np.ndarray, symmetry: np.ndarray | None) -> np.ndarray:
    """Rotate a boundary loop to its lowest vertex, to the lowest one in the mirror plane if there is a
    symmetry."""
    height = vertices[loop, 2].copy()
    if symmetry is not None:
        height[symmetry[loop] != loop] = np.inf
    return np.roll(loop, -int(height.argmin()))


def _arc_length(points: np.ndarray) -> np.ndarray:
    """Position of each point along a closed curve, as a share of its length."""
    steps = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1)
    return np.concatenate([[0], np.cumsum(steps)[:-1]]) / steps.sum()


def _chart_border(position: np.ndarray, exponent: float = 4) -> np.ndarray:
    """Points on a rounded square inscribed in the unit square, counter-clockwise from the middle of its lower
    side.

    Being strictly convex, the curve (a superellipse) keeps faces with three vertices on the border from
    collapsing, which a straight side would do.
    """
    angle = 2 * np.pi * position - np.pi / 2
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    radius = (np.abs(direction) ** exponent).sum(axis=1, keepdims=True) ** (-1 / exponent)
    return 0.5 + 0.5 * radius * direction


def _mean_value_weights(positions: np.ndarray, faces: np.ndarray):
    """(N, N) sparse matrix of Floater's mean-value weights, rows not normalised."""
    rows, columns, values = [], [], []
    for corner in range(3):
        center, first, second = faces[:, corner], faces[:, (corner + 1) % 3], faces[:, (corner + 2) % 3]
        to_first, to_second = positions[first] - positions[center], positions[second] - positions[center]
        length_first, length_second = np.linalg.norm(to_first, axis=1), np.linalg.norm(to_second, axis=1)
        cosine = np.clip((to_first * to_second).sum(axis=1) / (length_first * length_second), -1, 1)
        half_tangent = np.tan(np.arccos(cosine) / 2)
        rows += [center, center]
        columns += [first, second]
        values += [half_tangent / length_first, half_tangent / length_second]
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return coo_matrix(entries, shape=(len(positions), len(positions))).tocsr()
