"""The evaluation surface of a template's body: its chart coordinates and its own geodesics."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from meshpose_plugins.evaluation.densepose.surface import EvaluationSurface
from meshpose_plugins.templates import BodySurface, MeshTemplate
from meshpose_plugins.templates.geodesic_table import CROSSINGS, geodesic_table

_CHART_DECIMALS = 6


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
    parts, uv, vertex_ids = chart_vertices(body)
    table = geodesic_table(body.vertices, body.faces, folder, progress=progress)
    return EvaluationSurface(
        parts,
        uv,
        table,
        vertex_ids=vertex_ids,
        name=template.body,
        geodesics=f'own: shortest paths over lines across {CROSSINGS} edges, full mesh of {len(body.vertices)} vertices',
    )


def chart_vertices(body: BodySurface) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List a body's vertices once per chart (and chart position) in which they stand.

    Returns:
        parts (K,), uv (K, 2) and vertex ids (K,), by vertex.
    """
    corners = np.stack([body.faces, np.repeat(body.face_parts[:, None], 3, axis=1)], axis=-1).reshape(-1, 2)
    uv = np.clip(np.asarray(body.face_uv, np.float64).reshape(-1, 2), 0, 1)
    keys = np.concatenate([corners, np.rint(uv * 10**_CHART_DECIMALS)], axis=1)
    _, first = np.unique(keys, axis=0, return_index=True)
    return corners[first, 1], uv[first], corners[first, 0]
