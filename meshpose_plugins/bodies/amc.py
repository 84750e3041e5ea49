"""ASF skeletons and AMC motions (Acclaim, as in the CMU database), and their way onto a body."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Tuple, Union

import numpy as np

from .base import BodyModel
from .rotations import Z_UP_FROM_Y_UP, euler_rotations, local_rotations, remove_yaw, rotation_between
from .text_lines import Line, error_at, numbers, read_lines

# Body joint -> bone of the CMU skeleton whose world rotation it takes; {s} is the side, l or r.
CENTRAL_BONES = {
    "root": "root",
    "spine05": "lowerback",
    "spine04": "lowerback",
    "spine03": "upperback",
    "spine02": "upperback",
    "spine01": "thorax",
    "neck01": "lowerneck",
    "neck02": "lowerneck",
    "neck03": "upperneck",
    "head": "head",
}
SIDE_BONES = {
    "pelvis": "root",
    "upperleg01": "{s}femur",
    "upperleg02": "{s}femur",
    "lowerleg01": "{s}tibia",
    "lowerleg02": "{s}tibia",
    "foot": "{s}foot",
    "clavicle": "{s}clavicle",
    "shoulder01": "{s}clavicle",
    "upperarm01": "{s}humerus",
    "upperarm02": "{s}humerus",
    "lowerarm01": "{s}radius",
    "lowerarm02": "{s}radius",
    "wrist": "{s}hand",
}
# Limb segments (from joint, to joint, bone): the two skeletons rest with their limbs in different directions.
LIMBS = (
    ("upperleg01", "lowerleg01", "{s}femur"),
    ("lowerleg01", "foot", "{s}tibia"),
    ("upperarm01", "lowerarm01", "{s}humerus"),
    ("lowerarm01", "wrist", "{s}radius"),
)


@dataclass
class AsfBone:
    """A bone of an ASF skeleton.

    Attributes:
        name: its name.
        parent: its parent's name, '' for the root.
        direction: (3,) unit direction at rest.
        length: in the file's unit.
        axes: (3, 3) rotation of the frame in which the angles are given.
        freedoms: names of the values a motion gives for it, e.g. ('rx', 'rz').
    """

    name: str
    parent: str
    direction: np.ndarray
    length: float
    axes: np.ndarray
    freedoms: Tuple[str, ...]


@dataclass
class AsfSkeleton:
    """An ASF file: the bones by name, parents before children, the first one 'root'.

    Attributes:
        path: where it was read from.
        bones: name -> bone.
        degrees: whether motions give angles in degrees (else radians).
    """

    path: Path
    bones: Dict[str, AsfBone]
    degrees: bool


@dataclass
class AmcMotion:
    """An AMC file: for each bone that moves the (K, D) values of its freedoms."""

    path: Path
    values: Dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))


def read_asf(path: Union[str, Path]) -> AsfSkeleton:
    """Read an Acclaim skeleton file.

    Args:
        path: the .asf file.

    Returns:
        The skeleton; Y is up and it faces +Z.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming file and line where something is wrong.
    """
    path = Path(path)
    sections: Dict[str, List[Line]] = {}
    for line in read_lines(path, comment="#"):
        if line.words[0].startswith(":"):
            section = sections.setdefault(line.words[0].lower(), [])
        elif sections:
            section.append(line)
    for name in (":root", ":bonedata", ":hierarchy"):
        if name not in sections:
            raise ValueError(f"{path}: no section '{name}': not an ASF skeleton")
    units = {line.words[0].lower(): line.words[1:] for line in sections.get(":units", [])}
    degrees = not units.get("angle", ["deg"])[0].lower().startswith("rad")
    bones = {"root": _root_bone(path, sections[":root"], degrees)}
    bones.update(_bone_data(path, sections[":bonedata"], degrees))
    return AsfSkeleton(path, _in_hierarchy_order(path, sections[":hierarchy"], bones), degrees)


def _angles(values: np.ndarray, degrees: bool) -> np.ndarray:
    return values if degrees else np.degrees(values)


def _axis_rotation(angles: np.ndarray, order: str) -> np.ndarray:
    """Acclaim lists the axes in the order in which they are applied: 'XYZ' is Rz Ry Rx."""
    return euler_rotations(order[::-1], angles[..., ::-1])


def _axis_order(path: Path, line: Line, words: List[str]) -> str:
    order = words[0].upper() if words else "XYZ"
    if sorted(order) != ["X", "Y", "Z"]:
        raise error_at(path, line, f"axis order must be a permutation of XYZ, got {order!r}")
    return order


def _root_bone(path: Path, lines: List[Line], degrees: bool) -> AsfBone:
    axes, freedoms, order = np.zeros(3), ("tx", "ty", "tz", "rx", "ry", "rz"), "XYZ"
    for line in lines:
        key = line.words[0].lower()
        if key == "order":
            freedoms = tuple(word.lower() for word in line.words[1:])
        elif key == "axis":
            order = _axis_order(path, line, line.words[1:2])
        elif key == "orientation":
            axes = _angles(numbers(path, line, line.words[1:], 3, "root orientation"), degrees)
    return AsfBone("root", "", np.zeros(3), 0.0, _axis_rotation(axes, order), freedoms)


def _bone_data(path: Path, lines: List[Line], degrees: bool) -> Dict[str, AsfBone]:
    bones: Dict[str, AsfBone] = {}
    bone = None
    for line in lines:
        key, rest = line.words[0].lower(), line.words[1:]
        if key == "begin":
            bone = AsfBone("", "", np.zeros(3), 0.0, np.eye(3), ())
        elif bone is None:
            raise error_at(path, line, f"'{key}' outside of begin ... end")
        elif key == "name":
            bone.name = " ".join(rest)
        elif key == "direction":
            bone.direction = numbers(path, line, rest, 3, f"direction of bone '{bone.name}'")
        elif key == "length":
            bone.length = float(numbers(path, line, rest, 1, f"length of bone '{bone.name}'")[0])
        elif key == "axis":
            angles = numbers(path, line, rest[:3], 3, f"axis of bone '{bone.name}'")
            bone.axes = _axis_rotation(_angles(angles, degrees), _axis_order(path, line, rest[3:]))
        elif key == "dof":
            bone.freedoms = tuple(word.lower() for word in rest)
        elif key == "end":
            if not bone.name:
                raise error_at(path, line, "a bone without a name ends here")
            bones[bone.name], bone = bone, None
    return bones


def _in_hierarchy_order(path: Path, lines: List[Line], bones: Dict[str, AsfBone]) -> Dict[str, AsfBone]:
    ordered = {"root": bones["root"]}
    for line in lines:
        parent, *children = line.words
        if parent.lower() in ("begin", "end"):
            continue
        for name in (parent, *children):
            if name not in bones:
                raise error_at(path, line, f"unknown bone '{name}'; it is not in :bonedata")
        if parent not in ordered:
            raise error_at(path, line, f"bone '{parent}' has children before it has a parent")
        for child in children:
            bones[child].parent = parent
            ordered[child] = bones[child]
    return ordered


def read_amc(path: Union[str, Path], skeleton: AsfSkeleton) -> AmcMotion:
    """Read an Acclaim motion file.

    Args:
        path: the .amc file.
        skeleton: the skeleton that it was recorded with; it says how many values each bone has.

    Returns:
        The values of all frames.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming file and line where something is wrong.
    """
    path = Path(path)
    values: Dict[str, List[np.ndarray]] = {}
    frames = 0
    for line in read_lines(path, comment="#"):
        name = line.words[0]
        if name.startswith(":"):
            continue
        if name.isdigit() and len(line.words) == 1:
            frames += 1
            continue
        if name not in skeleton.bones:
            raise error_at(path, line, f"bone '{name}' is not in the skeleton {skeleton.path.name}")
        if not frames:
            raise error_at(path, line, "values before the first frame number")
        rows = values.setdefault(name, [])
        if len(rows) != frames - 1:
            raise error_at(
                path, line, f"bone '{name}' has {len(rows) + 1} rows of values up to frame {frames}"
            )
        count = len(skeleton.bones[name].freedoms)
        rows.append(numbers(path, line, line.words[1:], count, f"values of bone '{name}'"))
    short = [name for name, rows in values.items() if len(rows) != frames]
    if not values or short:
        raise ValueError(
            f"{path}: {frames} frames" + (f", but bone '{short[0]}' has fewer" if short else ", no values")
        )
    return AmcMotion(path, {name: np.array(rows) for name, rows in values.items()})


def amc_world_rotations(skeleton: AsfSkeleton, motion: AmcMotion) -> Dict[str, np.ndarray]:
    """World rotation of each bone from the rest pose: name -> (K, 3, 3), in the skeleton's axes (Y up)."""
    world: Dict[str, np.ndarray] = {}
    for name, bone in skeleton.bones.items():
        local = np.broadcast_to(np.eye(3), (len(motion), 3, 3))
        if name in motion.values:
            turning = [index for index, freedom in enumerate(bone.freedoms) if freedom.startswith("r")]
            angles = _angles(motion.values[name][:, turning], skeleton.degrees)
            local = _axis_rotation(angles, "".join(bone.freedoms[index][1] for index in turning))
        local = bone.axes @ local @ bone.axes.T
        world[name] = world[bone.parent] @ local if bone.parent else local
    return world


