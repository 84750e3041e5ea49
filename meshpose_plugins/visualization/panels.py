"""The overview picture: input with boxes, mesh on the photograph, side view, DensePose coordinates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from meshpose_plugins.rendering import render_iuv, shade
from meshpose_plugins.rendering.overlay import (
    average_blocks,
    check_image,
    mesh_window,
    rasterize_supersampled,
)
from meshpose_plugins.templates import MeshTemplate

from .colors import iuv_colors, person_color
from .frames import check_people, upsample_people

PAPER = 245
INK = (40, 40, 40)
LARGE_AREA = 4_000_000  # pixels; above, outlines look smooth without a second sample per pixel and axis


def overlay_people(
    image: np.ndarray,  # (H, W, 3)
    vertices: np.ndarray | Sequence[np.ndarray],  # (P, V, 3)
    template: MeshTemplate,
    alpha: float = 0.9,
    wireframe: bool = False,
) -> np.ndarray:
    """Draws all people's full-resolution meshes on the photograph, each in a colour of its own.

    Depth is known only within a person; between people, whoever reaches lower in the picture is drawn in
    front.

    Args:
        image: (H, W, 3) uint8 RGB.
        vertices: (P, V, 3) low-poly vertices, x, y and relative z in image px; P may be 0.
        template: the template the vertices belong to.
        alpha: opacity of the meshes, 0 to 1.
        wireframe: whether to draw the low-poly edges over them.

    Returns:
        (H, W, 3) uint8 RGB, a new array.

    Raises:
        ValueError: an image that is not uint8 RGB, vertices of another template or not finite.
    """
    image, people = check_image(image), check_people(vertices, template.num_vertices)
    result = _draw_meshes(image, _layered(upsample_people(people, template), people), template, alpha)
    if wireframe:
        for index, person in enumerate(people):
            _draw_edges(result, person, template, person_color(index))
    return result


def draw_boxes(image: np.ndarray, boxes: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
    """Draws person boxes.

    Args:
        image: (H, W, 3) uint8 RGB.
        boxes: (P, 4) x1, y1, x2, y2 in image px; P may be 0.

    Returns:
        (H, W, 3) uint8 RGB, a new array.

    Raises:
        ValueError: wrong shapes, or boxes that are not finite.
    """
    result = check_image(image).copy()
    boxes = (
        np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        if np.size(boxes) == 0
        else np.asarray(boxes, dtype=np.float64)
    )
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ValueError(f"boxes must be finite (P, 4) x1, y1, x2, y2, got shape {boxes.shape}")
    thickness = max(2, round(min(result.shape[:2]) / 200))
    limit = 4 * max(result.shape[:2])
    for index, box in enumerate(boxes):
        x1, y1, x2, y2 = (int(value) for value in np.clip(np.rint(box), -limit, limit))
        color = tuple(int(value) for value in np.rint(person_color(index) * 255))
        cv2.rectangle(result, (x1, y1), (x2, y2), INK, thickness + 2, cv2.LINE_AA)
        cv2.rectangle(result, (x1, y1), (x2, y2), color, thickness, cv2.LINE_AA)
    return result


def draw_panels(
    image: np.ndarray,  # (H, W, 3)
    vertices: np.ndarray | Sequence[np.ndarray],  # (P, V, 3)
    template: MeshTemplate,
    boxes: np.ndarray | None = None,  # (P, 4)
    wireframe: bool = False,
    panel_size: int = 640,
) -> np.ndarray:
    """Draws the overview of one photograph: input with boxes, meshes, side view, DensePose coordinates.

    A surface without charts has no fourth panel. The side view turns every person by 90 degrees about the
    vertical axis through the middle of his or her mesh, as seen from the left border of the picture: who faces
    the camera looks to the right.

    Args:
        image: (H, W, 3) uint8 RGB.
        vertices: (P, V, 3) low-poly vertices, x, y and relative z in image px; P may be 0.
        template: the template the vertices belong to.
        boxes: (P, 4) x1, y1, x2, y2 in image px, or None.
        wireframe: whether to draw the low-poly edges on the second panel.
        panel_size: longer side of one panel in px; the photograph is scaled to it.

    Returns:
        (height, width, 3) uint8 RGB, the panels side by side under their titles.

    Raises:
        ValueError: an image that is not uint8 RGB, vertices of another template or not finite, bad boxes.
    """
    image, people = check_image(image), check_people(vertices, template.num_vertices)
    if panel_size < 16:
        raise ValueError(f"panel_size must be at least 16 px, got {panel_size}")
    boxes = np.zeros((0, 4)) if boxes is None else np.asarray(boxes, dtype=np.float64)
    photo, scale = _fit(image, panel_size)
    # Pixel centres: (x + 0.5) * scale - 0.5, for z plain scaling.
    people = people * scale + np.float32([(scale - 1) / 2, (scale - 1) / 2, 0])
    full = upsample_people(people, template)
    paper = np.full_like(photo, PAPER)
    gray = np.repeat(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2) // 3
    panels = {
        "input": draw_boxes(photo, (boxes + 0.5) * scale - 0.5),
        "mesh": overlay_people(photo, people, template, wireframe=wireframe),
        "side view": _draw_meshes(paper, _turned(full), template, alpha=1.0),
    }
    if template.surface.knows("face_parts", "face_uv"):
        panels["DensePose I, U, V"] = _draw_iuv(gray, _layered(full, people), template)
    return np.concatenate([_titled(picture, title) for title, picture in panels.items()], axis=1)


def _fit(image: np.ndarray, size: int) -> tuple[np.ndarray, np.float32]:
    height, width = image.shape[:2]
    scale = size / max(height, width)
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, shape, interpolation=method), np.float32(scale)


def _layered(full: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Moves people (P, N, 3) apart in depth: whoever reaches lower in the picture comes to the front."""
    layered = np.array(full, dtype=np.float32)
    if len(layered):
        extent = float(np.ptp(layered[..., 2])) + 1
        rank = np.argsort(np.argsort(-people[..., 1].max(axis=1), kind="stable"))
        layered[..., 2] += (rank * extent)[:, None]
    return layered


