"""The evaluation surface of a template's body: points over its charts, and their geodesics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meshpose_plugins.evaluation.densepose.surface import EvaluationSurface
from meshpose_plugins.templates import BodySurface, MeshTemplate
from meshpose_plugins.templates.geodesic_table import CROSSINGS, geodesic_table

#: Faces are subdivided until their points lie this near to each other, but not more finely than into
#: FINEST * FINEST; the public evaluation's SMPL surface of 27,554 points is about as fine.
SPACING_METRES = 0.01
FINEST = 4
_CHART_DECIMALS = 6


@dataclass(frozen=True)
class ChartPoints:
    """Points of a body's surface with their chart coordinates; one on a border stands here once per chart.

    Attributes:
        parts: (K,) chart 1 to 24.
        uv: (K, 2) chart coordinates.
        vertex_ids: (K, 3) the face's vertices.
        weights: (K, 3) barycentrics.
    """

    parts: np.ndarray
    uv: np.ndarray
    vertex_ids: np.ndarray
    weights: np.ndarray


def template_surface(
    template: MeshTemplate, folder: str | Path | None = None, progress: bool = False
) -> EvaluationSurface:
    """Make the evaluation surface of a template's full body.

    The first call for a body computes its geodesics, which takes a minute or more, and keeps them.

    Args:
        template: the template.
        folder: where the geodesics are kept; the user's cache folder when not given.
        progress: show a progress bar while computing.
    """
    body = template.surface
    table = geodesic_table(body.vertices, body.faces, folder, progress=progress)
    points = chart_points(body)
    return EvaluationSurface(
        points.parts,
        points.uv,
        interpolated_distances(body.vertices, points, lambda first, second: table[first, second]),
        name=f'{template.body}, {len(points.parts)} points',
        geodesics=f'own: shortest paths over lines across {CROSSINGS} edges between the {len(body.vertices)} '
        'vertices of the full mesh, squares interpolated',
    )


def chart_points(body: BodySurface) -> ChartPoints:
    """Spread points over a body's faces, at their corners and, in large faces, between them."""
    corners = body.vertices[body.faces].astype(np.float64)
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    pieces = np.clip(np.ceil(longest / SPACING_METRES), 1, FINEST).astype(int)
    faces, weights = [], []
    for count in np.unique(pieces):
        grid = _barycentric_grid(int(count))
        chosen = np.flatnonzero(pieces == count)
        faces.append(np.repeat(chosen, len(grid)))
        weights.append(np.tile(grid, (len(chosen), 1)))
    faces, weights = np.concatenate(faces), np.concatenate(weights)
    uv = np.einsum('pk,pkc->pc', weights, np.asarray(body.face_uv, np.float64)[faces])
    uv = np.clip(uv, 0, 1)
    parts = np.asarray(body.face_parts)[faces]
    _, first = np.unique(
        np.column_stack([parts, np.rint(uv * 10**_CHART_DECIMALS)]), axis=0, return_index=True
    )
    return ChartPoints(parts[first], uv[first], body.faces[faces[first]], weights[first])


def interpolated_distances(
    vertices: np.ndarray, points: ChartPoints, look_up: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Distances between points inside faces from distances between vertices.

    In a plane the squared distance of two weighted means is the weighted mean of the squared distances
    between their vertices, less the spread of the vertices around each mean. That also holds where two points
    lie near each other or in one face, and for distant points is a smooth interpolation.

    Args:
        vertices: (N, 3) positions of the body's vertices, metres.
        points: the points.
        look_up: gives the geodesic distances of pairs of vertex ids, metres.

    Returns:
        A function of two arrays of point ids (P,) that returns metres (P,).
    """
    corners = np.asarray(vertices, np.float64)[points.vertex_ids]
    means = np.einsum('pk,pkc->pc', points.weights, corners)
    spread = np.einsum('pk,pk->p', points.weights, ((corners - means[:, None]) ** 2).sum(axis=2))

    def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        squares = -spread[first] - spread[second]
        for a in range(3):
            for b in range(3):
                between = look_up(points.vertex_ids[first, a], points.vertex_ids[second, b])
                weights = points.weights[first, a] * points.weights[second, b]
                squares += weights * np.asarray(between, np.float64) ** 2
        return np.sqrt(np.maximum(squares, 0))

    return distances


def _barycentric_grid(count: int) -> np.ndarray:
    """Barycentrics of the points that cut each edge of a triangle into ``count`` pieces."""
    return np.array([[i, j, count - i - j] for i in range(count + 1) for j in range(count + 1 - i)]) / count
