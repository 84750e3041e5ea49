"""Forward kinematics and linear blend skinning: a plain NumPy reference and an equal compiled path.

Notation for a joint c with parent p: h is the joint's position at rest, A the rotation from the person's rest
orientation to the reference orientation in which all people are alike, D the rotation asked for, expressed in
body axes. The world rotation is G_c = G_p D_c, the position w_c = w_p + G_p A_p (h_c - h_p) with A_p = 1 for
the root, and a vertex v attached to the joint moves to G_c A_c (v - h_c) + w_c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import numpy as np
from numba import njit


@dataclass(frozen=True)
class SkinWeights:
    """Skin weights as compressed rows: vertex i uses entries starts[i]:starts[i + 1].

    Attributes:
        starts: (N + 1,) int64.
        joints: (K,) int64 joint of each entry.
        weights: (K,) float32; the entries of a vertex sum to one.
    """

    starts: np.ndarray
    joints: np.ndarray
    weights: np.ndarray

    def dense(self, num_joints: int) -> np.ndarray:
        """The weights as a (N, num_joints) float32 matrix."""
        rows = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        matrix = np.zeros((len(self.starts) - 1, num_joints), np.float32)
        matrix[rows, self.joints] = self.weights
        return matrix


def forward_kinematics(
    parents: np.ndarray,  # (J,)
    heads: np.ndarray,  # (B, J, 3)
    alignments: np.ndarray,  # (B, J, 3, 3)
    rotations: np.ndarray,  # (B, J, 3, 3)
) -> Tuple[np.ndarray, np.ndarray]:
    """Joint transforms for skinning and posed joint positions (reference implementation).

    Args:
        parents: index of each joint's parent, smaller than the joint's own; -1 for the root, joint 0.
        heads: joint positions at rest, metres.
        alignments: rotation A of each joint from its rest to its reference orientation.
        rotations: rotation D of each joint relative to its parent, in body axes.

    Returns:
        transforms (B, J, 3, 4) mapping rest positions to posed ones, and joints (B, J, 3); the root is at the
        origin.
    """
    world = np.empty_like(rotations)
    joints = np.zeros_like(heads)
    world[:, 0] = rotations[:, 0]
    for joint in range(1, len(parents)):
        parent = parents[joint]
        world[:, joint] = world[:, parent] @ rotations[:, joint]
        bone = (heads[:, joint] - heads[:, parent])[..., None]
        if parent > 0:  # the bones that leave the root keep their directions at rest, as in anny
            bone = alignments[:, parent] @ bone
        joints[:, joint] = joints[:, parent] + (world[:, parent] @ bone)[..., 0]
    linear = world @ alignments
    offset = joints - (linear @ heads[..., None])[..., 0]
    return np.concatenate([linear, offset[..., None]], axis=-1), joints


def blend_vertices(
    vertices: np.ndarray,  # (B, N, 3)
    dense_weights: np.ndarray,  # (N, J)
    transforms: np.ndarray,  # (B, J, 3, 4)
) -> np.ndarray:
    """Linear blend skinning with dense weights (reference implementation): (B, N, 3) posed vertices."""
    blended = np.einsum("nj,bjrc->bnrc", dense_weights, transforms)
    return np.einsum("bnrc,bnc->bnr", blended[..., :3], vertices) + blended[..., 3]


@njit(cache=True)
def forward_kinematics_fast(parents, heads, alignments, rotations):
    """Compiled forward_kinematics, same arguments and results."""
    num_bodies, num_joints = heads.shape[:2]
    transforms = np.empty((num_bodies, num_joints, 3, 4), heads.dtype)
    joints = np.zeros_like(heads)
    world = np.empty((num_joints, 3, 3), heads.dtype)
    bone = np.empty(3, heads.dtype)
    for body in range(num_bodies):
        for joint in range(num_joints):
            parent = parents[joint]
            if parent < 0:
                world[joint] = rotations[body, joint]
            else:
                _multiply(world[parent], rotations[body, joint], world[joint])
                for row in range(3):
                    bone[row] = heads[body, joint, row] - heads[body, parent, row]
                if parent > 0:
                    bone = _rotate(alignments[body, parent], bone)
                step = _rotate(world[parent], bone)
                for row in range(3):
                    joints[body, joint, row] = joints[body, parent, row] + step[row]
            linear = transforms[body, joint, :, :3]
            _multiply(world[joint], alignments[body, joint], linear)
            turned = _rotate(linear, heads[body, joint])
            for row in range(3):
                transforms[body, joint, row, 3] = joints[body, joint, row] - turned[row]
    return transforms, joints


@njit(cache=True)
def _multiply(left, right, out):
    for row in range(3):
        for column in range(3):
            total = left[row, 0] * right[0, column]
            total += left[row, 1] * right[1, column]
            total += left[row, 2] * right[2, column]
            out[row, column] = total


@njit(cache=True)
def _rotate(matrix, vector):
    out = np.empty(3, vector.dtype)
    for row in range(3):
        out[row] = matrix[row, 0] * vector[0] + matrix[row, 1] * vector[1] + matrix[row, 2] * vector[2]
    return out


@njit(cache=True)
def blend_vertices_fast(vertices, starts, joints, weights, transforms):
    """Compiled linear blend skinning with compressed weights: (B, N, 3) posed vertices."""
    num_bodies, num_vertices = vertices.shape[:2]
    posed = np.empty_like(vertices)
    for body in range(num_bodies):
        matrices = transforms[body]
        for vertex in range(num_vertices):
            x = vertices[body, vertex, 0]
            y = vertices[body, vertex, 1]
            z = vertices[body, vertex, 2]
            px = np.float32(0)
            py = np.float32(0)
            pz = np.float32(0)
            for entry in range(starts[vertex], starts[vertex + 1]):
                weight = weights[entry]
                m = matrices[joints[entry]]
                px += weight * (m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3])
                py += weight * (m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3])
                pz += weight * (m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3])
            posed[body, vertex, 0] = px
            posed[body, vertex, 1] = py
            posed[body, vertex, 2] = pz
    return posed
