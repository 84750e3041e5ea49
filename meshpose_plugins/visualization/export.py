"""A predicted person as mesh files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from meshpose_plugins.templates import MeshTemplate

from .atlas import atlas_uv
from .frames import check_people, floor_center, meters_per_pixel, to_y_up
from .mesh_files import write_glb, write_obj, write_ply

WRITERS = {"obj": write_obj, "ply": write_ply, "glb": write_glb}


def save_person(
    stem: str | Path,
    vertices: np.ndarray,  # (V, 3)
    template: MeshTemplate,
    formats: Sequence[str] = ("obj", "ply", "glb"),
    full_resolution: bool = True,
) -> list[Path]:
    """Writes one person's mesh: metres, y up, standing on y = 0, in the vertex order of the body.

    The scale takes the person to be as large as the template (:func:`meters_per_pixel`). Texture coordinates
    lay the 24 DensePose charts out in one square (:func:`atlas_uv`), where the surface has charts.

    Args:
        stem: path without suffix; '.obj', '.ply', '.glb' are added.
        vertices: (V, 3) x, y and relative z in image px.
        template: the template the vertices belong to.
        formats: any of 'obj', 'ply', 'glb'.
        full_resolution: whether to write the body's full surface; otherwise the template's low-poly mesh.

    Returns:
        The paths, in the order of ``formats``.

    Raises:
        ValueError: an unknown format, vertices of another template, or vertices that are not finite.
    """
    unknown = [name for name in formats if name not in WRITERS]
    if unknown:
        raise ValueError(f"unknown mesh format {unknown[0]!r}: choose from {', '.join(WRITERS)}")
    person = check_people(vertices, template.num_vertices)
    if len(person) != 1:
        raise ValueError(
            f"vertices must be one person ({template.num_vertices}, 3), got {np.shape(vertices)}"
        )
    person = person[0]
    if full_resolution:
        surface, xyz = template.surface, template.upsample(person)
        charted = surface.knows("face_parts", "face_uv")
        faces, texture = surface.faces, atlas_uv(surface.face_parts, surface.face_uv) if charted else None
    else:
        xyz, faces, texture = person, template.faces, atlas_uv(template.face_parts, low_poly_uv(template))
    metric = to_y_up(xyz, meters_per_pixel(person, template), floor_center(xyz))
    return [WRITERS[name](f"{stem}.{name}", metric, faces, texture) for name in formats]


def low_poly_uv(template: MeshTemplate) -> np.ndarray:
    """Chart coordinates (F, 3, 2) in [0, 1] of the corners of a template's low-poly faces."""
    count = len(template.faces)
    corners = np.tile(np.eye(3), (count, 1))
    _, u, v = template.iuv(np.repeat(np.arange(count), 3), corners)
    return np.stack([u, v], axis=-1).reshape(count, 3, 2).astype(np.float32)
