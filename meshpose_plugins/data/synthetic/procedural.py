"""Procedural pictures that need no files: rooms, streets and clutter made of noise, gradients and shapes."""

from __future__ import annotations

import cv2
import numpy as np

from meshpose_plugins.data.synthetic.choices import pick


def random_color(rng: np.random.Generator, saturation: float = 0.5) -> np.ndarray:
    """Return a random RGB colour (3,) float32 in 0..255; ``saturation`` bounds how colourful it may be."""
    # The mean of two uniform numbers prefers middle brightness, but still reaches black and white.
    red, green, blue, amount, value, other = rng.random(6).tolist()
    amount *= saturation
    tints = 1 - amount * red, 1 - amount * green, 1 - amount * blue
    value = (10 + 235 * (value if other < 0.6 else 0.5 * (value + other))) / max(tints)
    return np.array([value * tint for tint in tints], np.float32)


def fractal_noise(rng: np.random.Generator, width: int, height: int, colored: float = 0.4) -> np.ndarray:
    """Return (height, width, 3) float32 noise of several octaves, in about -1..1, mostly grey.

    Each octave doubles the grid of the one before and adds finer noise, so that all of them cost little more
    than the last; that one has half the picture's resolution.
    """
    roughness = np.float32(rng.uniform(0.4, 0.8))
    sizes = [(max(width >> k, 2), max(height >> k, 2)) for k in range(6, 0, -1)]
    total = rng.standard_normal((sizes[0][1], sizes[0][0]), dtype=np.float32) * 0.5
    weight = np.float32(0.5)
    for size in sizes[1:]:
        weight *= roughness
        total = cv2.resize(total, size, interpolation=cv2.INTER_LINEAR)
        total += weight * rng.standard_normal(total.shape, dtype=np.float32)
    tint = rng.standard_normal((max(4 * height // width, 2), 4, 3), dtype=np.float32) * np.float32(
        0.5 * colored
    )
    tinted = cv2.resize(tint, sizes[-1], interpolation=cv2.INTER_LINEAR)
    tinted += total[..., None]
    return cv2.resize(tinted, (width, height), interpolation=cv2.INTER_LINEAR)


def pattern(
    rng: np.random.Generator, width: int, height: int, low: float = 6, high: float = 60
) -> np.ndarray:
    """Return a (height, width) float32 pattern in 0..1: stripes, checks, bricks or dots, turned at random."""
    angle = pick(rng, [0.0, np.pi / 2, rng.uniform(0, np.pi)])
    period = np.exp(rng.uniform(np.log(low), np.log(high)))
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    c, s = np.float32(np.cos(angle) / period), np.float32(np.sin(angle) / period)
    stretch = np.float32(rng.uniform(0.3, 2))
    # Offsets well above zero, so that a truncated fraction is a true one.
    u = (c * x + s * y) + np.float32(rng.random() + 4096)
    v = (c * stretch * y - s * stretch * x) + np.float32(rng.random() + 4096)
    kind = rng.integers(5)
    duty = rng.uniform(0.15, 0.85)
    if kind == 4:
        return 0.5 + 0.5 * np.sin(np.float32(2 * np.pi) * u)
    if kind == 2:  # Bricks or tiles: thin joints, rows shifted by half.
        joint = rng.uniform(0.04, 0.15)
        u = u + np.float32(0.5 * rng.integers(2)) * (v.astype(np.int32) & 1)
    u, v = u - u.astype(np.int32), v - v.astype(np.int32)
    if kind == 0:
        inside = u < duty
    elif kind == 1:
        inside = (u < duty) ^ (v < duty)
    elif kind == 2:
        inside = (u > joint) & (v > joint)
    else:
        inside = (u - 0.5) ** 2 + (v - 0.5) ** 2 < 0.15 * duty
    return inside.astype(np.float32)


def draw_shapes(rng: np.random.Generator, image: np.ndarray, count: int) -> None:
    """Draw random boxes, discs, polygons and bars on a float32 image, in place."""
    height, width = image.shape[:2]
    for _ in range(count):
        color = tuple(float(c) for c in random_color(rng, 0.8))
        x, y = rng.integers(-width // 8, width + width // 8), rng.integers(-height // 8, height + height // 8)
        size = np.exp(rng.uniform(np.log(0.03), np.log(0.5))) * max(width, height)
        kind = rng.integers(5)
        if kind == 0:
            corner = (int(x + size * rng.uniform(0.2, 1.5)), int(y + size * rng.uniform(0.2, 1.5)))
            cv2.rectangle(image, (int(x), int(y)), corner, color, -1)
        elif kind == 1:
            axes = (int(size * rng.uniform(0.2, 0.7)) + 1, int(size * rng.uniform(0.2, 0.7)) + 1)
            cv2.ellipse(image, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, color, -1)
        elif kind == 2:
            corners = np.array([x, y]) + rng.normal(0, size * 0.5, (rng.integers(3, 7), 2))
            cv2.fillPoly(image, [corners.astype(np.int32)], color)
        else:  # Bars: poles, tree trunks, window frames, limbs of furniture.
            direction = pick(rng, [0.0, np.pi / 2, rng.uniform(0, np.pi)])
            end = np.array([x, y]) + 2 * size * np.array([np.cos(direction), np.sin(direction)])
            cv2.line(
                image,
                (int(x), int(y)),
                (int(end[0]), int(end[1])),
                color,
                int(size * rng.uniform(0.03, 0.3)) + 1,
            )


def procedural_picture(rng: np.random.Generator, width: int, height: int, clutter: int = 14) -> np.ndarray:
    """Return a random (height, width, 3) uint8 RGB picture with a photograph's edges and clutter.

    Args:
        clutter: the number of shapes in it stays below this.
    """
    image = np.empty((height, width, 3), np.float32)
    image[:] = random_color(rng)
    if rng.random() < 0.7:  # A wall (or sky) above a floor, each shaded by a gradient.
        horizon = int(rng.uniform(0.2, 0.95) * height)
        image[horizon:] = random_color(rng)
        slope = np.linspace(rng.uniform(-60, 60), rng.uniform(-60, 60), height, dtype=np.float32)
        image += slope[:, None, None]
        if rng.random() < 0.5:
            amount = rng.uniform(-70, 70)
            rows = slice(0, horizon) if rng.random() < 0.6 else slice(horizon, height)
            image[rows] += amount * pattern(rng, width, height)[rows, :, None]
    elif rng.random() < 0.6:
        image += (pattern(rng, width, height)[..., None] - 0.5) * rng.uniform(-120, 120, 3).astype(np.float32)
    draw_shapes(rng, image, int(rng.integers(0, clutter)))
    noise = fractal_noise(rng, width, height, rng.uniform(0, 0.8))
    image += noise * np.float32(np.exp(rng.uniform(1.5, 3.8)))
    if rng.random() < 0.35:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.7, 4.0))
    if rng.random() < 0.4:  # Things in focus before soft ones.
        draw_shapes(rng, image, int(rng.integers(1, 2 + clutter // 3)))
    return cv2.convertScaleAbs(np.maximum(image, 0, out=image))
