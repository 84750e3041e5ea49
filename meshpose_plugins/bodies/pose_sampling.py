"""Natural poses without motion capture: a mixture of everyday postures within joint limits."""

from __future__ import annotations

from functools import lru_cache
from typing import Optional, Sequence, Union

import numpy as np

from .base import BodyModel
from .collisions import LimbCollisions
from .joint_angles import FINGER_NAMES, SIDE_NAMES, TRUNK_NAMES, JointAngles
from .pose_modes import (
    ARM_ANGLES,
    ARM_MODES,
    BODY_TILTS,
    HAND_MODES,
    LEG_ANGLES,
    LEG_MODES,
    SIDE_LIMITS,
    SWING_BACK,
    SWING_FORWARD,
    TRUNK_LIMITS,
    TRUNK_MODES,
)
from .pose_transfer import PoseTransfer, has_makehuman_rig
from .skinning import forward_kinematics_fast

_CANDIDATES = 6  # drawn at once for one pose: nearly always one of them is free of collisions
_MAX_ROUNDS = 50


def sample_pose(body: BodyModel, rng: np.random.Generator, count: Optional[int] = None) -> np.ndarray:
    """Draw natural poses: standing, walking, running, sitting, squatting, kneeling, bending, arms anywhere.

    Left and right are equally distributed. Angles stay within the limits of SIDE_LIMITS and TRUNK_LIMITS, and
    poses whose limbs would run through the body are drawn again.

    Args:
        body: a body with MakeHuman's joint names, or one of the SMPL family or MHR: those take the poses of 'anny'.
        rng: random generator; the same state gives the same poses.
        count: number of poses; None draws one without a batch axis.

    Returns:
        (J, 3, 3) or (count, J, 3, 3) float32 rotations for `body.pose`; no turn about the vertical.
    """
    if count is not None and count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    poses = _sampler(body).sample(rng, 1 if count is None else count)
    return poses[0] if count is None else poses


@lru_cache(maxsize=8)
def _sampler(body: BodyModel) -> Union["PoseSampler", "TransferredSampler"]:
    return PoseSampler(body) if has_makehuman_rig(body) else TransferredSampler(body)


