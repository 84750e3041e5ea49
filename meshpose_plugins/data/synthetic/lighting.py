"""Light of a synthetic scene, applied per pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meshpose_plugins.data.synthetic import kernels

#: Brightness of a full highlight, 0..255.
_HIGHLIGHT = 160.0


@dataclass
class Light:
    """An ambient sky-and-ground light with one or two lamps, in camera axes (x right, y down, z away).

    Args:
        sky, ground: (3,) light from above and below.
        lamps: (L, 3) unit vectors towards the lamps.
        strengths: (L, 3) RGB strength of each lamp.
    """

    sky: np.ndarray
    ground: np.ndarray
    lamps: np.ndarray
    strengths: np.ndarray

    def shade(self, colors: np.ndarray, normals: np.ndarray, shine: np.ndarray) -> np.ndarray:
        """Return lit colours (P, 3) float32, unclipped.

        Args:
            colors: (P, 3) RGB 0..255.
            normals: (P, 3) unit normals in camera axes.
            shine: (P,) strength of highlights.
        """
        return kernels.shade(
            np.ascontiguousarray(colors, np.float32),
            np.ascontiguousarray(normals, np.float32),
            shine,
            self.sky,
            self.ground,
            self.lamps,
            self.strengths,
            _HIGHLIGHT,
        )


def sample_light(rng: np.random.Generator) -> Light:
    """Sample a light: soft and even to hard from one side, warm or cold, at times with a second lamp."""
    ambient = rng.uniform(0.35, 0.95)
    tint = 1 + rng.uniform(0, 0.12) * rng.normal(0, 1, 3)
    sky = ambient * np.clip(tint, 0.7, 1.3)
    ground = sky * rng.uniform(0.45, 1.0)
    count = 1 if rng.random() < 0.75 else 2
    lamps = rng.normal(0, 1, (count, 3))
    lamps[:, 1] = -np.abs(lamps[:, 1]) * rng.uniform(0.3, 1.5)
    lamps[:, 2] -= rng.uniform(0, 1.2)
    lamps /= np.linalg.norm(lamps, axis=1, keepdims=True)
    strengths = rng.uniform(0.15, 1.3 - 0.7 * ambient, (count, 1)) * np.clip(
        1 + rng.normal(0, 0.08, (count, 3)), 0.7, 1.3
    )
    return Light(*(a.astype(np.float32) for a in (sky, ground, lamps, strengths)))
