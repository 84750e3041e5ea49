"""Where on the body a place lies: the coordinates by which clothes, hair and faces are laid out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from meshpose_plugins.templates.parts import PART_NAMES

if TYPE_CHECKING:
    from meshpose_plugins.templates import MeshTemplate

TORSO, ARM, HAND, LEG, FOOT, HEAD = range(6)
NUM_KINDS = 6
_KIND_WORDS = (('torso', TORSO), ('hand', HAND), ('foot', FOOT), ('head', HEAD), ('leg', LEG), ('arm', ARM))
#: Kind of each DensePose part, indexed by part - 1.
PART_KINDS = np.array([next(kind for word, kind in _KIND_WORDS if word in name) for name in PART_NAMES])


@dataclass
class Places:
    """Places on the resting body (P of them).

    Args:
        xyz: (P, 3) metres in the rest pose, Z up, facing -Y, x to the body's left.
        arm: (P,) 0 at the shoulder, 1 at the wrist, along the arm.
        leg: (P,) 0 at the hips' height, 1 at the ankles', negative above.
        kind: (P,) one of TORSO, ARM, HAND, LEG, FOOT, HEAD.
    """

    xyz: np.ndarray
    arm: np.ndarray
    leg: np.ndarray
    kind: np.ndarray
    _subsets: dict[tuple[int, ...], tuple[np.ndarray, Places]] = field(
        default_factory=dict, init=False, repr=False
    )

    def of_kinds(self, kinds: tuple[int, ...]) -> tuple[np.ndarray, Places]:
        """Return the indices of the places of these kinds, and these places; kept for the next call."""
        if kinds not in self._subsets:
            wanted = np.zeros(NUM_KINDS, bool)
            wanted[list(kinds)] = True
            index = np.flatnonzero(wanted[self.kind])
            self._subsets[kinds] = (
                index,
                Places(self.xyz[index], self.arm[index], self.leg[index], self.kind[index]),
            )
        return self._subsets[kinds]


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Return (P, 3) vectors scaled to length one."""
    return vectors / np.sqrt(np.maximum(np.einsum('pc,pc->p', vectors, vectors), 1e-12))[:, None]


class BodyMap:
    """The resting surface of a template's body with the landmarks that clothes need.

    Args:
        template: gives the full surface, its parts and the keypoints.

    Attributes:
        faces: (M, 3) int64.
        face_kinds: (M,) kind of each face.
        attributes: (N, 5) float32: rest x, y, z, then arm and leg coordinate of each vertex.
        vertices: the Places of the vertices.
        landmarks: rest keypoints by COCO name, (3,) each.
    """

    def __init__(self, template: MeshTemplate) -> None:
        surface = template.surface
        rest = np.asarray(surface.vertices, np.float32)
        self.faces = np.ascontiguousarray(surface.faces, np.int64)
        self.face_kinds = PART_KINDS[surface.face_parts - 1]
        keypoints = np.asarray(template.keypoints(np.asarray(template.vertices, np.float32)))
        self.landmarks = dict(zip(template.keypoint_names, keypoints))
        middle = {name: 0.5 * (self.landmarks[f'left_{name}'] + self.landmarks[f'right_{name}'] * [-1, 1, 1])
                  for name in ('shoulder', 'wrist', 'hip', 'ankle', 'eye')}
        mirrored = rest * [1, 1, 1]
        mirrored[:, 0] = np.abs(mirrored[:, 0])
        axis = middle['wrist'] - middle['shoulder']
        arm = (mirrored - middle['shoulder']) @ axis / (axis @ axis)
        leg = (middle['hip'][2] - rest[:, 2]) / (middle['hip'][2] - middle['ankle'][2])
        kinds = np.zeros(len(rest), np.int64)
        kinds[self.faces.ravel()] = np.repeat(self.face_kinds, 3)
        # Beside the arms the coordinate means nothing: stay just short of the shoulder there.
        arm = np.where((kinds == ARM) | (kinds == HAND), np.maximum(arm, 0.0), -0.05)
        self.attributes = np.ascontiguousarray(np.column_stack([rest, arm, leg]), np.float32)
        self.vertices = self.places(self.attributes, kinds)
        self.shoulder_height = float(middle['shoulder'][2])
        self.neck_height = float(0.55 * middle['shoulder'][2] + 0.45 * self.landmarks['nose'][2])
        self.eye_height = float(middle['eye'][2])
        self.nose = self.landmarks['nose'].astype(np.float32)
        self.eye = middle['eye'].astype(np.float32)
        self.shoulder = middle['shoulder'].astype(np.float32)

    @staticmethod
    def places(attributes: np.ndarray, kinds: np.ndarray) -> Places:
        """Return the Places of rows of interpolated attributes (P, 5) with their kinds (P,)."""
        return Places(attributes[:, :3], attributes[:, 3], attributes[:, 4], kinds)
