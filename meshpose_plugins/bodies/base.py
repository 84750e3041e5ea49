"""What every full-resolution body model offers, and what posing it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Protocol, Tuple, runtime_checkable

import numpy as np

COCO_KEYPOINT_NAMES = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)

#: Of bodies with coefficients: shape parameters of 0 and 1 are this many standard deviations from the mean.
SHAPE_RANGE = 3.0


@dataclass
class PosedBody:
    """Bodies after shaping and posing, in metres, Z up.

    Attributes:
        vertices: (B, N, 3) float32, or (N, 3) for a single body.
        joints: (B, J, 3) float32 joint centres (the heads of the bones), or (J, 3).
        keypoints: (B, 17, 3) float32 COCO keypoints, or (17, 3).
    """

    vertices: np.ndarray
    joints: np.ndarray
    keypoints: np.ndarray


@runtime_checkable
class BodyModel(Protocol):
    """A skinned body: rest surface, skeleton, shape parameters and a function that poses it.

    Body space is in metres, Z up; the body faces -Y and +X is its left.

    Attributes:
        name: the name that templates and data files refer to.
        vertices: (N, 3) float32 rest vertices.
        faces: (M, 3) int64 vertex ids, counter-clockwise seen from outside.
        joint_names: J names.
        parents: (J,) int64 index of each joint's parent, -1 for the root, which is joint 0.
        shape_names: names of the S shape parameters, each in [0, 1].
        keypoint_names: the 17 COCO names.
        keypoint_regressor: (17, N) float32; rows sum to one.
        skin_weights: (N, J) float32; rows sum to one.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    joint_names: Tuple[str, ...]
    parents: np.ndarray
    shape_names: Tuple[str, ...]
    keypoint_names: Tuple[str, ...]
    keypoint_regressor: np.ndarray

    @property
    def skin_weights(self) -> np.ndarray: ...

    def pose(
        self, shape: np.ndarray, rotations: np.ndarray, translation: Optional[np.ndarray] = None
    ) -> PosedBody:
        """Shape and pose one body or a batch.

        Args:
            shape: (B, S) or (S,) shape parameters in [0, 1].
            rotations: (B, J, 3, 3) or (J, 3, 3) rotation of each joint relative to its parent, in body axes.
            translation: (B, 3) or (3,) metres, the position of the root joint; None is the origin.

        Returns:
            A PosedBody with a batch axis if `shape` or `rotations` has one.
        """
        ...

    def sample_shape(self, rng: np.random.Generator) -> np.ndarray:
        """Draw (S,) float32 shape parameters of a plausible person."""
        ...


def check_unit_range(values: np.ndarray, names: Tuple[str, ...]) -> None:
    """Refuse shape parameters that are not finite numbers in [0, 1], naming the first bad one.

    Args:
        values: (B, S) shape parameters.
        names: S names.

    Raises:
        ValueError: with the parameter's name, its value and its row.
    """
    bad = np.argwhere(~((values >= 0) & (values <= 1)))
    if len(bad):
        row, column = bad[0]
        raise ValueError(
            f"shape parameter '{names[column]}' of body {row} is {values[row, column]!r}; "
            "it must be a number in [0, 1]"
        )


def check_pose(
    shape: np.ndarray, rotations: np.ndarray, shape_names: Tuple[str, ...], num_joints: int
) -> Tuple[np.ndarray, np.ndarray, bool]:
    """Arguments of `BodyModel.pose` with a batch axis each.

    Args:
        shape: (B, S) or (S,) shape parameters in [0, 1].
        rotations: (B, J, 3, 3) or (J, 3, 3).
        shape_names: S names.
        num_joints: J.

    Returns:
        shape (A, S) float64, rotations (B, J, 3, 3) float32, and whether both came without a batch axis. A and
        B are equal, or one of them is 1.

    Raises:
        ValueError: on wrong shapes, values outside [0, 1], or batches of different sizes.
    """
    shape, rotations = np.asarray(shape, np.float64), np.asarray(rotations, np.float32)
    num_shapes = len(shape_names)
    if shape.ndim not in (1, 2) or shape.shape[-1] != num_shapes:
        raise ValueError(f"shape must be (B, {num_shapes}) or ({num_shapes},), got {shape.shape}")
    if rotations.ndim not in (3, 4) or rotations.shape[-3:] != (num_joints, 3, 3):
        raise ValueError(
            f"rotations must be (B, {num_joints}, 3, 3) or ({num_joints}, 3, 3), got {rotations.shape}"
        )
    single = shape.ndim == 1 and rotations.ndim == 3
    shape, rotations = np.atleast_2d(shape), rotations.reshape((-1,) + rotations.shape[-3:])
    check_unit_range(shape, shape_names)
    if len(shape) != len(rotations) and 1 not in (len(shape), len(rotations)):
        raise ValueError(
            f"shape has {len(shape)} bodies and rotations {len(rotations)}; give as many, or one of them"
        )
    return shape, rotations, single


def sample_normal_shape(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count,) float32 shape parameters of standard normal coefficients, cut at 2.5, by `SHAPE_RANGE`."""
    coefficients = np.clip(rng.normal(size=count), -2.5, 2.5)
    return (0.5 + coefficients / (2 * SHAPE_RANGE)).astype(np.float32)
