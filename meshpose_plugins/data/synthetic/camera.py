"""Cameras of synthetic scenes: where the viewer stands and which part of the picture is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meshpose_plugins.data.synthetic import kernels
from meshpose_plugins.data.synthetic.choices import pick

#: Body space (right handed, Z up, facing -Y) to an upright camera in front (x right, y down, z away).
BODY_TO_CAMERA = np.array([[1., 0., 0.], [0., 0., -1.], [0., 1., 0.]])
#: No part of the body comes nearer to the camera than this (metres).
NEAREST = 0.25


@dataclass
class Camera:
    """A perspective camera whose frame is a crop of a larger photograph.

    Args:
        rotation: (3, 3), body space to camera space.
        root: (3,) metres, the root joint in camera space.
        focal: focal length in px of the crop.
        center: (2,) the principal point in px of the crop (may lie outside).
    """

    rotation: np.ndarray
    root: np.ndarray
    focal: float
    center: np.ndarray

    def to_camera(self, points: np.ndarray, body_root: np.ndarray) -> np.ndarray:
        """Move (N, 3) float32 body-space points to camera space (metres), with the root joint at ``root``."""
        return kernels.move(points, self.rotation, self.root - self.rotation @ body_root)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project (N, 3) float32 camera-space points to x, y in px and z in metres."""
        return kernels.project(points, self.focal, self.center)


def rotation_about(axis: int, angle: float) -> np.ndarray:
    """Return the (3, 3) rotation by ``angle`` radians about a coordinate axis."""
    a, b = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
    return matrix


def sample_view(rng: np.random.Generator) -> np.ndarray:
    """Sample the rotation from body to camera space: mostly facing the camera within 60 degrees, upright."""
    around = rng.random() < 0.35
    yaw = rng.uniform(-np.pi, np.pi) if around else np.deg2rad(rng.uniform(-60, 60))
    pitch = np.deg2rad(np.clip(rng.normal(4, 13), -30, 40))
    roll = np.deg2rad(np.clip(rng.normal(0, 5), -15, 15))
    # A camera above the person (positive pitch) looks down: the scene turns about the camera's x axis.
    tilt = rotation_about(2, roll) @ rotation_about(0, pitch)
    return tilt @ BODY_TO_CAMERA @ rotation_about(2, yaw)


def sample_root(rng: np.random.Generator, reach: float, close: bool) -> np.ndarray:
    """Sample the root joint's place in camera space (metres).

    Args:
        reach: how much nearer to the camera than the root joint the body reaches.
        close: whether the photograph is taken from nearby (selfies, portraits).
    """
    low, high = (0.6, 2.5) if close else (1.6, 9.0)
    distance = max(np.exp(rng.uniform(np.log(low), np.log(high))), reach + NEAREST + 0.1)
    off_axis = np.tan(np.deg2rad(np.clip(rng.normal(0, 8, 2), -20, 20)))
    return np.array([off_axis[0] * distance, off_axis[1] * distance, distance])


def frame_whole(rng: np.random.Generator, low: np.ndarray, high: np.ndarray, size: np.ndarray) -> tuple:
    """Place a box (normalised coordinates) in a frame of ``size`` px, filling 50 to 95 percent of it."""
    fill = 0.5 + 0.45 * np.sqrt(rng.random())
    focal = fill * float((size / (high - low)).min())
    slack = size - 1 - (high - low) * focal
    corner = slack * (0.5 + np.clip(rng.normal(0, 0.22, 2), -0.5, 0.5))
    return focal, corner - low * focal


def frame_cut(
    rng: np.random.Generator,
    low: np.ndarray,
    high: np.ndarray,
    head: np.ndarray,
    place: np.ndarray,
    size: np.ndarray,
) -> tuple:
    """Choose a frame that cuts the body.

    Args:
        low, high: (2,) corners of the whole body in normalised image coordinates.
        head: (2,) the head in the same coordinates.
        place: (2,) a random place of the body.
        size: (2,) width and height of the frame in px.

    Returns:
        Focal length (px) and principal point (px) of the frame.
    """
    extent = high - low
    kind = pick(rng, range(4), (0.55, 0.12, 0.13, 0.20))
    if kind == 0:  # From above the head down to somewhere between the chin and the knees.
        share = rng.uniform(0.18, 0.75)
        top = min(head[1] - 0.13 * extent[1], high[1] - 0.3 * extent[1])
        height = share * (high[1] - top)
        focal = rng.uniform(0.8, 1.05) * size[1] / height
        middle = np.array([head[0] + rng.normal(0, 0.08) * extent[1], top + height / 2])
        middle[0] = np.clip(middle[0], low[0], high[0])
    elif kind == 1:  # Legs, or the body without its head.
        share = rng.uniform(0.4, 0.85)
        focal = rng.uniform(0.8, 1.0) * size[1] / (share * extent[1])
        middle = np.array([(low[0] + high[0]) / 2, high[1] - share * extent[1] / 2])
    elif kind == 2:  # A side is cut off.
        focal = rng.uniform(0.75, 1.1) * size[1] / extent[1]
        side, cut = pick(rng, [-1.0, 1.0]), rng.uniform(0.15, 0.6)
        middle = (low + high) / 2
        middle[0] += side * ((0.5 - cut) * extent[0] - 0.5 * size[0] / focal)
    else:  # Anything, anywhere.
        focal = rng.uniform(1.1, 2.6) * float((size / extent).min())
        middle = place * 0.6 + (low + high) / 2 * 0.4
    return focal, (size - 1) / 2 - middle * focal


def sample_camera(rng: np.random.Generator, vertices: np.ndarray, root: np.ndarray, head: np.ndarray,
                  width: int, height: int, truncated: bool) -> Camera:
    """Sample a camera for a posed body.

    Args:
        vertices: (N, 3) float32 body space, metres.
        root, head: (3,) root joint and head in body space.
        width, height: px of the image.
        truncated: whether the frame is to cut the body.
    """
    rotation = sample_view(rng)
    turned = kernels.move(vertices, rotation, -rotation @ root)
    reach = max(-kernels.bounds(turned)[0, 2], 0.0)
    place = sample_root(rng, reach, truncated and rng.random() < 0.5)
    camera = Camera(rotation, place, 1.0, np.zeros(2))
    xy = camera.project(camera.to_camera(vertices, root))
    low, high = kernels.bounds(xy)[:, :2]
    size = np.array([width, height], np.float64)
    if truncated:
        seen = camera.project(camera.to_camera(head[None], root))[0, :2].astype(np.float64)
        some = xy[rng.integers(len(xy)), :2].astype(np.float64)
        focal, center = frame_cut(rng, low, high, seen, some, size)
    else:
        focal, center = frame_whole(rng, low, high, size)
    return Camera(rotation, place, float(focal), center)
