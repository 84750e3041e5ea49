"""Find points on triangle meshes: the nearest one in space, and the one under a chart coordinate."""

from __future__ import annotations

import numpy as np
from numba import njit


def closest_point_barycentrics(points: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the point of a triangle that is nearest to a given point, pair by pair.

    The regions of the triangle are told apart as in C. Ericson, "Real-Time Collision Detection", 2005, section 5.1.5.

    Args:
        points: (..., D) points, D = 2 or 3.
        corners: (..., 3, D) triangles; degenerate ones are treated as their edges.

    Returns:
        barycentrics (..., 3) of the nearest point and its squared distance (...,).
    """
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    candidates = [
        _closest_on_segment(points, start, end, slots)
        for start, end, slots in ((a, b, (0, 1)), (b, c, (1, 2)), (c, a, (2, 0)))
    ]
    candidates.append(_project_to_plane(points, a, b, c))
    barycentrics = np.stack(candidates, axis=-2)  # (..., 4, 3)
    nearest = np.einsum('...kc,...cd->...kd', barycentrics, corners)
    distance = ((nearest - points[..., None, :]) ** 2).sum(axis=-1)
    distance[..., 3][~(barycentrics[..., 3, :] >= 0).all(axis=-1)] = np.inf
    best = np.argmin(distance, axis=-1)[..., None]
    chosen = np.take_along_axis(barycentrics, best[..., None], axis=-2)[..., 0, :]
    return chosen, np.take_along_axis(distance, best, axis=-1)[..., 0]


def _closest_on_segment(
    points: np.ndarray, start: np.ndarray, end: np.ndarray, slots: tuple[int, int]
) -> np.ndarray:
    along = end - start
    share = ((points - start) * along).sum(axis=-1) / np.maximum((along**2).sum(axis=-1), 1e-30)
    share = np.clip(share, 0, 1)
    barycentrics = np.zeros(share.shape + (3,))
    barycentrics[..., slots[0]], barycentrics[..., slots[1]] = 1 - share, share
    return barycentrics


def _project_to_plane(points: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    first, second, offset = b - a, c - a, points - a
    ff, fs, ss = (first**2).sum(-1), (first * second).sum(-1), (second**2).sum(-1)
    of, os = (offset * first).sum(-1), (offset * second).sum(-1)
    determinant = ff * ss - fs * fs
    valid = determinant > 1e-12 * ff * ss
    determinant = np.where(valid, determinant, 1)
    v = np.where(valid, (ss * of - fs * os) / determinant, -1)
    w = np.where(valid, (ff * os - fs * of) / determinant, -1)
    return np.stack([1 - v - w, v, w], axis=-1)


class TriangleFinder:
    """Nearest triangle to a point among the triangles of one group (body part), in space or in a chart.

    Args:
        corners: (F, 3, D) triangles, D = 2 or 3.
        groups: (F,) group of each triangle, small positive integers.
    """

    def __init__(self, corners: np.ndarray, groups: np.ndarray) -> None:
        corners = np.asarray(corners, float)
        if corners.shape[-1] == 2:  # a chart is a flat surface in space
            corners = np.concatenate([corners, np.zeros(corners.shape[:2] + (1,))], axis=2)
        self._order = np.argsort(groups, kind='stable')
        self._corners = np.ascontiguousarray(corners[self._order])
        self._centroids = self._corners.mean(axis=1)
        self._radii = np.sqrt(((self._corners - self._centroids[:, None]) ** 2).sum(axis=-1).max(axis=1))
        self._starts = np.searchsorted(np.asarray(groups)[self._order], np.arange(int(np.max(groups)) + 2))

    def __call__(self, points: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find each point's nearest triangle in its group.

        Args:
            points: (P, D) points.
            groups: (P,) group of each point.

        Returns:
            triangle ids (P,), barycentrics (P, 3) and distances (P,).

        Raises:
            ValueError: If a group has no triangle.
        """
        points, groups = np.asarray(points, float), np.asarray(groups, np.int64)
        if points.shape[-1] == 2:
            points = np.concatenate([points, np.zeros((len(points), 1))], axis=1)
        empty = (groups < 0) | (groups + 1 >= len(self._starts))
        empty |= self._starts[np.where(empty, 0, groups)] == self._starts[np.where(empty, 0, groups) + 1]
        if empty.any():
            raise ValueError(
                f'there is no triangle of group {groups[empty][0]} (point {np.flatnonzero(empty)[0]})'
            )
        found, barycentrics, distances = _nearest_triangles(
            points, groups, self._starts, self._corners, self._centroids, self._radii
        )
        return self._order[found], barycentrics, distances


@njit(cache=True)
def _nearest_triangles(points, groups, starts, corners, centroids, radii):
    """Compiled search: triangles whose bounding sphere is farther away than the best so far are skipped."""
    found = np.zeros(len(points), np.int64)
    barycentrics = np.zeros((len(points), 3))
    distances = np.zeros(len(points))
    for index in range(len(points)):
        point = points[index]
        best = np.inf
        for triangle in range(starts[groups[index]], starts[groups[index] + 1]):
            offset_x = point[0] - centroids[triangle, 0]
            offset_y = point[1] - centroids[triangle, 1]
            offset_z = point[2] - centroids[triangle, 2]
            reach = best + radii[triangle]
            if offset_x * offset_x + offset_y * offset_y + offset_z * offset_z >= reach * reach:
                continue
            u, v, w = _closest_in_triangle(point, corners[triangle])
            squared = 0.0
            for axis in range(3):
                nearest = (
                    u * corners[triangle, 0, axis]
                    + v * corners[triangle, 1, axis]
                    + w * corners[triangle, 2, axis]
                )
                squared += (nearest - point[axis]) ** 2
            distance = np.sqrt(squared)
            if distance < best:
                best = distance
                found[index] = triangle
                barycentrics[index, 0], barycentrics[index, 1], barycentrics[index, 2] = u, v, w
        distances[index] = best
    return found, barycentrics, distances


@njit(cache=True)
def _closest_in_triangle(point, corners):
    """Barycentrics of the triangle's point nearest to a point."""
    best, best_u, best_v, best_w = np.inf, 1.0, 0.0, 0.0
    ff = fs = ss = of = os = 0.0
    for axis in range(3):
        first, second = corners[1, axis] - corners[0, axis], corners[2, axis] - corners[0, axis]
        offset = point[axis] - corners[0, axis]
        ff += first * first
        fs += first * second
        ss += second * second
        of += offset * first
        os += offset * second
    determinant = ff * ss - fs * fs
    if determinant > 1e-12 * ff * ss:
        v, w = (ss * of - fs * os) / determinant, (ff * os - fs * of) / determinant
        if v >= 0 and w >= 0 and v + w <= 1:
            return 1 - v - w, v, w
    for edge in range(3):  # the nearest point lies on an edge
        start, end = edge, (edge + 1) % 3
        along = length = 0.0
        for axis in range(3):
            step = corners[end, axis] - corners[start, axis]
            along += (point[axis] - corners[start, axis]) * step
            length += step * step
        share = min(max(along / max(length, 1e-30), 0.0), 1.0)
        squared = 0.0
        for axis in range(3):
            step = corners[end, axis] - corners[start, axis]
            squared += (corners[start, axis] + share * step - point[axis]) ** 2
        if squared < best:
            best = squared
            best_u = 1 - share if start == 0 else (share if end == 0 else 0.0)
            best_v = 1 - share if start == 1 else (share if end == 1 else 0.0)
            best_w = 1 - share if start == 2 else (share if end == 2 else 0.0)
    return best_u, best_v, best_w
