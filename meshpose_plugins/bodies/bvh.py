"""BVH motion files, and their joints on a body with MakeHuman's joint names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Tuple, Union

import numpy as np

from .base import BodyModel
from .rotations import Z_UP_FROM_Y_UP, euler_rotations, local_rotations, remove_yaw
from .text_lines import Line, error_at, numbers, read_lines

CHANNEL_NAMES = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in "XYZ")


@dataclass
class BvhMotion:
    """A BVH file: a skeleton and the channel values of each frame.

    Attributes:
        path: where it was read from.
        joint_names: J names in file order.
        parents: (J,) int64, -1 for the root.
        offsets: (J, 3) offset of each joint from its parent, in the file's length unit.
        channels: for each joint the names of its channels.
        frames: (K, C) channel values; rotations in degrees.
        frame_time: seconds from frame to frame.
    """

    path: Path
    joint_names: Tuple[str, ...]
    parents: np.ndarray
    offsets: np.ndarray
    channels: Tuple[Tuple[str, ...], ...]
    frames: np.ndarray
    frame_time: float

    def world_rotations(self) -> np.ndarray:
        """(K, J, 3, 3) rotation of each joint from the rest pose, in the file's axes."""
        world = np.empty((len(self.frames), len(self.joint_names), 3, 3))
        start = 0
        for joint, (parent, channels) in enumerate(zip(self.parents, self.channels)):
            turning = [index for index, name in enumerate(channels) if name.endswith("rotation")]
            angles = self.frames[:, [start + index for index in turning]]
            local = euler_rotations([channels[index][0] for index in turning], angles)
            world[:, joint] = local if parent < 0 else world[:, parent] @ local
            start += len(channels)
        return world

    def rest_positions(self) -> np.ndarray:
        """(J, 3) joint positions of the rest pose, root at the origin, in the file's axes and unit."""
        positions = np.zeros_like(self.offsets)
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                positions[joint] = positions[parent] + self.offsets[joint]
        return positions


class _Parser:
    """Recursive reader of the HIERARCHY section."""

    def __init__(self, path: Path, lines: List[Line]) -> None:
        self.path, self.lines, self.position = path, lines, 0
        self.names: List[str] = []
        self.parents: List[int] = []
        self.offsets: List[np.ndarray] = []
        self.channels: List[Tuple[str, ...]] = []

    def next(self, expected: str) -> Line:
        if self.position >= len(self.lines):
            last = self.lines[-1]
            raise error_at(self.path, last, f"the file ends here, expected {expected}")
        self.position += 1
        return self.lines[self.position - 1]

    def keyword(self, word: str) -> Line:
        line = self.next(f"'{word}'")
        if line.words[0].upper() != word:
            raise error_at(self.path, line, f"expected '{word}', got {' '.join(line.words)!r}")
        return line

    def joint(self, line: Line, parent: int) -> None:
        if len(line.words) < 2:
            raise error_at(self.path, line, "a joint without a name")
        index = len(self.names)
        self.names.append(" ".join(line.words[1:]))
        self.parents.append(parent)
        self.keyword("{")
        offset = self.keyword("OFFSET")
        self.offsets.append(numbers(self.path, offset, offset.words[1:], 3, "OFFSET"))
        self.channels.append(())
        while True:
            line = self.next("'}'")
            word = line.words[0].upper()
            if word == "}":
                return
            if word == "CHANNELS":
                self.channels[index] = self.channel_names(line)
            elif word == "JOINT":
                self.joint(line, index)
            elif word == "END":
                self.keyword("{")
                self.keyword("OFFSET")
                self.keyword("}")
            else:
                raise error_at(self.path, line, f"expected CHANNELS, JOINT, End Site or '}}', got {word!r}")

    def channel_names(self, line: Line) -> Tuple[str, ...]:
        names = tuple(line.words[2:])
        if not line.words[1:] or line.words[1] != str(len(names)):
            raise error_at(
                self.path, line, f"CHANNELS says {' '.join(line.words[1:2])!r} and names {len(names)}"
            )
        unknown = [name for name in names if name not in CHANNEL_NAMES]
        if unknown:
            raise error_at(
                self.path, line, f"unknown channel {unknown[0]!r}; known ones: {', '.join(CHANNEL_NAMES)}"
            )
        return names


def read_bvh(path: Union[str, Path]) -> BvhMotion:
    """Read a BVH file (Biovision hierarchical data).

    Args:
        path: the .bvh file.

    Returns:
        The skeleton and its frames.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming file and line where the text is not BVH.
    """
    path = Path(path)
    parser = _Parser(path, read_lines(path))
    parser.keyword("HIERARCHY")
    parser.joint(parser.keyword("ROOT"), -1)
    parser.keyword("MOTION")
    line = parser.keyword("FRAMES:")
    count = int(numbers(path, line, line.words[1:], 1, "Frames")[0])
    line = parser.keyword("FRAME")
    frame_time = float(numbers(path, line, line.words[2:], 1, "Frame Time")[0])
    width = sum(map(len, parser.channels))
    rows = [numbers(path, row, row.words, width, "channel values") for row in parser.lines[parser.position :]]
    if len(rows) != count or not count:
        raise error_at(path, line, f"the file announces {count} frames and holds {len(rows)}")
    return BvhMotion(
        path=path,
        joint_names=tuple(parser.names),
        parents=np.array(parser.parents, np.int64),
        offsets=np.array(parser.offsets),
        channels=tuple(parser.channels),
        frames=np.array(rows),
        frame_time=frame_time,
    )


def bvh_poses(motion: BvhMotion, body: BodyModel) -> np.ndarray:
    """Poses of a body from a BVH file with MakeHuman's joint names.

    Joints that the body lacks (metatarsals, face) hand their rotation on to their children; joints that the
    file lacks follow their parent. Files with Y up and with Z up are told apart by where the head is.

    Args:
        motion: the file.
        body: a body with MakeHuman's joint names.

    Returns:
        (K, J, 3, 3) float32 rotations for `body.pose`; the root's turn about the vertical is removed.

    Raises:
        ValueError: if the file lacks joints of the trunk and limbs that tell its pose.
    """
    index = {name: joint for joint, name in enumerate(motion.joint_names)}
    needed = ["root", "head"] + [f"{name}01.{side}" for name in ("upperarm", "upperleg") for side in "LR"]
    missing = [name for name in needed if name not in index]
    if missing:
        raise ValueError(
            f"{motion.path}: no joint {', '.join(missing)}: not MakeHuman's rig; "
            f"its joints start with {', '.join(motion.joint_names[:5])}"
        )
    height = motion.rest_positions()[index["head"]]
    axes = Z_UP_FROM_Y_UP if abs(height[1]) > abs(height[2]) else np.eye(3)
    source = axes @ motion.world_rotations() @ axes.T
    world = np.empty((len(source), len(body.joint_names), 3, 3))
    for joint, (name, parent) in enumerate(zip(body.joint_names, body.parents)):
        world[:, joint] = source[:, index[name]] if name in index else world[:, parent]
    rotations = local_rotations(world, body.parents)
    rotations[:, 0] = remove_yaw(rotations[:, 0])
    return rotations.astype(np.float32)
