"""The surface on which DensePose scores are measured: its vertices' chart coordinates and distances."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numba import njit

from meshpose_plugins.templates.parts import COARSE_PARTS, NUM_PARTS

#: Geodesic distance in metres at which a point's score is exp(-1/2), per coarse part (DensePose-COCO).
KAPPA_PER_COARSE_PART = (0.351, 0.107, 0.126, 0.237, 0.173, 0.142, 0.128, 0.150)
#: The same for every part in the paper of 2018.
KAPPA_2018 = 0.255

Distances = Callable[[np.ndarray, np.ndarray], np.ndarray]


class EvaluationSurface:
    """Vertices of a body surface by chart, and the geodesic distances between them.

    Args:
        parts: (N,) chart 1 to 24 of each vertex. A vertex on a border of charts stands here once per chart.
        uv: (N, 2) chart coordinates in [0, 1].
        distances: (M, M) metres, any kind of array with NumPy's indexing (a memory map, say); or a function
            of two arrays of vertex ids (P,) that returns metres (P,).
        positions: (N, 2 or 3) metres, instead of ``distances``: these are then Euclidean.
        vertex_ids: (N,) row in ``distances`` of each vertex; 0 to N - 1 when not given.
        name: what results call the surface.
        geodesics: what results call the distances.

    Attributes:
        parts, uv, vertex_ids, name, geodesics: as given.

    Raises:
        ValueError: shapes, parts or coordinates are wrong, or not exactly one kind of distance is given.

    Example:
        >>> surface = EvaluationSurface([1, 1], [[0, 0], [1, 1]], distances=np.array([[0, 2.], [2., 0]]))
        >>> ids = surface.nearest(np.array([1, 1, 0]), np.array([0.1, 0.8, 0]), np.array([0, 0.9, 0]))
        >>> ids, surface.distance(ids[:1], ids[1:2])
        (array([ 0,  1, -1]), array([2.]))
    """

    def __init__(
        self,
        parts: np.ndarray,
        uv: np.ndarray,
        distances: np.ndarray | Distances | None = None,
        positions: np.ndarray | None = None,
        vertex_ids: np.ndarray | None = None,
        name: str = 'given',
        geodesics: str | None = None,
    ) -> None:
        self.parts, self.uv = np.asarray(parts).astype(np.int64), np.asarray(uv, np.float64)
        count = len(self.parts)
        if self.parts.shape != (count,) or self.uv.shape != (count, 2) or count == 0:
            raise ValueError(
                f'surface: parts must be (N,) and uv (N, 2), got {self.parts.shape} and {self.uv.shape}'
            )
        if self.parts.min() < 1 or self.parts.max() > NUM_PARTS:
            found = f'{self.parts.min()} to {self.parts.max()}'
            raise ValueError(f'surface: parts must be 1 to {NUM_PARTS}, got {found}')
        if not ((self.uv >= 0) & (self.uv <= 1)).all():
            raise ValueError('surface: uv must lie in [0, 1]')
        if (distances is None) == (positions is None):
            raise ValueError('surface: give either distances or positions')
        self.vertex_ids = np.arange(count) if vertex_ids is None else np.asarray(vertex_ids, np.int64)
        if self.vertex_ids.shape != (count,):
            raise ValueError(f'surface: vertex_ids must be ({count},), got {self.vertex_ids.shape}')
        self.name = name
        default = 'Euclidean distances of positions' if distances is None else 'given distances'
        self.geodesics = geodesics or default
        self._distances = self._look_up(distances, positions)
        # The vertices chart after chart, each in its order: the search then walks through one block.
        self._order = np.argsort(self.parts, kind='stable')
        self._uv = np.ascontiguousarray(self.uv[self._order])
        self._starts = np.searchsorted(self.parts[self._order], np.arange(NUM_PARTS + 2))

    def __len__(self) -> int:
        return len(self.parts)

    def nearest(self, i: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Find the vertex nearest in (U, V) among those of the same chart, the first of equally near ones.

        Args:
            i, u, v: (P,) charts 0 to 24 and chart coordinates.

        Returns:
            (P,) int64 vertices 0 to N - 1; -1 where the chart is 0 or has no vertex.
        """
        i = np.asarray(i).astype(np.int64)
        i = np.where((i < 1) | (i > NUM_PARTS), 0, i)
        points = np.stack([np.asarray(u, np.float64), np.asarray(v, np.float64)], axis=-1)
        found = _nearest_in_chart(i, points, self._starts, self._uv)
        return np.where(found < 0, -1, self._order[found])

    def distance(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Distances in metres (P,) float64 between vertices 0 to N - 1, pair by pair."""
        distances = self._distances(self.vertex_ids[first], self.vertex_ids[second])
        return np.where(self.vertex_ids[first] == self.vertex_ids[second], 0.0, distances)

    def kappa(self, vertices: np.ndarray, kappa: str | float = 'parts') -> np.ndarray:
        """Scale of the score (P,) in metres at vertices (P,): per part, or one number everywhere."""
        if kappa == 'parts':
            scales = np.asarray(KAPPA_PER_COARSE_PART)[np.asarray(COARSE_PARTS) - 1]
            return scales[self.parts[vertices] - 1]
        return np.full(np.shape(vertices), float(kappa))

    def _look_up(self, distances: np.ndarray | Distances | None, positions: np.ndarray | None) -> Distances:
        if callable(distances):
            return distances
        highest = int(self.vertex_ids.max())
        if positions is not None:
            positions = np.asarray(positions, np.float64)
            if positions.ndim != 2 or len(positions) <= highest or not np.isfinite(positions).all():
                raise ValueError(
                    f'surface: positions must be finite ({highest + 1}, 2 or 3), got {positions.shape}'
                )
            return lambda first, second: np.linalg.norm(positions[first] - positions[second], axis=-1)
        if np.ndim(distances) != 2 or min(distances.shape) <= highest:
            raise ValueError(
                f'surface: distances must be ({highest + 1}, {highest + 1}), got {np.shape(distances)}'
            )
        return lambda first, second: distances[first, second].astype(np.float64)


def load_surface(path: str | Path) -> EvaluationSurface:
    """Read a surface from an .npz of plain arrays.

    Args:
        path: holds ``part`` (N,), ``uv`` (N, 2) and ``position_m`` (N, 2 or 3) or ``distances`` (M, M), and
            if wanted ``vertex_ids`` (N,): see :class:`EvaluationSurface`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is broken or lacks an array.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such surface file')
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, BadZipFile) as error:
        raise ValueError(f'{path}: no readable surface file: {error}') from None
    for name in ('part', 'uv'):
        if name not in arrays:
            raise ValueError(f"{path}: the array '{name}' is missing")
    try:
        return EvaluationSurface(
            arrays['part'],
            arrays['uv'],
            arrays.get('distances'),
            arrays.get('position_m'),
            arrays.get('vertex_ids'),
            name=path.name,
        )
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None


@njit(cache=True, nogil=True)
def _nearest_in_chart(charts, points, starts, uv):
    """Position in ``uv`` (sorted by chart) of the nearest vertex; -1 for chart 0 and for empty charts."""
    found = np.full(len(points), -1, np.int64)
    for p in range(len(points)):
        best = np.inf
        for vertex in range(starts[charts[p]], starts[charts[p] + 1]):
            x, y = uv[vertex, 0] - points[p, 0], uv[vertex, 1] - points[p, 1]
            # With the root, as in the reference: of two that differ only before rounding the first is taken.
            distance = np.sqrt(x * x + y * y)
            if distance < best:
                best, found[p] = distance, vertex
    return found