def _turned(full: np.ndarray) -> np.ndarray:
    """People (P, N, 3) turned by 90 degrees about the vertical axes through their middles."""
    turned = np.array(full, dtype=np.float32)
    for person in turned:
        middle = (person.min(axis=0) + person.max(axis=0)) / 2
        x, z = person[:, 0] - middle[0], person[:, 2] - middle[2]
        person[:, 0], person[:, 2] = middle[0] - z, x
    return turned


def _draw_meshes(image: np.ndarray, full: np.ndarray, template: MeshTemplate, alpha: float) -> np.ndarray:
    def paint(raster, points, faces):
        colors = np.repeat([person_color(k) for k in range(len(full))], template.num_body_vertices, axis=0)
        return shade(raster, points, faces, colors)

    return _draw_scene(image, full, template, alpha, paint)


def _draw_iuv(image: np.ndarray, full: np.ndarray, template: MeshTemplate) -> np.ndarray:
    def paint(raster, points, faces):
        parts, uv = template.surface.face_parts, template.surface.face_uv
        return iuv_colors(render_iuv(raster, np.tile(parts, len(full)), np.tile(uv, (len(full), 1, 1))))

    return _draw_scene(image, full, template, 1.0, paint)


def _draw_scene(
    image: np.ndarray, full: np.ndarray, template: MeshTemplate, alpha: float, paint: Callable
) -> np.ndarray:
    """Rasterises people (P, N, 3) together, anti-aliased, and puts what ``paint`` returns over a copy."""
    result = image.copy()
    window = mesh_window(full.reshape(-1, 3), *image.shape[:2])
    if window is None:
        return result
    left, top, right, bottom = window
    height, width = bottom - top, right - left
    samples = 2 if height * width <= LARGE_AREA else 1
    count = template.num_body_vertices
    faces = np.concatenate([template.surface.faces + count * k for k in range(len(full))])
    local = full.reshape(-1, 3) - np.float32([left, top, 0])
    raster, points = rasterize_supersampled(local, faces, height, width, samples)
    picture = average_blocks(paint(raster, points, faces), samples)
    coverage = average_blocks(raster.mask[..., None].astype(np.float32), samples)
    blended = image[top:bottom, left:right] * (1 - alpha * coverage) + 255 * alpha * picture
    result[top:bottom, left:right] = np.clip(np.rint(blended), 0, 255).astype(np.uint8)
    return result


def _draw_edges(picture: np.ndarray, person: np.ndarray, template: MeshTemplate, color: np.ndarray) -> None:
    """Draws the low-poly edges whose faces look at the camera."""
    corners = person[template.faces].astype(np.float64)
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    front = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] < 0  # outward normal has negative z
    lines = person[template.faces[front]][..., :2]
    dark = tuple(int(value) for value in color * 90)
    points = np.clip(np.rint(lines * 8), -(2**20), 2**20).astype(np.int32)  # an eighth of a pixel: shift=3
    cv2.polylines(picture, list(points), True, dark, 1, cv2.LINE_AA, shift=3)


def _titled(picture: np.ndarray, title: str) -> np.ndarray:
    height = 28
    bar = np.full((height, picture.shape[1], 3), 255, dtype=np.uint8)
    cv2.putText(bar, title, (8, height - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
    panel = np.concatenate([bar, picture])
    return np.pad(panel, ((0, 4), (2, 2), (0, 0)), constant_values=255)
