"""Procedural pictures that need no files: rooms, streets and clutter made of noise, gradients and shapes."""

from __future__ import annotations

import cv2
import numpy as np


def random_color(rng: np.random.Generator, saturation: float = 0.5) -> np.ndarray:
    """Return a random RGB colour (3,) float32 in 0..255; ``saturation`` bounds how colourful it may be."""
    value = rng.beta(1.3, 1.3) * 235 + 10
    tint = 1 - rng.uniform(0, saturation) * rng.random(3)
    return (value * tint / tint.max()).astype(np.float32)


def smooth_noise(rng: np.random.Generator, width: int, height: int, cells: int, channels: int = 3) -> np.ndarray:
    """Return (height, width, channels) float32 noise in about -1..1 with ``cells`` cells along the longer side."""
    long_side = max(width, height)
    shape = (max(round(cells * height / long_side), 2), max(round(cells * width / long_side), 2), channels)
    noise = rng.standard_normal(shape, dtype=np.float32) * 0.5
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, channels)


def fractal_noise(rng: np.random.Generator, width: int, height: int, colored: float = 0.4) -> np.ndarray:
    """Return (height, width, 3) float32 noise of several octaves, mostly grey."""
    total = np.zeros((height, width, 3), np.float32)
    roughness = rng.uniform(0.4, 0.8)
    weight = 1.0
    for cells in (3, 7, 17, 41, 97):
        total += weight * smooth_noise(rng, width, height, cells, 1)
        weight *= roughness
    return total + colored * smooth_noise(rng, width, height, 5)


def pattern(rng: np.random.Generator, width: int, height: int, low: float = 6, high: float = 60) -> np.ndarray:
    """Return a (height, width) float32 pattern in 0..1: stripes, checks, bricks or dots, turned at random."""
    angle = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    period = np.exp(rng.uniform(np.log(low), np.log(high)))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    u = (np.cos(angle) * x + np.sin(angle) * y) / period + rng.random()
    v = (-np.sin(angle) * x + np.cos(angle) * y) / period * rng.uniform(0.3, 2) + rng.random()
    kind = rng.integers(5)
    duty = rng.uniform(0.15, 0.85)
    if kind == 0:
        return ((u % 1) < duty).astype(np.float32)
    if kind == 1:
        return (((u % 1) < duty) ^ ((v % 1) < duty)).astype(np.float32)
    if kind == 2:  # Bricks or tiles: thin joints, rows shifted by half.
        joint = rng.uniform(0.04, 0.15)
        shifted = u + 0.5 * (np.floor(v) % 2) * rng.integers(2)
        return (((shifted % 1) > joint) & ((v % 1) > joint)).astype(np.float32)
    if kind == 3:
        return ((((u % 1) - 0.5) ** 2 + ((v % 1) - 0.5) ** 2) < 0.15 * duty).astype(np.float32)
    return (0.5 + 0.5 * np.sin(2 * np.pi * u)).astype(np.float32)


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
            direction = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
            end = np.array([x, y]) + 2 * size * np.array([np.cos(direction), np.sin(direction)])
            cv2.line(image, (int(x), int(y)), (int(end[0]), int(end[1])), color, int(size * rng.uniform(0.03, 0.3)) + 1)


def procedural_picture(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return a random (height, width, 3) uint8 RGB picture with the edges, clutter and softness of a photograph."""
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
    draw_shapes(rng, image, int(rng.integers(0, 14)))
    image += fractal_noise(rng, width, height, rng.uniform(0, 0.8)) * np.float32(np.exp(rng.uniform(1.5, 3.8)))
    if rng.random() < 0.35:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.7, 4.0))
    if rng.random() < 0.4:  # Things in focus before soft ones.
        draw_shapes(rng, image, int(rng.integers(1, 6)))
    return np.clip(image, 0, 255).astype(np.uint8)