class TransferredSampler:
    """Poses sampled for the body that ships with the package, on a body of another rig."""

    def __init__(self, body: BodyModel) -> None:
        from . import load_body

        source = load_body("anny")
        self.sampler, self.transfer = _sampler(source), PoseTransfer(source, body)

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw (count, J, 3, 3) rotations, free of collisions on the source body."""
        return self.transfer(self.sampler.sample(rng, count))


class PoseSampler:
    """Everything that sampling poses of one body needs, prepared once."""

    def __init__(self, body: BodyModel) -> None:
        self.angles = JointAngles(body)
        self.collisions = LimbCollisions(body)
        self.parents = body.parents
        middle = np.full(len(body.shape_names), 0.5)
        identity = np.tile(np.eye(3, dtype=np.float32), (len(body.joint_names), 1, 1))
        self.rest_joints = body.pose(middle, identity).joints
        self.identity = identity

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw (count, J, 3, 3) rotations free of collisions."""
        found = []
        missing = count
        for _ in range(_MAX_ROUNDS):
            rotations = self.angles.rotations(
                sample_angles(self.angles, rng, max(_CANDIDATES, missing + missing // 4))
            )
            free = rotations[~self.collisions.overlap(self._joints(rotations))][:missing]
            found.append(free)
            missing -= len(free)
            if missing == 0:
                return np.concatenate(found) if len(found) > 1 else free
        raise RuntimeError(
            f"no pose free of collisions in {_MAX_ROUNDS} rounds; the joint names may not fit the body"
        )

    def _joints(self, rotations: np.ndarray) -> np.ndarray:
        shape = (len(rotations),)
        heads = np.broadcast_to(self.rest_joints, shape + self.rest_joints.shape)
        alignments = np.broadcast_to(self.identity, shape + self.identity.shape)
        return forward_kinematics_fast(self.parents, heads, alignments, rotations)[1]


def _table(modes: Sequence, field: str) -> np.ndarray:
    return np.array([getattr(mode, field) for mode in modes], np.float64)


def _shares(weights: Sequence[float]) -> np.ndarray:
    cumulated = np.cumsum(np.asarray(weights, np.float64))
    return cumulated / cumulated[-1]


_ALL_ARMS = ARM_MODES + (SWING_FORWARD, SWING_BACK)
_ARM_MEAN, _ARM_SPREAD = _table(_ALL_ARMS, "mean"), _table(_ALL_ARMS, "spread")
_ARM_SHARES = _shares([mode.weight for mode in ARM_MODES])
_LEG_MEAN = np.stack([_table(LEG_MODES, "a"), _table(LEG_MODES, "b")], axis=1)
_LEG_SPREAD = _table(LEG_MODES, "spread")
_LEG_BENDS = np.concatenate([_table(LEG_MODES, "pelvis_bend"), _table(LEG_MODES, "spine_bend")], axis=1)
_LEG_FLAT, _LEG_SWING = _table(LEG_MODES, "flat_feet"), _table(LEG_MODES, "arm_swing")
_LEG_SHARES = _shares([mode.weight for mode in LEG_MODES])
_TRUNK_BENDS = np.concatenate([_table(TRUNK_MODES, "pelvis_bend"), _table(TRUNK_MODES, "spine_bend")], axis=1)
_TRUNK_TURNS = np.stack([_table(TRUNK_MODES, "spine_side"), _table(TRUNK_MODES, "spine_turn")], axis=1)
_TRUNK_SHARES = _shares([mode.weight for mode in TRUNK_MODES])
_TILTS, _TILT_SHARES = np.array(BODY_TILTS, np.float64)[:, 1:], _shares([row[0] for row in BODY_TILTS])
_HANDS, _HAND_SHARES = np.array(HAND_MODES, np.float64)[:, 1:], _shares([row[0] for row in HAND_MODES])
_SIDE_LOW, _SIDE_HIGH = np.array(list(SIDE_LIMITS.values()), np.float64).T
_TRUNK_LOW, _TRUNK_HIGH = np.array(list(TRUNK_LIMITS.values()), np.float64).T
_SIDE = {name: column for column, name in enumerate(SIDE_NAMES)}
_TRUNK = {name: column for column, name in enumerate(TRUNK_NAMES)}
_LEG_COLUMNS = [_SIDE[name] for name in LEG_ANGLES]
_ARM_COLUMNS = [_SIDE[name] for name in ARM_ANGLES]


def fold(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Reflect values at the limits until they lie between them, so that they do not pile up there."""
    span = high - low
    return low + span - np.abs((values - low) % (2 * span) - span)


def sample_angles(joint_angles: JointAngles, rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw named joint angles, before any test for collisions.

    Args:
        joint_angles: the angles' names and columns.
        rng: random generator.
        count: number of poses B.

    Returns:
        (B, len(joint_angles.names)) degrees within the limits.
    """
    chance = rng.random((count, 16))
    side = np.zeros((count, 2, len(SIDE_NAMES)))
    trunk = np.zeros((count, len(TRUNK_NAMES)))
    legs = np.searchsorted(_LEG_SHARES, chance[:, 0])
    swapped = chance[:, 1] < 0.5
    _sample_legs(side, rng, legs, swapped)
    _sample_arms(side, rng, legs, swapped, chance)
    _sample_trunk(trunk, side, rng, legs, chance)
    side = fold(side, _SIDE_LOW, _SIDE_HIGH)
    trunk = fold(trunk, _TRUNK_LOW, _TRUNK_HIGH)
    # Soles stay parallel to the ground as far as the ankle lets them.
    hip, knee = side[..., _SIDE["hip_flexion"]], side[..., _SIDE["knee_flexion"]]
    level = (hip - knee - trunk[:, None, _TRUNK["pelvis_bend"]]) * _LEG_FLAT[legs, None]
    ankle = _SIDE["ankle_flexion"]
    side[..., ankle] = np.clip(side[..., ankle] + level, _SIDE_LOW[ankle], _SIDE_HIGH[ankle])
    _tilt_body(trunk, rng, chance)
    fingers = rng.normal(0, 6, (count, 2, len(FINGER_NAMES)))
    girdle = _shoulder_girdle(side)
    return np.concatenate(
        [trunk, np.concatenate([side, fingers], axis=2).reshape(count, -1), girdle.reshape(count, -1)], axis=1
    )


def _sample_legs(side: np.ndarray, rng: np.random.Generator, legs: np.ndarray, swapped: np.ndarray) -> None:
    means = _LEG_MEAN[legs]
    means[swapped] = means[swapped, ::-1]
    noise = rng.normal(size=(len(side), 2, 6))
    # The legs move together: part of the second leg's noise is that of the first.
    noise[:, 1] = 0.6 * noise[:, 0] + 0.8 * noise[:, 1]
    side[..., _LEG_COLUMNS] = means + noise[..., :4] * _LEG_SPREAD[legs, None]
    side[..., _SIDE["ankle_flexion"]] = noise[..., 4] * 6
    side[..., _SIDE["ankle_tilt"]] = noise[..., 5] * 4


def _sample_arms(
    side: np.ndarray, rng: np.random.Generator, legs: np.ndarray, swapped: np.ndarray, chance: np.ndarray
) -> None:
    modes = np.searchsorted(_ARM_SHARES, chance[:, 2:4])
    alike = chance[:, 4] < 0.45
    modes[alike, 1] = modes[alike, 0]
    swings = chance[:, 5] < _LEG_SWING[legs]
    # Leg a is in front, and with it the arm of the other side.
    modes[swings] = np.where(
        swapped[swings, None], [len(ARM_MODES), len(ARM_MODES) + 1], [len(ARM_MODES) + 1, len(ARM_MODES)]
    )
    noise = rng.normal(size=(len(side), 2, len(ARM_ANGLES) + 3))
    both = alike & (chance[:, 6] < 0.7)
    noise[both, 1] = 0.9 * noise[both, 0] + 0.43 * noise[both, 1]
    side[..., _ARM_COLUMNS] = _ARM_MEAN[modes] + noise[..., : len(ARM_ANGLES)] * _ARM_SPREAD[modes]
    side[..., _SIDE["wrist_deviation"]] = 4 + 7 * noise[..., -3]
    hands = np.searchsorted(_HAND_SHARES, chance[:, 7:9])
    same = chance[:, 9] < 0.6
    hands[same, 1] = hands[same, 0]
    side[..., _SIDE["finger_flexion"]] = _HANDS[hands, 0] + _HANDS[hands, 1] * noise[..., -2]
    side[..., _SIDE["thumb_flexion"]] = 0.4 * _HANDS[hands, 0] + 9 * noise[..., -1]


def _sample_trunk(
    trunk: np.ndarray, side: np.ndarray, rng: np.random.Generator, legs: np.ndarray, chance: np.ndarray
) -> None:
    modes = np.searchsorted(_TRUNK_SHARES, chance[:, 10])
    noise = rng.normal(size=(len(trunk), 11))
    own, added = _LEG_BENDS[legs], _TRUNK_BENDS[modes]
    leaning = added[:, 0] + added[:, 1] * noise[:, 0]
    trunk[:, _TRUNK["pelvis_bend"]] = own[:, 0] + own[:, 1] * noise[:, 1] + leaning
    side[..., _SIDE["hip_flexion"]] += leaning[:, None]
    trunk[:, _TRUNK["spine_bend"]] = (
        own[:, 2] + own[:, 3] * noise[:, 2] + added[:, 2] + added[:, 3] * noise[:, 3]
    )
    trunk[:, _TRUNK["pelvis_side"]] = 3 * noise[:, 4]
    trunk[:, _TRUNK["spine_side"]] = _TRUNK_TURNS[modes, 0] * noise[:, 5]
    trunk[:, _TRUNK["spine_turn"]] = _TRUNK_TURNS[modes, 1] * noise[:, 6]
    # People who bend down look ahead rather than at their knees.
    down = np.maximum(trunk[:, _TRUNK["spine_bend"]] + trunk[:, _TRUNK["pelvis_bend"]], 0)
    trunk[:, _TRUNK["neck_bend"]] = 5 + 12 * noise[:, 7] - 0.35 * down
    trunk[:, _TRUNK["neck_side"]] = 7 * noise[:, 8]
    trunk[:, _TRUNK["neck_turn"]] = np.where(chance[:, 11] < 0.5, 9, 32) * noise[:, 9]


def _tilt_body(trunk: np.ndarray, rng: np.random.Generator, chance: np.ndarray) -> None:
    """Lay a few bodies down or turn them over."""
    rows = np.searchsorted(_TILT_SHARES, chance[:, 12])
    noise = rng.normal(size=(len(trunk), 2))
    sign = np.where(chance[:, 13] < 0.5, -1.0, 1.0)
    trunk[:, _TRUNK["pelvis_bend"]] += _TILTS[rows, 0] + _TILTS[rows, 2] * noise[:, 0]
    trunk[:, _TRUNK["pelvis_side"]] += sign * _TILTS[rows, 1] + _TILTS[rows, 2] * noise[:, 1]


def _shoulder_girdle(side: np.ndarray) -> np.ndarray:
    """(B, 2, 2) raise and advance of the shoulder girdle that go with a lifted arm."""
    elevation, plane = side[..., _SIDE["arm_elevation"]], np.radians(side[..., _SIDE["arm_plane"]])
    lifted = np.maximum(elevation - 35, 0)
    raise_ = 0.24 * lifted
    advance = 0.12 * np.clip(elevation, -40, 100) * np.cos(plane) - 0.05 * lifted * np.sin(plane)
    return np.stack([raise_, advance], axis=-1)
