"""Measure how well a template stands for its body: the figures by which candidates are compared."""

from __future__ import annotations

import numpy as np

from .mesh_topology import face_normals, faces_are_symmetric, is_closed_manifold
from .parts import MASK_PARTS
from .template import MeshTemplate


def measure_template(
    template: MeshTemplate, vertices: np.ndarray, num_points: int = 20000, seed: int = 0
) -> dict[str, float]:
    """Measure a template on posed bodies that it was not fitted on.

    Args:
        template: The template.
        vertices: (B, N, 3) posed bodies, metres.
        num_points: Random surface points for the chart figures.
        seed: Seed of these points.

    Returns:
        Vertex and face counts; lengths in millimetres: ``upsampling`` (fitted, mean and 99th percentile) and
        ``barycentric_upsampling`` (rest-pose barycentrics, mean); ``correspondence`` (mean distance, over
        posed bodies, between a body vertex and its low-poly surface point); round trips ``chart`` (full
        surface to I, U, V and back), ``chart_8bit`` (U, V as bytes) and ``low_poly_chart`` (low-poly point to
        I, U, V and back), mean and 99th percentile.
    """
    low_poly = vertices[:, template.source_vertex_ids]
    error = 1000 * np.linalg.norm(template.upsample(low_poly) - vertices, axis=2)
    corners, barycentrics = _vertex_correspondence(template)
    matched = np.einsum('nk,bnkd->bnd', barycentrics, low_poly[:, corners])
    matched_error = 1000 * np.linalg.norm(matched - vertices, axis=2)
    figures = {
        'vertices': template.num_vertices,
        'faces': len(template.faces),
        'hand_vertices': _vertices_in(template, (2, 3)),
        'foot_vertices': _vertices_in(template, (4, 5)),
        'head_vertices': _vertices_in(template, (14,)),
        'upsampling': error.mean(),
        'upsampling_p99': np.percentile(error, 99),
        'correspondence': matched_error.mean(),
        'correspondence_p99': np.percentile(matched_error, 99),
    }
    figures.update(_round_trips(template, num_points, seed))
    return {name: float(value) for name, value in figures.items()}


def check_template(template: MeshTemplate) -> None:
    """Raise ValueError unless the mesh is closed, manifold and exactly left-right symmetric."""
    if not is_closed_manifold(template.faces):
        raise ValueError(f"template '{template.name}' is not closed and manifold")
    symmetry = template.symmetry
    if not np.array_equal(symmetry[symmetry], np.arange(template.num_vertices)):
        raise ValueError(f"the symmetry of template '{template.name}' is no involution")
    if not faces_are_symmetric(template.faces, symmetry):
        raise ValueError(f"the mirrored faces of template '{template.name}' are not its faces")


def _vertices_in(template: MeshTemplate, masks: tuple[int, ...]) -> int:
    inside = np.isin(np.asarray(MASK_PARTS)[template.face_parts - 1], masks)
    return len(np.unique(template.faces[inside]))


def _vertex_correspondence(template: MeshTemplate) -> tuple[np.ndarray, np.ndarray]:
    """Low-poly triangle (N, 3) and barycentrics (N, 3) of every vertex of the full surface."""
    faces = template.surface.faces
    face_of = np.zeros(template.num_body_vertices, int)
    corner_of = np.zeros(template.num_body_vertices, int)
    for corner in range(3):
        face_of[faces[:, corner]], corner_of[faces[:, corner]] = np.arange(len(faces)), corner
    low_faces, barycentrics = template.locate(face_of, np.eye(3)[corner_of])
    return template.faces[low_faces], barycentrics


def _round_trips(template: MeshTemplate, num_points: int, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    surface = template.surface
    figures = {}

    faces, barycentrics = _random_points(surface.vertices, surface.faces, num_points, rng)
    points = surface.points(faces, barycentrics)
    i, u, v = surface.iuv(faces, barycentrics)
    for name, (chart_u, chart_v) in {
        'chart': (u, v),
        'chart_8bit': (np.rint(u * 255) / 255, np.rint(v * 255) / 255),
    }.items():
        back = surface.points(*surface.locate_iuv(i, np.clip(chart_u, 0, 1), np.clip(chart_v, 0, 1)))
        figures.update(_mean_and_tail(name, points, back))

    faces, barycentrics = _random_points(template.vertices, template.faces, num_points, rng)
    points = np.einsum('pk,pkd->pd', barycentrics, template.vertices[template.faces[faces]])
    ids, back = template.locate_iuv(*template.iuv(faces, barycentrics))
    figures.update(
        _mean_and_tail('low_poly_chart', points, np.einsum('pk,pkd->pd', back, template.vertices[ids]))
    )
    return figures


def _random_points(
    vertices: np.ndarray, faces: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Face ids (P,) and barycentrics (P, 3) of points spread evenly over a surface."""
    area = np.linalg.norm(face_normals(vertices, faces, unit=False), axis=1)
    return rng.choice(len(faces), count, p=area / area.sum()), rng.dirichlet([1, 1, 1], count)


def _mean_and_tail(name: str, points: np.ndarray, back: np.ndarray) -> dict[str, float]:
    distance = 1000 * np.linalg.norm(points - back, axis=1)
    return {name: distance.mean(), f'{name}_p99': np.percentile(distance, 99)}
