"""Colours for people and for DensePose charts."""

from __future__ import annotations

import colorsys

import numpy as np

PERSON_COLORS = np.array(
    [
        (0.55, 0.75, 0.95),
        (0.96, 0.66, 0.45),
        (0.60, 0.84, 0.60),
        (0.93, 0.57, 0.66),
        (0.75, 0.66, 0.93),
        (0.95, 0.85, 0.50),
        (0.50, 0.83, 0.83),
        (0.80, 0.70, 0.60),
    ],
    dtype=np.float32,
)


def _part_palette() -> np.ndarray:
    """25 colours, index 0 black; hues in steps of the golden ratio, so that neighbours differ."""
    palette = [(0.0, 0.0, 0.0)]
    for part in range(24):
        hue = (part * 0.381966) % 1.0
        palette.append(colorsys.hsv_to_rgb(hue, 0.62 if part % 2 else 0.78, 0.98 if part % 3 else 0.84))
    return np.array(palette, dtype=np.float32)


PART_COLORS = _part_palette()


def person_color(index: int) -> np.ndarray:
    """RGB (3,) in [0, 1] of the person with this index; repeats after eight."""
    return PERSON_COLORS[index % len(PERSON_COLORS)]


def iuv_colors(iuv: np.ndarray, lines: int = 8) -> np.ndarray:
    """Colours DensePose coordinates: one colour per part, shaded by U and V, with lines of equal U and V.

    Args:
        iuv: (H, W, 3) part 0 to 24 and chart coordinates in [0, 1].
        lines: number of intervals between lines of equal U, and of equal V.

    Returns:
        (H, W, 3) float32 RGB in [0, 1], black where the part is 0.
    """
    part = iuv[..., 0].astype(int)
    u, v = iuv[..., 1], iuv[..., 2]
    color = PART_COLORS[part] * (0.55 + 0.25 * u + 0.2 * v)[..., None]
    for value in (u, v):
        near = np.abs(value * lines - np.rint(value * lines)) < 0.07
        color[near] *= 0.6
    return color
