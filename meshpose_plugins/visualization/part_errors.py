"""Errors by body part, drawn on the template."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from meshpose_plugins.rendering import shade
from meshpose_plugins.rendering.benchmark import fit_to_picture
from meshpose_plugins.rendering.overlay import average_blocks, rasterize_supersampled
from meshpose_plugins.templates import MeshTemplate
from meshpose_plugins.templates.parts import COARSE_PART_NAMES, COARSE_PARTS, PART_NAMES

PAPER = 255
INK = (40, 40, 40)
UNKNOWN = 0.8
BAR_WIDTH, BAR_MARGIN = 22, 90
COLOR_MAP = cv2.COLORMAP_VIRIDIS


def draw_part_errors(
    errors: Mapping[str, float],
    template: MeshTemplate,
    unit: str,
    height: int = 560,
    highest: float | None = None,
) -> np.ndarray:
    """Draws the template from the front and from the back, each part in the colour of its error.

    Args:
        errors: part name -> error; names of the 24 DensePose parts or of the 8 coarse ones. Parts that are
            absent or NaN are grey.
        template: the body to draw.
        unit: of the errors, for the colour bar.
        height: of the picture in px.
        highest: error at the upper end of the colour bar; the largest one if not given.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        ValueError: a name that is no part.
    """
    values = part_values(errors)
    finite = values[np.isfinite(values)]
    highest = (float(finite.max()) if len(finite) else 0.0) if highest is None else highest
    highest = highest if highest > 0 else 1.0
    colors = np.full((len(values), 3), UNKNOWN, np.float32)
    known = np.isfinite(values)
    colors[known] = _color_map(values[known] / highest)
    face_colors = colors[np.asarray(template.surface.face_parts, np.int64) - 1]
    views = [
        _draw_view(template, face_colors, turn, title, height)
        for turn, title in (([1, 1, 1], "front"), ([-1, -1, 1], "back"))
    ]
    return np.concatenate([*views, _color_bar(highest, unit, height)], axis=1)


def part_values(errors: Mapping[str, float]) -> np.ndarray:
    """The errors of the 24 DensePose parts (24,), from names of those or of the 8 coarse ones; NaN if absent.

    Raises:
        ValueError: a name that is no part.
    """
    unknown = [name for name in errors if name not in PART_NAMES and name not in COARSE_PART_NAMES]
    if unknown:
        raise ValueError(
            f"{unknown[0]!r} is no body part: expected one of {', '.join(COARSE_PART_NAMES)} or of "
            f"{', '.join(PART_NAMES)}"
        )
    return np.array(
        [
            errors.get(name, errors.get(COARSE_PART_NAMES[coarse - 1], np.nan))
            for name, coarse in zip(PART_NAMES, COARSE_PARTS)
        ],
        np.float64,
    )


def _draw_view(
    template: MeshTemplate, face_colors: np.ndarray, turn: list[int], title: str, height: int
) -> np.ndarray:
    body = np.asarray(template.surface.vertices, np.float64) * turn
    width, depth = np.ptp(body[:, 0]), np.ptp(body[:, 2])
    columns = max(80, int(np.ceil(height * width / depth)))
    points = fit_to_picture(body, height, columns).astype(np.float32)
    raster, points = rasterize_supersampled(points, template.surface.faces, height, columns, 2)
    lit = shade(
        raster, points, template.surface.faces, face_colors, ambient=0.55, diffuse=0.45, per_face=True
    )
    picture = average_blocks(lit, 2)
    coverage = average_blocks(raster.mask[..., None].astype(np.float32), 2)
    result = np.clip(np.rint(PAPER * (1 - coverage) + 255 * picture), 0, 255).astype(np.uint8)
    cv2.putText(result, title, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
    return result


def _color_map(shares: np.ndarray) -> np.ndarray:
    """RGB (N, 3) in [0, 1] of shares (N,) of the highest error, cut to [0, 1]."""
    palette = cv2.applyColorMap(np.arange(256, dtype=np.uint8), COLOR_MAP)[:, 0, ::-1]
    return palette[np.rint(np.clip(shares, 0, 1) * 255).astype(int)].astype(np.float32) / 255


def _color_bar(highest: float, unit: str, height: int) -> np.ndarray:
    bar = np.full((height, BAR_WIDTH + BAR_MARGIN, 3), PAPER, np.uint8)
    top, bottom = 40, height - 20
    shades = _color_map(np.linspace(1, 0, bottom - top))
    bar[top:bottom, :BAR_WIDTH] = np.rint(shades * 255).astype(np.uint8)[:, None]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        row = int(round(bottom - 1 - share * (bottom - top - 1)))
        cv2.line(bar, (BAR_WIDTH, row), (BAR_WIDTH + 4, row), INK, 1)
        text = f"{share * highest:.3g}"
        cv2.putText(bar, text, (BAR_WIDTH + 8, row + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.42, INK, 1, cv2.LINE_AA)
    cv2.putText(bar, unit, (0, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
    return bar
