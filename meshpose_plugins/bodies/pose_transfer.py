"""Poses of one body on another: each joint takes the world rotation of the joint that stands for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

import numpy as np

from .base import BodyModel
from .rotations import local_rotations, rotation_between

_FINGERS = ("thumb", "index", "middle", "ring", "pinky")


@dataclass(frozen=True)
class _Rig:
    """Joint names of a rig, and MakeHuman's joints that stand for them; {s} is L or R.

    Attributes:
        sides: prefixes of the joints on the left and on the right.
        central: joints in the middle -> MakeHuman's.
        lateral: joints of one side, without its prefix -> MakeHuman's.
        limbs: limbs whose directions at rest differ between bodies: start and end, in this rig's and in
            MakeHuman's names, and the joints beyond the limb that turn with it.
    """

    sides: Tuple[str, str]
    central: Dict[str, str]
    lateral: Dict[str, str]
    limbs: Tuple[Tuple[str, str, str, str, Tuple[str, ...]], ...]

    def joint_map(self) -> Dict[str, str]:
        """MakeHuman's joint for each joint that has one."""
        names = dict(self.central)
        for prefix, side in zip(self.sides, "LR"):
            names.update({prefix + name: partner.format(s=side) for name, partner in self.lateral.items()})
        return names


def _rig(
    sides: Tuple[str, str],
    central: Dict[str, str],
    hip: str,
    knee: str,
    ankle: str,
    collar: str,
    shoulder: str,
    elbow: str,
) -> _Rig:
    """A rig from its names; wrists and fingers are called alike in all."""
    fingers = {
        f"{finger}{k}": f"finger{number}-{k}.{{s}}"
        for number, finger in enumerate(_FINGERS, start=1)
        for k in (1, 2, 3)
    }
    lateral = {
        hip: "upperleg02.{s}",
        knee: "lowerleg01.{s}",
        ankle: "foot.{s}",
        collar: "clavicle.{s}",
        shoulder: "upperarm02.{s}",
        elbow: "lowerarm02.{s}",
        "wrist": "wrist.{s}",
        **fingers,
    }
    limbs = (
        (hip, knee, "upperleg01.{s}", "lowerleg01.{s}", ()),
        (knee, ankle, "lowerleg01.{s}", "foot.{s}", ()),
        (shoulder, elbow, "upperarm01.{s}", "lowerarm01.{s}", ()),
        (elbow, "wrist", "lowerarm01.{s}", "wrist.{s}", ("wrist", *fingers)),
    )
    return _Rig(sides, central, lateral, limbs)


SMPL_RIG = _rig(
    ("left_", "right_"),
    {
        "pelvis": "root",
        "spine1": "spine04",
        "spine2": "spine03",
        "spine3": "spine01",
        "neck": "neck02",
        "head": "head",
    },
    hip="hip",
    knee="knee",
    ankle="ankle",
    collar="collar",
    shoulder="shoulder",
    elbow="elbow",
)
MHR_RIG = _rig(
    ("l_", "r_"),
    {
        "root": "root",
        "c_spine0": "spine05",
        "c_spine1": "spine04",
        "c_spine2": "spine03",
        "c_spine3": "spine01",
        "c_neck": "neck02",
        "c_head": "head",
    },
    hip="upleg",
    knee="lowleg",
    ankle="foot",
    collar="clavicle",
    shoulder="uparm",
    elbow="lowarm",
)


def has_makehuman_rig(body: BodyModel) -> bool:
    """Tell whether a body has MakeHuman's joints, as anny has."""
    return "upperleg01.L" in body.joint_names


def rig_of(body: BodyModel) -> _Rig:
    """The rig of a body of the SMPL family or of MHR, by its joint names.

    Raises:
        ValueError: if it is neither.
    """
    for rig in (SMPL_RIG, MHR_RIG):
        if rig.sides[0] + rig.limbs[0][0] in body.joint_names:
            return rig
    raise ValueError(f"body '{body.name}' has neither the rig of the SMPL family nor that of MHR")


def limb_landmarks(body: BodyModel) -> Dict[str, str]:
    """Joints at the ends of the limbs that lie at the same place in both rigs: own name -> MakeHuman's."""
    rig, marks = rig_of(body), {}
    for prefix, side in zip(rig.sides, "LR"):
        for start, end, source_start, source_end, _ in rig.limbs:
            for name, source in ((start, source_start), (end, source_end)):
                marks[prefix + name] = source.format(s=side)
    return marks


class PoseTransfer:
    """Makes a body of the SMPL family, or MHR, take the poses of one with MakeHuman's joints.

    Limbs take the same directions in space, whatever their directions at rest are; joints of the target
    without a partner follow their parent.

    Args:
        source: the body with MakeHuman's joint names.
        target: the body with the joint names of the SMPL family or of MHR.
    """

    def __init__(self, source: BodyModel, target: BodyModel) -> None:
        self.source_parents, self.target_parents = source.parents, target.parents
        partner, align = rig_of(target).joint_map(), _alignments(source, target)
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
    rig, align = rig_of(target), {}
    for prefix, side in zip(rig.sides, "LR"):
        for start, end, source_start, source_end, beyond in rig.limbs:
            wanted = [from_joints[from_index[k.format(s=side)]] for k in (source_start, source_end)]
            limb = to_joints[to_index[prefix + end]] - to_joints[to_index[prefix + start]]
            turn = rotation_between(limb, wanted[1] - wanted[0])
            for name in (start, *beyond):
                align[prefix + name] = turn
    return align


def _rest_joints(body: BodyModel) -> Tuple[np.ndarray, Dict[str, int]]:
    identity = np.tile(np.eye(3, dtype=np.float32), (len(body.joint_names), 1, 1))
    joints = body.pose(np.full(len(body.shape_names), 0.5), identity).joints.astype(np.float64)
    return joints, {name: joint for joint, name in enumerate(body.joint_names)}
