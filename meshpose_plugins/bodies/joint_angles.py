"""Anatomical joint angles -> rotations of every joint of a body with MakeHuman's joint names."""

from __future__ import annotations

from typing import Dict, List, Tuple

import numpy as np
from numba import njit

from .base import BodyModel
from .pose_modes import SIDE_LIMITS, TRUNK_LIMITS

SIDE_NAMES = tuple(SIDE_LIMITS)
TRUNK_NAMES = tuple(TRUNK_LIMITS)
FINGER_NAMES = tuple(f"finger{finger}" for finger in range(2, 6))

X, Y, Z = np.eye(3)
_SPINE = ("spine05", "spine04", "spine03", "spine02", "spine01")
_NECK = ("neck01", "neck02", "neck03", "head")
_TRUNK_SHARES = {
    "spine_bend": dict(zip(_SPINE, (0.15, 0.25, 0.25, 0.2, 0.15))),
    "spine_side": dict(zip(_SPINE, (0.15, 0.25, 0.25, 0.2, 0.15))),
    "spine_turn": dict(zip(_SPINE, (0.05, 0.15, 0.25, 0.3, 0.25))),
    "neck_bend": dict(zip(_NECK, (0.25, 0.2, 0.2, 0.35))),
    "neck_side": dict(zip(_NECK, (0.3, 0.25, 0.2, 0.25))),
    "neck_turn": dict(zip(_NECK, (0.2, 0.25, 0.25, 0.3))),
}


class JointAngles:
    """Linear map from named angles to turns about fixed axes, and their products per joint.

    The axes follow from the body's reference pose: hinges of knees and elbows are normal to the limb, twists
    are about the bones. The right side is the mirror image of the left.

    Attributes:
        names: columns of the angle array: trunk angles, then for the left and the right side those of
            SIDE_NAMES followed by one offset per finger.
    """

    def __init__(self, body: BodyModel) -> None:
        self.body = body
        self.names = (
            TRUNK_NAMES
            + tuple(f"{name}.{side}" for side in "LR" for name in SIDE_NAMES + FINGER_NAMES)
            + tuple(f"{name}.{side}" for side in "LR" for name in ("shoulder_raise", "shoulder_advance"))
        )
        self._column = {name: column for column, name in enumerate(self.names)}
        self._index = {name: joint for joint, name in enumerate(body.joint_names)}
        middle = np.full(len(body.shape_names), 0.5)
        self._rest = body.pose(middle, np.tile(np.eye(3), (len(body.joint_names), 1, 1))).joints.astype(
            np.float64
        )
        self._rows: List[Tuple[int, np.ndarray, np.ndarray, float]] = []
        self._add_trunk()
        for side in "LR":
            self._add_leg(side)
            self._add_arm(side)
            self._add_hand(side)
        self.joints = np.array([row[0] for row in self._rows])
        self.axes = np.array([row[1] for row in self._rows])
        self.matrix = np.array([row[2] for row in self._rows]).T.copy()
        self.offsets = np.radians([row[3] for row in self._rows])

    def column(self, name: str) -> int:
        """Column of an angle in the angle array."""
        return self._column[name]

    def rotations(self, angles: np.ndarray) -> np.ndarray:
        """Rotations for `body.pose`.

        Args:
            angles: (B, len(names)) degrees.

        Returns:
            (B, J, 3, 3) float32.
        """
        turns = np.radians(angles) @ self.matrix + self.offsets
        return _compose(self.joints, self.axes, turns, len(self.body.joint_names))

    def _add(
        self, joint: str, axis: np.ndarray, terms: Dict[str, float], offset: float = 0.0, side: str = ""
    ) -> None:
        """Append a turn of `joint` about `axis` (as on the left) by sum(terms * angles) + offset degrees."""
        suffix = f".{side}" if side else ""
        row = np.zeros(len(self.names))
        for name, factor in terms.items():
            row[self._column[name + suffix]] = factor
        axis = np.asarray(axis, np.float64) / np.linalg.norm(axis)
        self._rows.append(
            (self._index[joint + suffix], axis * (1, -1, -1) if side == "R" else axis, row, offset)
        )

    def _left(self, start: str, end: str) -> np.ndarray:
        return self._rest[self._index[f"{end}.L"]] - self._rest[self._index[f"{start}.L"]]

    def _add_trunk(self) -> None:
        for name, axis in (("pelvis_turn", Z), ("pelvis_bend", X), ("pelvis_side", Y)):
            self._add("root", axis, {name: 1.0})
        for name, shares in _TRUNK_SHARES.items():
            axis = {"bend": X, "side": Y, "turn": Z}[name.split("_")[1]]
            for joint, share in shares.items():
                self._add(joint, axis, {name: share})

    def _add_leg(self, side: str) -> None:
        thigh, shank = self._left("upperleg01", "lowerleg01"), self._left("lowerleg01", "foot")
        whole = self._left("upperleg01", "foot")
        leaning = np.degrees(np.arctan2(whole[0], -whole[2]))
        hinge = X - shank * (X @ shank) / (shank @ shank)
        bent = _angle_about(hinge, thigh, shank)
        self._add("upperleg01", X, {"hip_flexion": -1.0}, side=side)
        self._add("upperleg01", Y, {"hip_abduction": -1.0}, leaning, side)
        self._add("upperleg01", -thigh, {"hip_rotation": 0.5}, side=side)
        self._add("upperleg02", -thigh, {"hip_rotation": 0.5}, side=side)
        self._add("lowerleg01", hinge, {"knee_flexion": 1.0}, -bent, side)
        self._add("foot", X, {"ankle_flexion": 1.0}, side=side)
        self._add("foot", Y, {"ankle_tilt": 1.0}, side=side)

    def _add_arm(self, side: str) -> None:
        upper, fore = self._left("upperarm01", "lowerarm01"), self._left("lowerarm01", "wrist")
        hinge = np.cross(upper, fore)
        bent = _angle_about(hinge, upper, fore)
        for joint, sign in (("clavicle", 1.0), ("upperarm01", -1.0)):
            # The shoulder girdle follows a raised arm; the upper arm undoes it to keep its direction.
            turns = [(-Z, "shoulder_advance"), (-Y, "shoulder_raise")]
            for axis, name in turns if sign > 0 else turns[::-1]:
                self._add(joint, axis, {name: sign}, side=side)
        self._add("upperarm01", Z, {"arm_plane": 1.0}, side=side)
        self._add("upperarm01", X, {"arm_elevation": -1.0}, side=side)
        self._add("upperarm01", Z, {"arm_plane": -1.0, "arm_rotation": -0.5}, side=side)
        axis, angle = _hanging_arm(upper, hinge)
        self._add("upperarm01", axis, {}, angle, side)
        self._add("upperarm02", upper, {"arm_rotation": 0.5}, side=side)
        self._add("lowerarm01", hinge, {"elbow_flexion": 1.0}, -bent, side)
        thumb_side = self._left("finger5-1", "finger2-1")
        turned = _angle_about(fore, np.cross(hinge, fore), thumb_side)
        self._add("lowerarm02", fore, {"pronation": 0.5}, -0.5 * turned, side)
        self._add("wrist", fore, {"pronation": 0.5}, -0.5 * turned, side)

    def _add_hand(self, side: str) -> None:
        along = self._left("wrist", "finger3-1")
        phalanges = [
            (self._left(f"finger{k}-1", f"finger{k}-2"), self._left(f"finger{k}-2", f"finger{k}-3"))
            for k in range(1, 6)
        ]
        curl = sum(np.cross(first, second) / np.linalg.norm(first) for first, second in phalanges[1:])
        across = self._left("finger2-1", "finger5-1")
        across = (across - along * (across @ along) / (along @ along)) * np.sign(across @ curl)
        self._add("wrist", across, {"wrist_flexion": 1.0}, side=side)
        self._add(
            "wrist",
            np.cross(along, self._left("finger2-1", "finger5-1")),
            {"wrist_deviation": 1.0},
            side=side,
        )
        for finger in FINGER_NAMES:
            for joint, share in ((1, 1.0), (2, 1.1), (3, 0.7)):
                self._add(f"{finger}-{joint}", across, {"finger_flexion": share, finger: share}, side=side)
        for joint, share in ((1, 0.3), (2, 0.8), (3, 1.0)):
            self._add(f"finger1-{joint}", np.cross(*phalanges[0]), {"thumb_flexion": share}, side=side)


