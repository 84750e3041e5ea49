"""Pictures that tell while a network trains how its meshes come along."""

from __future__ import annotations

import cv2
import numpy as np

from meshpose_plugins.rendering import overlay_mesh
from meshpose_plugins.templates import MeshTemplate

TRUTH_COLOR = (0.60, 0.85, 0.60)
PREDICTION_COLOR = (0.66, 0.78, 0.92)
POINT_COLOR = (90, 230, 90)
TITLE_HEIGHT = 22


def draw_truth_and_prediction(
    crop: np.ndarray,  # (H, W, 3)
    predicted: np.ndarray,  # (V, 3)
    template: MeshTemplate,
    true_vertices: np.ndarray | None = None,  # (V, 3)
    points_xy: np.ndarray | None = None,  # (P, 2)
    panel_height: int = 384,
) -> np.ndarray:
    """Draws one person: the network's input, the truth on it, the prediction on it.

    Args:
        crop: the network's input as a picture, uint8 RGB.
        predicted: predicted vertices in crop px.
        template: the template of the vertices.
        true_vertices: true vertices in crop px; None where there is no mesh.
        points_xy: annotated pixels in crop px, drawn where there is no mesh; None or none of them: no truth.
        panel_height: small crops are enlarged by a whole factor to about this height in px.

    Returns:
        (H', W', 3) uint8 RGB, three labelled panels side by side.

    Raises:
        ValueError: the crop is not (H, W, 3) uint8.
    """
    if crop.ndim != 3 or crop.shape[2] != 3 or crop.dtype != np.uint8:
        raise ValueError(f"crop must be (H, W, 3) uint8, got {crop.shape} {crop.dtype}")
    factor = max(1, round(panel_height / crop.shape[0]))
    image = cv2.resize(crop, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    if true_vertices is not None:
        title, truth = "truth", _draw_mesh(image, true_vertices, template, factor, TRUTH_COLOR)
    elif points_xy is not None and len(points_xy):
        title, truth = "annotated points", _draw_points(image, points_xy, factor)
    else:
        title, truth = "no truth", image
    prediction = _draw_mesh(image, predicted, template, factor, PREDICTION_COLOR)
    panels = [with_title(image, "input"), with_title(truth, title), with_title(prediction, "prediction")]
    return np.concatenate(panels, axis=1)


def _draw_mesh(
    image: np.ndarray, vertices: np.ndarray, template: MeshTemplate, factor: int, color: tuple
) -> np.ndarray:
    return overlay_mesh(image, _enlarge(vertices, factor), template.faces, color=color)


def _draw_points(image: np.ndarray, points_xy: np.ndarray, factor: int) -> np.ndarray:
    picture = image.copy()
    for x, y in _enlarge(points_xy, factor):
        cv2.circle(picture, (int(round(x)), int(round(y))), 2, POINT_COLOR, -1, cv2.LINE_AA)
    return picture


def _enlarge(xyz: np.ndarray, factor: int) -> np.ndarray:
    """Takes x, y (and z) to an image enlarged by a whole factor; pixel centres are integers in both."""
    enlarged = np.asarray(xyz, np.float32) * factor
    enlarged[..., :2] += (factor - 1) / 2
    return enlarged


def with_title(image: np.ndarray, title: str) -> np.ndarray:
    """Returns the picture with a dark strip and its title on top."""
    strip = np.full((TITLE_HEIGHT, image.shape[1], 3), 30, np.uint8)
    cv2.putText(
        strip, title, (6, TITLE_HEIGHT - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (235, 235, 235), 1, cv2.LINE_AA
    )
    return np.concatenate([strip, np.ascontiguousarray(image)])
