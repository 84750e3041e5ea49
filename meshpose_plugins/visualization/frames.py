"""From image pixels to the frame of mesh files: metres, y up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from meshpose_plugins.templates import MeshTemplate
from meshpose_plugins.templates.mesh_topology import unique_edges


def check_people(vertices: np.ndarray | Sequence[np.ndarray], num_vertices: int) -> np.ndarray:
    """Returns people's low-poly vertices as (P, V, 3) float32.

    Args:
        vertices: (P, V, 3), one person (V, 3), or a list of (V, 3); image px.
        num_vertices: V of the template.

    Raises:
        ValueError: another shape, or a person with vertices that are not finite.
    """
    array = np.asarray(vertices, dtype=np.float32)
    if array.size == 0:
        return np.zeros((0, num_vertices, 3), dtype=np.float32)
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[1:] != (num_vertices, 3):
        raise ValueError(
            f"vertices must have shape (people, {num_vertices}, 3) for this template, got {array.shape}"
        )
    broken = np.nonzero(~np.isfinite(array).all(axis=(1, 2)))[0]
    if len(broken):
        raise ValueError(
            f"vertices of person {broken[0]} are not finite ({len(broken)} of {len(array)} people)"
        )
    return array


def upsample_people(people: np.ndarray, template: MeshTemplate) -> np.ndarray:
    """Full-resolution vertices (P, N, 3) of low-poly ones (P, V, 3); P may be 0."""
    if not len(people):
        return np.zeros((0, template.num_body_vertices, 3), dtype=np.float32)
    return template.upsample(people)


def meters_per_pixel(
    vertices: np.ndarray,  # (V, 3)
    template: MeshTemplate,
) -> float:
    """Estimates a person's scale from the lengths of the mesh's edges, which hardly change with the pose.

    A picture alone does not tell the scale: this takes the person to be as large as the template, or where
    its low-poly mesh is unknown, as large as the full body.

    Args:
        vertices: (V, 3) x, y and relative z in image px.
        template: gives the edges and their rest lengths in metres.

    Returns:
        Metres per pixel.

    Raises:
        ValueError: a mesh without extent, or a template without rest positions.
    """
    if template.knows("vertices", "faces"):
        rest_vertices, edges = template.vertices, template.edges
    else:
        rest_vertices, edges = template.surface.vertices, unique_edges(template.surface.faces)
        vertices = template.upsample(vertices)
    start, end = edges[:, 0], edges[:, 1]
    rest = np.linalg.norm(rest_vertices[start] - rest_vertices[end], axis=-1)
    pixels = np.linalg.norm(vertices[start] - vertices[end], axis=-1)
    if not pixels.sum() > 0:
        raise ValueError("the mesh has no extent: all its vertices lie in one point")
    return float(rest.sum() / pixels.sum())


def to_y_up(
    xyz: np.ndarray,  # (..., 3)
    scale: float,
    origin: Sequence[float],
) -> np.ndarray:
    """Turns image coordinates (x right, y down, z away) into x right, y up, z towards the viewer.

    Both frames are right-handed, so the winding of faces stays.

    Args:
        xyz: (..., 3) image px.
        scale: metres per pixel.
        origin: the point (x, y, z) in image px that becomes zero.

    Returns:
        (..., 3) float32 metres.
    """
    turned = (np.asarray(xyz, dtype=np.float64) - np.asarray(origin, dtype=np.float64)) * [
        scale,
        -scale,
        -scale,
    ]
    return turned.astype(np.float32)


def floor_center(xyz: np.ndarray) -> np.ndarray:
    """The point (3,) below the middle of vertices (..., 3) in image px: centre in x and z, lowest in y."""
    points = np.asarray(xyz, dtype=np.float64).reshape(-1, 3)
    low, high = points.min(axis=0), points.max(axis=0)
    return np.array([(low[0] + high[0]) / 2, high[1], (low[2] + high[2]) / 2])
