"""COCO keypoints on a body that brings none, from its skeleton and its rest surface."""

from __future__ import annotations

from itertools import product
from typing import Dict, Tuple

import numpy as np

from .base import COCO_KEYPOINT_NAMES

#: The joint of MHR at each keypoint of the limbs.
JOINT_KEYPOINTS: Dict[str, str] = {
    f"{side}_{keypoint}": f"{side[0]}_{joint}"
    for keypoint, joint in (
        ("shoulder", "uparm"),
        ("elbow", "lowarm"),
        ("wrist", "wrist"),
        ("hip", "upleg"),
        ("knee", "lowleg"),
        ("ankle", "foot"),
    )
    for side in ("left", "right")
}
_DIRECTIONS = np.array([d for d in product((-1, 0, 1), repeat=3) if any(d)], float)
_DIRECTIONS /= np.linalg.norm(_DIRECTIONS, axis=1, keepdims=True)


def keypoint_regressor(
    vertices: np.ndarray,
    joints: np.ndarray,
    joint_names: Tuple[str, ...],
    parents: np.ndarray,
    skin_weights: np.ndarray,
) -> np.ndarray:
    """Weights of vertices that make the COCO keypoints.

    Keypoints of the limbs are joints: the vertices around the joint, on the skin that it or its parent moves,
    weighed so that they meet it at rest. Eyes are the points of the head in front of the eye joints, ears its
    outermost points at the eyes' height, the nose is the foremost point below the eyes, near the middle.

    Args:
        vertices: (N, 3) rest surface, metres, Z up, facing -Y.
        joints: (J, 3) joints at rest.
        joint_names: J names of MHR's rig.
        parents: (J,) parents.
        skin_weights: (N, J) skin weights.

    Returns:
        (17, N) float32, rows summing to one.
    """
    vertices, joints = np.asarray(vertices, np.float64), np.asarray(joints, np.float64)
    at = {name: k for k, name in enumerate(joint_names)}
    regressor = np.zeros((len(COCO_KEYPOINT_NAMES), len(vertices)), np.float32)
    face = _face_vertices(vertices, joints[at["l_eye"]], joints[at["r_eye"]])
    for row, keypoint in zip(regressor, COCO_KEYPOINT_NAMES):
        if keypoint in face:
            row[face[keypoint]] = 1
            continue
        joint = at[JOINT_KEYPOINTS[keypoint]]
        near = [joint, int(parents[joint])] + np.flatnonzero(parents == joint).tolist()
        moved = np.flatnonzero(skin_weights[:, near].sum(axis=1) > 0.05)
        chosen = moved[_surrounding(vertices[moved], joints[joint])] if len(moved) else np.arange(0)
        row[chosen] = _affine_weights(vertices[chosen], joints[joint])
    return regressor


def _surrounding(points: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Indices of the points that are nearest to a place in each of 26 directions, each once."""
    away = points - center
    distance = np.linalg.norm(away, axis=1)
    cosine = away @ _DIRECTIONS.T / np.maximum(distance, 1e-9)[:, None]
    cost = np.where(cosine > 0.7, distance[:, None], np.inf)
    best = cost.argmin(axis=0)
    return np.unique(best[np.isfinite(cost[best, np.arange(len(_DIRECTIONS))])])


def _affine_weights(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The weights nearest to equal ones that sum to one and make the target of the points (K, 3).

    Raises:
        ValueError: if there are fewer than four points.
    """
    if len(points) < 4:
        raise ValueError(
            f"the surface has {len(points)} vertices around a joint at {target.round(3)}, 4 are needed"
        )
    system = np.concatenate([points.T, np.ones((1, len(points)))])
    equal = np.full(len(points), 1 / len(points))
    correction = np.linalg.lstsq(system, np.append(target, 1) - system @ equal, rcond=None)[0]
    return equal + correction


def _face_vertices(vertices: np.ndarray, left_eye: np.ndarray, right_eye: np.ndarray) -> Dict[str, int]:
    """Vertices at nose, eyes and ears of a body that faces -Y."""
    apart = np.linalg.norm(left_eye - right_eye)
    middle = (left_eye + right_eye) / 2
    across, along, up = (vertices - middle).T / apart  # in units of the eyes' distance

    def beyond(values: np.ndarray, low: float, high: float) -> np.ndarray:
        return np.maximum(low - values, 0) + np.maximum(values - high, 0)

    # Penalties instead of limits: on a coarse surface no vertex may lie within these.
    found = {"nose": int(np.argmin(along + 4 * np.abs(across) + 4 * beyond(up, -1.2, -0.2)))}
    for side, sign in (("left", 1), ("right", -1)):
        outward = sign * across
        found[f"{side}_ear"] = int(
            np.argmin(-outward + 4 * beyond(up, -0.5, 0.5) + 4 * beyond(outward, 0, 2.5))
        )
        offset = (vertices - (left_eye if side == "left" else right_eye)) / apart
        found[f"{side}_eye"] = int(np.argmin(offset[:, 1] + 4 * np.hypot(offset[:, 0], offset[:, 2])))
    return found
