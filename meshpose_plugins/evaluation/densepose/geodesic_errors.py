"""How far the distances of an evaluation lie from exact geodesics between points of the full mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meshpose_plugins.evaluation.densepose.surface import EvaluationSurface
from meshpose_plugins.evaluation.densepose.template_surfaces import chart_points, interpolated_distances
from meshpose_plugins.templates import BodySurface, MeshTemplate
from meshpose_plugins.templates.geodesic_table import CROSSINGS
from meshpose_plugins.templates.geodesics import geodesic_distances, surface_graph
from meshpose_plugins.templates.mesh_topology import face_normals

MILLIMETRES_PER_METRE = 1000.0
NEAR_METRES = 0.3


@dataclass(frozen=True)
class GeodesicError:
    """Errors of one way to measure distances, in mm.

    Attributes:
        name: the way.
        mean, percentile_95, largest: of the absolute error.
        bias: mean of the signed error; positive where detours are made.
        mean_near: mean absolute error of pairs nearer than 30 cm, where scores change most.
    """

    name: str
    mean: float
    percentile_95: float
    largest: float
    bias: float
    mean_near: float


def measure(
    template: MeshTemplate, crossings: Sequence[int], num_sources: int, num_targets: int, seed: int = 0
) -> list[GeodesicError]:
    """Compare distances between random points of a body with exact ones.

    Each point goes, as in the evaluation, through I, U, V as bytes to the nearest point of its chart. The
    exact geodesics run between the points themselves, which are put into the mesh as vertices (that bends
    nothing).

    Args:
        template: whose full body is measured.
        crossings: graphs of shortest paths to compare, see
            :func:`~meshpose_plugins.templates.geodesics.surface_graph`.
        num_sources, num_targets: random points.
        seed: of the points.

    Raises:
        ImportError: pygeodesic is not installed.
    """
    body = template.surface
    faces, barycentrics = _random_points(body, num_sources + num_targets, np.random.default_rng(seed))
    exact = _exact(body, faces, barycentrics, num_sources)
    i, u, v = body.iuv(faces, barycentrics)
    points = chart_points(body)
    finder = EvaluationSurface(points.parts, points.uv, distances=lambda first, second: None)
    nearest = finder.nearest(i, np.rint(u * 255) / 255, np.rint(v * 255) / 255)
    first, second = (
        ids.ravel() for ids in np.meshgrid(nearest[:num_sources], nearest[num_sources:], indexing='ij')
    )
    needed = np.unique(points.vertex_ids[nearest[:num_sources]])
    errors = []
    for count in crossings:
        rows = geodesic_distances(surface_graph(body.vertices, body.faces, count), needed).astype(np.float16)
        distances = interpolated_distances(
            body.vertices, points, lambda a, b, rows=rows: rows[np.searchsorted(needed, a), b]
        )
        found = distances(first, second).reshape(exact.shape)
        errors.append(
            _error(f'paths across {count} edges' + (' (used)' if count == CROSSINGS else ''), found, exact)
        )
    return errors


def _random_points(body: BodySurface, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points spread evenly over the surface, at most one per face: face ids (P,), barycentrics (P, 3)."""
    area = np.linalg.norm(face_normals(body.vertices, body.faces, unit=False), axis=1)
    faces = rng.choice(len(body.faces), count, replace=False, p=area / area.sum())
    return faces, rng.dirichlet([2, 2, 2], count)


def _exact(body: BodySurface, faces: np.ndarray, barycentrics: np.ndarray, num_sources: int) -> np.ndarray:
    """Exact geodesics from the first points to the others (S, T), in metres."""
    try:
        from pygeodesic.geodesic import PyGeodesicAlgorithmExact
    except ImportError:
        raise ImportError('exact geodesics need pygeodesic: pip install pygeodesic') from None
    ids = len(body.vertices) + np.arange(len(faces))
    vertices = np.concatenate([body.vertices, body.points(faces, barycentrics)]).astype(np.float64)
    corners = body.faces[faces]
    split = [np.stack([corners[:, k], corners[:, (k + 1) % 3], ids], axis=1) for k in range(3)]
    mesh = np.concatenate([np.delete(body.faces, faces, axis=0), *split])
    algorithm = PyGeodesicAlgorithmExact(vertices, mesh)
    rows = [algorithm.geodesicDistances(ids[[source]], ids[num_sources:])[0] for source in range(num_sources)]
    return np.stack(rows)


def _error(name: str, found: np.ndarray, exact: np.ndarray) -> GeodesicError:
    error = (found.astype(np.float64) - exact) * MILLIMETRES_PER_METRE
    size = np.abs(error)
    near = exact < NEAR_METRES
    return GeodesicError(
        name,
        float(size.mean()),
        float(np.percentile(size, 95)),
        float(size.max()),
        float(error.mean()),
        float(size[near].mean()) if near.any() else float('nan'),
    )
