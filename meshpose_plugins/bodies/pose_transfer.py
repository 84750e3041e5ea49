"""Poses of one body on another: each joint takes the world rotation of the joint that stands for it."""

from __future__ import annotations

from typing import Dict, Tuple

import numpy as np

from .base import BodyModel
from .rotations import local_rotations, rotation_between

#: MakeHuman's joint for each joint of the SMPL family; {s} is L or R.
_CENTRAL_JOINTS = {
    "pelvis": "root",
    "spine1": "spine04",
    "spine2": "spine03",
    "spine3": "spine01",
    "neck": "neck02",
    "head": "head",
}
_SIDE_JOINTS = {
    "hip": "upperleg02.{s}",
    "knee": "lowerleg01.{s}",
    "ankle": "foot.{s}",
    "collar": "clavicle.{s}",
    "shoulder": "upperarm02.{s}",
    "elbow": "lowerarm02.{s}",
    "wrist": "wrist.{s}",
}
_SIDE_JOINTS.update(
    {
        f"{finger}{k}": f"finger{number}-{k}.{{s}}"
        for number, finger in enumerate(("thumb", "index", "middle", "ring", "pinky"), start=1)
        for k in (1, 2, 3)
    }
)
#: Limbs whose directions at rest differ between bodies: start and end in SMPL's and in MakeHuman's names, and the
#: joints beyond the limb that turn with it.
_LIMBS = (
    ("hip", "knee", "upperleg01.{s}", "lowerleg01.{s}", ()),
    ("knee", "ankle", "lowerleg01.{s}", "foot.{s}", ()),
    ("shoulder", "elbow", "upperarm01.{s}", "lowerarm01.{s}", ()),
    ("elbow", "wrist", "lowerarm01.{s}", "wrist.{s}", ("wrist",)),
)
_FINGERS = tuple(name for name in _SIDE_JOINTS if name[-1].isdigit())


def has_makehuman_rig(body: BodyModel) -> bool:
    """Tell whether a body has MakeHuman's joints, as anny has."""
    return _LIMBS[0][2].format(s="L") in body.joint_names


def limb_landmarks() -> Dict[str, str]:
    """Joints at the ends of the limbs that lie at the same place in both rigs: SMPL's name -> MakeHuman's."""
    marks = {}
    for side in ("left", "right"):
        for start, end, source_start, source_end, _ in _LIMBS:
            for name, source in ((start, source_start), (end, source_end)):
                marks[f"{side}_{name}"] = source.format(s=side[0].upper())
    return marks


def smpl_joint_map() -> Dict[str, str]:
    """MakeHuman's joint for each joint name of the SMPL family that has one."""
    names = dict(_CENTRAL_JOINTS)
    for side in ("left", "right"):
        names.update({f"{side}_{k}": v.format(s=side[0].upper()) for k, v in _SIDE_JOINTS.items()})
    return names


class PoseTransfer:
    """Makes a body of the SMPL family take the poses of one with MakeHuman's joints.

    Limbs take the same directions in space, whatever their directions at rest are; joints of the target without a
    partner follow their parent.

    Args:
        source: the body with MakeHuman's joint names.
        target: the body with the joint names of the SMPL family.
    """

    def __init__(self, source: BodyModel, target: BodyModel) -> None:
        self.source_parents, self.target_parents = source.parents, target.parents
        partner, align = smpl_joint_map(), _alignments(source, target)
        self._steps = [
            (source.joint_names.index(partner[name]) if name in partner else -1, align.get(name, np.eye(3)))
            for name in target.joint_names
        ]

    def __call__(self, rotations: np.ndarray) -> np.ndarray:
        """Turn poses (K, J, 3, 3) of the source into (K, J', 3, 3) float32 rotations for `target.pose`."""
        world = np.array(rotations, np.float64)
        for joint in range(1, len(self.source_parents)):
            world[:, joint] = world[:, self.source_parents[joint]] @ world[:, joint]
        result = np.empty((len(world), len(self._steps), 3, 3))
        for joint, (partner, align) in enumerate(self._steps):
            follows = result[:, self.target_parents[joint]]
            result[:, joint] = world[:, partner] @ align if partner >= 0 else follows
        return local_rotations(result, self.target_parents).astype(np.float32)


def _alignments(source: BodyModel, target: BodyModel) -> Dict[str, np.ndarray]:
    """Rotation of each limb from its direction at rest on the target to that on the source."""
    (from_joints, from_index), (to_joints, to_index) = _rest_joints(source), _rest_joints(target)
    align = {}
    for side in ("left", "right"):
        for start, end, source_start, source_end, beyond in _LIMBS:
            wanted = [from_joints[from_index[k.format(s=side[0].upper())]] for k in (source_start, source_end)]
            limb = to_joints[to_index[f"{side}_{end}"]] - to_joints[to_index[f"{side}_{start}"]]
            turn = rotation_between(limb, wanted[1] - wanted[0])
            for name in (start, *beyond, *(_FINGERS if beyond else ())):
                align[f"{side}_{name}"] = turn
    return align


def _rest_joints(body: BodyModel) -> Tuple[np.ndarray, Dict[str, int]]:
    identity = np.tile(np.eye(3, dtype=np.float32), (len(body.joint_names), 1, 1))
    joints = body.pose(np.full(len(body.shape_names), 0.5), identity).joints.astype(np.float64)
    return joints, {name: joint for joint, name in enumerate(body.joint_names)}