def _angle_about(axis: np.ndarray, source: np.ndarray, target: np.ndarray) -> float:
    """Signed angle in degrees from source to target, both projected onto the plane normal to axis."""
    axis = axis / np.linalg.norm(axis)
    source, target = source - axis * (axis @ source), target - axis * (axis @ target)
    return float(np.degrees(np.arctan2(axis @ np.cross(source, target), source @ target)))


def _hanging_arm(upper: np.ndarray, hinge: np.ndarray) -> Tuple[np.ndarray, float]:
    """Axis and angle in degrees that make the left upper arm hang down with the elbow bending forward."""
    source = np.stack([upper, hinge, np.cross(upper, hinge)], axis=1)
    source /= np.linalg.norm(source, axis=0)
    turn = np.stack([-Z, -X, np.cross(-Z, -X)], axis=1) @ source.T
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    return axis, float(np.degrees(np.arctan2(np.linalg.norm(axis), np.trace(turn) - 1)))


@njit(cache=True)
def _compose(joints, axes, turns, num_joints):
    """Multiply the turns of each joint in order: (B, J, 3, 3) float32; unit axes, turns in radians."""
    rotations = np.zeros((len(turns), num_joints, 3, 3), np.float32)
    for body in range(len(turns)):
        for joint in range(num_joints):
            for k in range(3):
                rotations[body, joint, k, k] = 1
        for row in range(len(joints)):
            matrix = rotations[body, joints[row]]
            cosine, sine = np.cos(turns[body, row]), np.sin(turns[body, row])
            x, y, z = axes[row, 0], axes[row, 1], axes[row, 2]
            rest = 1 - cosine
            for k in range(3):
                a, b, c = matrix[k, 0], matrix[k, 1], matrix[k, 2]
                along = rest * (a * x + b * y + c * z)
                matrix[k, 0] = a * cosine + along * x + sine * (b * z - c * y)
                matrix[k, 1] = b * cosine + along * y + sine * (c * x - a * z)
                matrix[k, 2] = c * cosine + along * z + sine * (a * y - b * x)
    return rotations