def amc_poses(skeleton: AsfSkeleton, motion: AmcMotion, body: BodyModel) -> np.ndarray:
    """Poses of a body from a motion of the CMU skeleton.

    Each joint takes the world rotation of a bone, after its limb at rest has been turned into the bone's
    direction at rest; joints without a bone follow their parent.

    Args:
        skeleton, motion: the files.
        body: a body with MakeHuman's joint names.

    Returns:
        (K, J, 3, 3) float32 rotations for `body.pose`; the root's turn about the vertical is removed.

    Raises:
        ValueError: if the skeleton lacks bones of the CMU database.
    """
    bone_of, align = _bone_map(body), _limb_alignment(skeleton, body)
    source = amc_world_rotations(skeleton, motion)
    world = np.empty((len(motion), len(body.joint_names), 3, 3))
    for joint, (name, parent) in enumerate(zip(body.joint_names, body.parents)):
        if name not in bone_of:
            world[:, joint] = world[:, parent]
            continue
        turned = Z_UP_FROM_Y_UP @ source[bone_of[name]] @ Z_UP_FROM_Y_UP.T
        world[:, joint] = turned @ align.get(bone_of[name], np.eye(3))
    rotations = local_rotations(world, body.parents)
    rotations[:, 0] = remove_yaw(rotations[:, 0])
    return rotations.astype(np.float32)


