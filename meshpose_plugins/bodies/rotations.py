"""Small rotation helpers shared by motion files and pose sampling; angles in degrees."""

from __future__ import annotations

from typing import Sequence

import numpy as np

Z_UP_FROM_Y_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def axis_rotations(axis: str, degrees: np.ndarray) -> np.ndarray:
    """Rotations about a coordinate axis.

    Args:
        axis: 'X', 'Y' or 'Z'.
        degrees: (...) angles in degrees, counter-clockwise seen against the axis.

    Returns:
        (..., 3, 3) rotations.
    """
    angles = np.radians(np.asarray(degrees, np.float64))
    first, second = {"X": (1, 2), "Y": (2, 0), "Z": (0, 1)}[axis.upper()]
    matrices = np.zeros(angles.shape + (3, 3))
    matrices[...] = np.eye(3)
    matrices[..., first, first] = matrices[..., second, second] = np.cos(angles)
    matrices[..., second, first] = np.sin(angles)
    matrices[..., first, second] = -np.sin(angles)
    return matrices


def euler_rotations(axes: Sequence[str], degrees: np.ndarray) -> np.ndarray:
    """Product of rotations about coordinate axes, the first axis leftmost: R = R(axes[0]) R(axes[1]) ...

    Args:
        axes: K axis letters.
        degrees: (..., K) angles in degrees.

    Returns:
        (..., 3, 3) rotations.
    """
    degrees = np.asarray(degrees, np.float64)
    result = np.broadcast_to(np.eye(3), degrees.shape[:-1] + (3, 3))
    for column, axis in enumerate(axes):
        result = result @ axis_rotations(axis, degrees[..., column])
    return result


def rotation_between(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The smallest rotation that turns one direction into another.

    Args:
        source, target: (3,) vectors, not zero and not opposite to each other.

    Returns:
        (3, 3) rotation.
    """
    source = np.asarray(source, np.float64) / np.linalg.norm(source)
    target = np.asarray(target, np.float64) / np.linalg.norm(target)
    x, y, z = np.cross(source, target)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + source @ target)


def remove_yaw(rotations: np.ndarray) -> np.ndarray:
    """Rotations without their turn about the vertical, the twist of a swing-twist decomposition.

    Args:
        rotations: (..., 3, 3) orientations in a frame with Z up.

    Returns:
        (..., 3, 3): what is left when the turn about Z that is nearest to each rotation is undone.
    """
    yaw = np.arctan2(rotations[..., 1, 0] - rotations[..., 0, 1], rotations[..., 0, 0] + rotations[..., 1, 1])
    return axis_rotations("Z", -np.degrees(yaw)) @ rotations


def local_rotations(world: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """Rotations relative to each joint's parent from rotations in world axes.

    Args:
        world: (K, J, 3, 3) world rotation of each joint.
        parents: (J,) index of each joint's parent, -1 for the root.

    Returns:
        (K, J, 3, 3); the root keeps its world rotation.
    """
    local = world.copy()
    children = np.flatnonzero(parents >= 0)
    local[:, children] = np.swapaxes(world[:, parents[children]], -1, -2) @ world[:, children]
    return local
