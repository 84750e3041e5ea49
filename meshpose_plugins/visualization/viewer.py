"""The viewer: one HTML file with the meshes inside, which opens offline in any browser with WebGL."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import cv2
import numpy as np

from meshpose_plugins.rendering.overlay import check_image
from meshpose_plugins.templates import MeshTemplate

from .colors import PART_COLORS, person_color
from ..files import write_atomically
from .frames import check_people, floor_center, meters_per_pixel, to_y_up

INSET_SIZE = 480


def write_viewer(
    path: str | Path,
    vertices: np.ndarray | Sequence[np.ndarray],  # (P, V, 3)
    template: MeshTemplate,
    image: np.ndarray | None = None,  # (H, W, 3)
    title: str = "Body meshes",
    names: Sequence[str] | None = None,
) -> Path:
    """Writes one self-contained HTML page that shows people's meshes, to be turned, moved and zoomed.

    People keep their places in the picture, in metres (y up, zero below their middle); one scale, the median
    of :func:`meters_per_pixel`, serves for all, and everybody's root lies at the same depth, because depth
    between people is not predicted. The page embeds the full-resolution surfaces as base64 and loads nothing
    from elsewhere.

    Args:
        path: file to write, usually ``*.html``.
        vertices: (P, V, 3) low-poly vertices, x, y and relative z in image px; P may be 0.
        template: the template the vertices belong to.
        image: (H, W, 3) uint8 RGB photograph for the inset, or None.
        title: title of the page.
        names: one name per person; "person 1", ... by default.

    Returns:
        The path.

    Raises:
        ValueError: vertices of another template or not finite, another number of names, or an image that is
            not uint8 RGB.
    """
    people = check_people(vertices, template.num_vertices)
    names = (
        [f"person {k + 1}" for k in range(len(people))] if names is None else [str(name) for name in names]
    )
    if len(names) != len(people):
        raise ValueError(
            f"names must have one entry per person: got {len(names)} names for {len(people)} people"
        )
    scene = {
        "faces": _encode(template.surface.faces, "<u4"),
        "edges": _encode(_edges(template), "<u4"),
        "parts": _encode(_vertex_parts(template), "u1"),
        "partColors": np.round(PART_COLORS, 3).tolist(),
        "people": _people(people, template, names),
        "photo": None if image is None else _inset(check_image(image)),
    }
    page = resources.files(__package__).joinpath("assets/viewer.html").read_text(encoding="utf-8")
    data = json.dumps(scene, separators=(",", ":")).replace(
        "<", "\\u003c"
    )  # no name can close the script element
    values = {"title": html.escape(title), "scene": data}
    page = re.sub(
        r"\{\{(title|scene)\}\}", lambda match: values[match.group(1)], page
    )  # one pass: values stay as they are
    return write_atomically(path, page.encode("utf-8"))


def _people(people: np.ndarray, template: MeshTemplate, names: Sequence[str]) -> list[dict]:
    if not len(people):
        return []
    full = template.upsample(people)
    scale = float(np.median([meters_per_pixel(person, template) for person in people]))
    metric = to_y_up(full, scale, floor_center(full))
    return [
        {"name": name, "color": np.round(person_color(k), 3).tolist(), "vertices": _encode(xyz, "<f4")}
        for k, (name, xyz) in enumerate(zip(names, metric))
    ]


def _edges(template: MeshTemplate) -> np.ndarray:
    """(E, 2) body vertices of the low-poly edges; none where the low-poly mesh is unknown."""
    if not template.knows("source_vertex_ids", "faces"):
        return np.zeros((0, 2), dtype=np.int64)
    return template.source_vertex_ids[template.edges]


def _vertex_parts(template: MeshTemplate) -> np.ndarray:
    """(N,) a part of each vertex, on chart borders that of the last face; 0 without charts."""
    surface = template.surface
    parts = np.zeros(template.num_body_vertices, dtype=np.uint8)
    if surface.knows("face_parts"):
        parts[surface.faces] = surface.face_parts[:, None]
    return parts


def _encode(array: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype=dtype).tobytes()).decode("ascii")


def _inset(image: np.ndarray) -> str:
    """The photograph as a small JPEG data address."""
    scale = min(1.0, INSET_SIZE / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not done:
        raise ValueError(f"could not encode the photograph of shape {image.shape} as JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")
