"""Colours and textures of skin, hair and cloth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meshpose_plugins.data.synthetic.choices import pick
from meshpose_plugins.data.synthetic.kernels import sample_texture
from meshpose_plugins.data.synthetic.photos import PictureSource
from meshpose_plugins.data.synthetic.procedural import pattern, random_color

#: Skin from light to dark (sRGB); tones between neighbours are mixed.
SKIN_TONES = np.array(
    [
        [244, 214, 196],
        [229, 188, 162],
        [208, 160, 128],
        [178, 125, 92],
        [134, 88, 62],
        [92, 60, 45],
        [60, 42, 35],
    ],
    np.float32,
)
HAIR_COLORS = np.array(
    [
        [18, 16, 15],
        [38, 28, 22],
        [70, 46, 30],
        [110, 74, 44],
        [168, 130, 82],
        [214, 186, 138],
        [120, 52, 28],
        [150, 148, 145],
        [215, 212, 208],
    ],
    np.float32,
)
#: Cloth that people wear often: black, white, greys, navy, denim, khaki, red.
CLOTH_COLORS = np.array(
    [
        [22, 22, 24],
        [235, 235, 232],
        [128, 128, 130],
        [70, 72, 76],
        [28, 36, 66],
        [64, 88, 124],
        [150, 132, 98],
        [150, 30, 34],
    ],
    np.float32,
)
_TEXTURE_SIZE = 96


@dataclass
class Material:
    """A surface colour, plain or with a texture laid through the resting body.

    Args:
        color: (3,) RGB 0..255, the mean colour.
        texture: (h, w, 3) uint8, or None.
        projection: (2, 3) texels per metre of the rest pose.
        offset: (2,) texels.
        shine: strength of highlights.
    """

    color: np.ndarray
    texture: np.ndarray | None = None
    projection: np.ndarray | None = None
    offset: np.ndarray | None = None
    shine: float = 0.0

    def paint(self, xyz: np.ndarray) -> np.ndarray:
        """Return (P, 3) float32 colours at rest-pose places (P, 3)."""
        if self.texture is None:
            return np.broadcast_to(self.color, xyz.shape)
        return sample_texture(self.texture, (xyz @ self.projection.T + self.offset).astype(np.float32))


def skin_tone(rng: np.random.Generator) -> np.ndarray:
    """Return a random skin colour (3,)."""
    place = rng.uniform(0, len(SKIN_TONES) - 1)
    low = min(int(place), len(SKIN_TONES) - 2)
    tone = SKIN_TONES[low] + (SKIN_TONES[low + 1] - SKIN_TONES[low]) * (place - low)
    return (tone * rng.uniform(0.9, 1.08, 3)).astype(np.float32)


def hair_color(rng: np.random.Generator) -> np.ndarray:
    """Return a random hair colour (3,); now and then a dyed one."""
    if rng.random() < 0.05:
        return random_color(rng, 0.9)
    return HAIR_COLORS[rng.integers(len(HAIR_COLORS))] * rng.uniform(0.8, 1.2)


def cloth_color(rng: np.random.Generator) -> np.ndarray:
    """Return a random cloth colour (3,): often a common one, else anything."""
    if rng.random() < 0.5:
        return CLOTH_COLORS[rng.integers(len(CLOTH_COLORS))] * rng.uniform(0.75, 1.25, 3).astype(np.float32)
    return random_color(rng, 0.85)


def _projection(rng: np.random.Generator, texels_per_metre: float) -> np.ndarray:
    """Return a random (2, 3) map of rest-pose metres to texels: mostly seen from the front, upright."""
    yaw, spin = rng.normal(0, 0.6), pick(rng, [0.0, 0.0, rng.uniform(0, 2 * np.pi)])
    across = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    up = np.array([0.25 * np.sin(yaw), -0.25 * np.cos(yaw), -1.0])
    turn = np.array([[np.cos(spin), -np.sin(spin)], [np.sin(spin), np.cos(spin)]])
    return (turn @ np.stack([across, up]) * texels_per_metre).astype(np.float32)


def cloth(rng: np.random.Generator, pictures: PictureSource) -> Material:
    """Return a random cloth: plain, patterned in two colours, or printed with a picture."""
    color = cloth_color(rng)
    shine = pick(rng, [0.0, 0.0, 0.0, rng.uniform(0, 0.5)])
    kind = rng.random()
    if kind < 0.5:
        return Material(color, shine=shine)
    offset = rng.uniform(-_TEXTURE_SIZE, _TEXTURE_SIZE, 2).astype(np.float32) + 1000
    if kind < 0.75:
        weights = pattern(rng, _TEXTURE_SIZE, _TEXTURE_SIZE, 8, 40)[..., None]
        texture = color * weights + cloth_color(rng) * (1 - weights)
        projection = _projection(rng, np.exp(rng.uniform(np.log(100), np.log(500))))
    else:
        picture = pictures.picture(rng, _TEXTURE_SIZE, _TEXTURE_SIZE, smallest=0.15).astype(np.float32)
        mix = rng.uniform(0.3, 1.0)
        texture = picture * mix + color * (1 - mix)
        projection = _projection(rng, np.exp(rng.uniform(np.log(60), np.log(400))))
    return Material(color, np.clip(texture, 0, 255).astype(np.uint8), projection, offset, shine)
