"""What a network is shown of one person: the crop, and every label in it and beside it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from meshpose_plugins.rendering import inside_frame, overlay_mesh
from meshpose_plugins.templates import MeshTemplate

from .colors import PART_COLORS

MESH_COLOR = (0.60, 0.85, 0.60)
HIDDEN_COLOR = (0.85, 0.55, 0.45)
MASK_COLOR = np.float32([90, 230, 90])
IGNORED_COLOR = np.float32([230, 90, 90])
INSIDE_COLOR, OUTSIDE_COLOR, KEYPOINT_COLOR = (90, 230, 90), (255, 80, 60), (255, 220, 60)
TITLE_HEIGHT = 20
#: The last panel shows this much of the crop's size on each side of it.
MARGIN = 0.4


@dataclass
class CropLabels:
    """The labels of one crop (W, H), in crop px; None or empty where there are none.

    Args:
        points_xy: (P, 2) annotated pixels.
        point_vertex_ids: (P, 3) their template triangles.
        point_valid: (P,) bool, False for points that the losses do not use.
        vertices: (V, 3) mesh.
        visibility: (V,) 1 where a vertex is seen.
        person_mask: (H, W) in [0, 1].
        ignore_mask: (H, W) in [0, 1], where the mask says nothing.
        keypoints: (K, 2).
        keypoints_valid: (K,) bool.
    """

    points_xy: np.ndarray | None = None
    point_vertex_ids: np.ndarray | None = None
    point_valid: np.ndarray | None = None
    vertices: np.ndarray | None = None
    visibility: np.ndarray | None = None
    person_mask: np.ndarray | None = None
    ignore_mask: np.ndarray | None = None
    keypoints: np.ndarray | None = None
    keypoints_valid: np.ndarray | None = None

    def describe(self, width: int, height: int) -> str:
        """Say in a few words which labels there are, and how many of them lie in the crop."""
        words = []
        if self.points_xy is not None and len(self.points_xy):
            words.append(f'{int(self.point_valid.sum())} of {len(self.points_xy)} points')
        if self.vertices is not None:
            share = inside_frame(self.vertices, width, height).mean()
            words.append(f'mesh {share:.0%} in crop')
        if self.keypoints is not None and self.keypoints_valid.any():
            words.append(f'{int(self.keypoints_valid.sum())} keypoints')
        if self.person_mask is not None:
            words.append(f'mask {(self.person_mask > 0.5).mean():.0%}')
        return ', '.join(words) or 'no labels'


def parts_of_triangles(vertex_ids: np.ndarray, template: MeshTemplate) -> np.ndarray:
    """Return the DensePose part (P,) of template triangles given by their vertices (P, 3), else 0."""
    def keys(triangles: np.ndarray) -> np.ndarray:
        a, b, c = np.sort(np.asarray(triangles, np.int64), axis=1).T
        return (a * template.num_vertices + b) * template.num_vertices + c

    known = keys(template.faces)
    order = np.argsort(known)
    wanted = keys(vertex_ids)
    place = np.minimum(np.searchsorted(known[order], wanted), len(order) - 1)
    return np.where(known[order][place] == wanted, template.face_parts[order][place], 0)


def draw_labels(
    crop: np.ndarray,  # (H, W, 3)
    labels: CropLabels,
    template: MeshTemplate,
    title: str = '',
    panel_height: int = 256,
) -> np.ndarray:
    """Draw one person in five panels: input, points by part, mesh, mask, and labels in and out of the crop.

    Args:
        crop: the network's input as a picture, uint8 RGB.
        labels: of the crop.
        template: of points and mesh.
        title: of the row, before what ``describe`` says.
        panel_height: small crops are enlarged by a whole factor to about this height in px.

    Returns:
        (H', W', 3) uint8 RGB.

    Raises:
        ValueError: the crop is not (H, W, 3) uint8.
    """
    if crop.ndim != 3 or crop.shape[2] != 3 or crop.dtype != np.uint8:
        raise ValueError(f'crop must be (H, W, 3) uint8, got {crop.shape} {crop.dtype}')
    factor = max(1, round(panel_height / crop.shape[0]))
    image = cv2.resize(crop, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    panels = {
        'input': image,
        'points by part': _points_panel(image, labels, template, factor),
        'mesh (red: hidden)': _mesh_panel(image, labels, template, factor),
        'mask (red: ignored)': _mask_panel(image, labels),
        'in and out of the crop': _outside_panel(image, labels, factor),
    }
    height = max(panel.shape[0] for panel in panels.values())
    row = np.concatenate([_titled(panel, name, height) for name, panel in panels.items()], axis=1)
    strip = np.full((TITLE_HEIGHT, row.shape[1], 3), 60, np.uint8)
    description = labels.describe(crop.shape[1], crop.shape[0])
    return np.concatenate([_text(strip, f'{title}: {description}' if title else description), row])


def stack_rows(rows: list[np.ndarray]) -> np.ndarray:
    """Put rows of any widths below each other on one sheet."""
    width = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, 6), (0, width - row.shape[1]), (0, 0))) for row in rows])


def _enlarge(positions: np.ndarray, factor: int) -> np.ndarray:
    """Take crop px to the enlarged crop; pixel centres are integers in both."""
    enlarged = np.array(positions, np.float32) * factor
    enlarged[:, :2] += (factor - 1) / 2
    return enlarged


def _dots(picture: np.ndarray, xy: np.ndarray, colors, radius: int) -> None:
    for (x, y), color in zip(np.clip(xy[:, :2], -1e4, 1e4), colors):
        color = tuple(int(value) for value in color)
        cv2.circle(picture, (int(round(x)), int(round(y))), radius, color, -1, cv2.LINE_AA)


def _points_panel(image, labels: CropLabels, template: MeshTemplate, factor: int) -> np.ndarray:
    picture = (image * 0.6).astype(np.uint8)
    if labels.points_xy is not None and len(labels.points_xy):
        parts = parts_of_triangles(labels.point_vertex_ids, template)[labels.point_valid]
        xy = _enlarge(labels.points_xy[labels.point_valid], factor)
        _dots(picture, xy, PART_COLORS[parts] * 255, max(2, factor))
    return picture


def _mesh_panel(image, labels: CropLabels, template: MeshTemplate, factor: int) -> np.ndarray:
    if labels.vertices is None:
        return image
    seen = np.ones(len(labels.vertices)) if labels.visibility is None else labels.visibility
    colors = np.where(seen[:, None] > 0.5, np.float32(MESH_COLOR), np.float32(HIDDEN_COLOR))
    return overlay_mesh(image, _enlarge(labels.vertices, factor), template.faces, color=colors)


def _mask_panel(image, labels: CropLabels) -> np.ndarray:
    picture = image.astype(np.float32)
    for mask, color in ((labels.person_mask, MASK_COLOR), (labels.ignore_mask, IGNORED_COLOR)):
        if mask is not None:
            size = (image.shape[1], image.shape[0])
            share = 0.55 * cv2.resize(mask.astype(np.float32), size)[..., None]
            picture = picture * (1 - share) + color * share
    return picture.astype(np.uint8)


def _outside_panel(image, labels: CropLabels, factor: int) -> np.ndarray:
    height, width = image.shape[:2]
    across, down = round(MARGIN * width), round(MARGIN * height)
    picture = np.full((height + 2 * down, width + 2 * across, 3), 25, np.uint8)
    picture[down:down + height, across:across + width] = image // 2
    cv2.rectangle(picture, (across - 1, down - 1), (across + width, down + height), (200, 200, 200), 1)
    shift = np.float32([across, down])
    for positions, usual, radius in (
        (labels.vertices, INSIDE_COLOR, 1),
        (labels.points_xy, INSIDE_COLOR, 2),
        (None if labels.keypoints is None else labels.keypoints[labels.keypoints_valid], KEYPOINT_COLOR, 3),
    ):
        if positions is not None and len(positions):
            xy = _enlarge(positions[:, :2], factor)
            inside = inside_frame(xy, width, height)
            _dots(picture, xy + shift, [usual if good else OUTSIDE_COLOR for good in inside], radius)
    return cv2.resize(picture, (round(picture.shape[1] * height / picture.shape[0]), height),
                      interpolation=cv2.INTER_AREA)


def _titled(panel: np.ndarray, title: str, height: int) -> np.ndarray:
    strip = _text(np.full((TITLE_HEIGHT, panel.shape[1], 3), 30, np.uint8), title)
    panel = np.pad(panel, ((0, height - panel.shape[0]), (0, 3), (0, 0)))
    return np.concatenate([np.pad(strip, ((0, 0), (0, 3), (0, 0))), panel])


def _text(strip: np.ndarray, text: str) -> np.ndarray:
    place, font = (5, TITLE_HEIGHT - 6), cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(strip, text, place, font, 0.4, (235, 235, 235), 1, cv2.LINE_AA)
    return strip