def _bone_map(body: BodyModel) -> Dict[str, str]:
    bones = dict(CENTRAL_BONES)
    for side in "LR":
        bones.update({f"{name}.{side}": bone.format(s=side.lower()) for name, bone in SIDE_BONES.items()})
    return {name: bone for name, bone in bones.items() if name in body.joint_names}


def _limb_alignment(skeleton: AsfSkeleton, body: BodyModel) -> Dict[str, np.ndarray]:
    missing = sorted(set(_bone_map(body).values()) - set(skeleton.bones))
    if missing:
        raise ValueError(
            f"{skeleton.path}: no bone {', '.join(missing)}: not the skeleton of the CMU database"
        )
    middle = np.full(len(body.shape_names), 0.5)
    joints = body.pose(middle, np.tile(np.eye(3), (len(body.joint_names), 1, 1))).joints
    index = {name: joint for joint, name in enumerate(body.joint_names)}
    align = {}
    for side in "LR":
        for start, end, bone in LIMBS:
            bone = bone.format(s=side.lower())
            limb = joints[index[f"{end}.{side}"]] - joints[index[f"{start}.{side}"]]
            align[bone] = rotation_between(limb, Z_UP_FROM_Y_UP @ skeleton.bones[bone].direction)
        align[f"{side.lower()}hand"] = align[f"{side.lower()}radius"]
    return align
