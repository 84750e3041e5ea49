"""From a rendered person to a photograph: soft edges, things in front, and a camera's flaws."""

from __future__ import annotations

import cv2
import numpy as np

from meshpose_plugins.data.synthetic.choices import pick
from meshpose_plugins.data.synthetic.photos import PictureSource
from meshpose_plugins.data.synthetic.procedural import random_color

#: Occluders must leave this share of the person's pixels.
_LEAST_LEFT = 0.4


def paste(background: np.ndarray, colors: np.ndarray, pixels: np.ndarray, soft: float) -> np.ndarray:
    """Put rendered colours over a background with an edge that is ``soft`` px wide.

    Args:
        background: (H, W, 3) uint8.
        colors: (P, 3), or one colour (3,); values outside 0..255 are clipped.
        pixels: (P,) flat indices (row-major) of the pixels that they cover.

    Returns:
        (H, W, 3) uint8.
    """
    image = background.copy()
    image.reshape(-1, 3)[pixels] = np.clip(colors, 0, 255)
    if soft <= 0:
        return image
    blurred = cv2.GaussianBlur(image, (3, 3), soft)
    inside = np.zeros(image.shape[:2], np.uint8)
    inside.ravel()[pixels] = 1
    edge = np.flatnonzero(cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)))
    image.reshape(-1, 3)[edge] = blurred.reshape(-1, 3)[edge]
    return image


def _shape_mask(rng: np.random.Generator, width: int, height: int, box: np.ndarray) -> np.ndarray:
    """Return the (height, width) uint8 mask of one object that overlaps a box (x0, y0, x1, y1)."""
    mask = np.zeros((height, width), np.uint8)
    extent = box[2:] - box[:2]
    size = np.sqrt(extent.prod()) * np.exp(rng.uniform(np.log(0.12), np.log(0.8)))
    x, y = box[:2] + extent * rng.uniform(-0.1, 1.1, 2)
    kind = rng.integers(5)
    if kind == 0:  # Table or wall from below.
        top = box[3] - extent[1] * rng.uniform(0.05, 0.5)
        slope = rng.normal(0, 0.06) * width
        corners = [(-5, top - slope), (width + 5, top + slope), (width + 5, height + 5), (-5, height + 5)]
        if rng.random() < 0.5:
            corners[0], corners[3] = (x, top), (x + rng.normal(0, 10), height + 5)
        cv2.fillPoly(mask, [np.array(corners, np.int32)], 1)
    elif kind == 1:
        axes = (int(size * rng.uniform(0.2, 0.6)) + 1, int(size * rng.uniform(0.2, 0.6)) + 1)
        cv2.ellipse(mask, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, 1, -1)
    elif kind == 2:  # Pole, branch, another's limb.
        direction = pick(rng, [np.pi / 2, rng.uniform(0, np.pi)])
        step = size * rng.uniform(0.8, 3) * np.array([np.cos(direction), np.sin(direction)])
        ends = np.array([[x, y] - step, [x, y] + step]).astype(np.int32)
        cv2.line(
            mask,
            tuple(map(int, ends[0])),
            tuple(map(int, ends[1])),
            1,
            int(size * rng.uniform(0.1, 0.35)) + 2,
        )
    elif kind == 3:
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(5, 12)))
        radii = size * rng.uniform(0.25, 0.6, len(angles))
        corners = np.column_stack([x + radii * np.cos(angles), y + radii * np.sin(angles)])
        cv2.fillPoly(mask, [corners.astype(np.int32)], 1)
    else:
        half = size * rng.uniform(0.2, 0.6, 2)
        corners = cv2.boxPoints(
            ((float(x), float(y)), (float(half[0] * 2), float(half[1] * 2)), float(rng.normal(0, 15)))
        )
        cv2.fillPoly(mask, [corners.astype(np.int32)], 1)
    return mask


def add_occluders(rng: np.random.Generator, image: np.ndarray, person: np.ndarray,
                  pictures: PictureSource) -> np.ndarray:
    """Draw one to three objects in front of the person, in place.

    Args:
        image: (H, W, 3) uint8.
        person: (H, W) bool, the person's visible pixels.

    Returns:
        (H, W) bool: where the objects lie. An object that would hide too much is left out.
    """
    height, width = person.shape
    rows, columns = np.nonzero(person)
    occluded = np.zeros(person.shape, bool)
    if not len(rows):
        return occluded
    box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], np.float64)
    for _ in range(int(pick(rng, [1, 1, 2, 3]))):
        mask = _shape_mask(rng, width, height, box) > 0
        plain = rng.random() < 0.4
        fill = random_color(rng, 0.8) if plain else pictures.picture(rng, width, height, 0.2)
        together = occluded | mask
        if (person & ~together).sum() < _LEAST_LEFT * len(rows):
            continue
        pixels = np.flatnonzero(mask)
        colors = (fill if plain else fill.reshape(-1, 3)[pixels]) * rng.uniform(0.6, 1.2)
        image[:] = paste(image, colors, pixels, rng.uniform(0.4, 0.8))
        occluded = together
    return occluded


def photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Do to a (H, W, 3) uint8 picture what cameras do: tone, blur, low resolution, noise; returns uint8."""
    height, width = image.shape[:2]
    gain = rng.uniform(0.7, 1.25) * (1 + rng.normal(0, 0.05, 3))
    contrast = rng.uniform(0.75, 1.2)
    # One look-up table per channel: gain, contrast and gamma.
    levels = np.arange(256, dtype=np.float64)[:, None] * gain
    levels = np.clip((levels - 110) * contrast + 110 + rng.normal(0, 8), 0, 255)
    table = np.round(255 * (levels / 255) ** rng.uniform(0.8, 1.25)).astype(np.uint8)
    picture = cv2.LUT(image, table.reshape(1, 256, 3))
    if rng.random() < 0.06:
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    kind = rng.random()
    if kind < 0.25:
        scale = rng.uniform(0.3, 0.9)
        small = cv2.resize(
            picture, (max(int(width * scale), 8), max(int(height * scale), 8)), interpolation=cv2.INTER_AREA
        )
        picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    elif kind < 0.6:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.2))
    elif kind < 0.68:  # Motion.
        length = int(rng.integers(3, 8))
        kernel = np.zeros((length, length), np.float32)
        direction = rng.uniform(0, np.pi)
        step = 0.5 * (length - 1) * np.array([np.cos(direction), np.sin(direction)])
        middle = 0.5 * (length - 1)
        ends = np.round([middle - step, middle + step]).astype(int)
        cv2.line(kernel, tuple(map(int, ends[0])), tuple(map(int, ends[1])), 1.0, 1)
        picture = cv2.filter2D(picture, -1, kernel / kernel.sum())
    if rng.random() < 0.5:
        # A tile of noise, shifted at random, is as good as fresh noise and cheaper.
        noise = rng.standard_normal((height // 2, width, 3), dtype=np.float32) * np.float32(rng.uniform(1, 9))
        noise = np.concatenate([noise, np.roll(noise, width // 3, axis=1), noise[:1]])[:height]
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    return picture


def encode_jpeg(rng: np.random.Generator, picture: np.ndarray) -> bytes:
    """Encode a (H, W, 3) uint8 RGB picture as JPEG of a random quality."""
    quality = int(pick(rng, [rng.integers(60, 97), rng.integers(25, 60)], shares=[0.85, 0.15]))
    ok, data = cv2.imencode('.jpg', picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ValueError(f'OpenCV could not encode a picture of {picture.shape}')
    return data.tobytes()
