"""Tables behind `sample_pose`: joint limits and the kinds of poses that people are in.

All angles are in degrees, and mean the same for the left and the right side. Legs: hip flexion (thigh
forward), abduction (away from the other leg; 0 is vertical), external rotation, knee flexion. Arms: plane in
which the upper arm leaves the trunk (0 forward, 90 to the side), elevation in that plane (0 hanging, 90
level, 180 overhead, negative backward), internal rotation, elbow flexion, pronation (0 thumb in the direction
of flexion), wrist flexion.
"""

from __future__ import annotations

from typing import NamedTuple, Tuple

LEG_ANGLES = ("hip_flexion", "hip_abduction", "hip_rotation", "knee_flexion")
ARM_ANGLES = ("arm_plane", "arm_elevation", "arm_rotation", "elbow_flexion", "pronation", "wrist_flexion")

# Ranges of motion of healthy adults, rounded down where clothing and flesh stop a limb earlier.
SIDE_LIMITS = {
    "hip_flexion": (-30, 120),
    "hip_abduction": (-18, 50),
    "hip_rotation": (-30, 45),
    "knee_flexion": (0, 140),
    "ankle_flexion": (-22, 45),
    "ankle_tilt": (-12, 12),
    "arm_plane": (-45, 115),
    "arm_elevation": (-45, 172),
    "arm_rotation": (-60, 85),
    "elbow_flexion": (2, 142),
    "pronation": (-70, 75),
    "wrist_flexion": (-55, 60),
    "wrist_deviation": (-15, 28),
    "finger_flexion": (-8, 85),
    "thumb_flexion": (-10, 50),
}
TRUNK_LIMITS = {
    "pelvis_bend": (-180, 180),
    "pelvis_side": (-180, 180),
    "pelvis_turn": (-180, 180),
    "spine_bend": (-28, 75),
    "spine_side": (-30, 30),
    "spine_turn": (-45, 45),
    "neck_bend": (-45, 50),
    "neck_side": (-30, 30),
    "neck_turn": (-70, 70),
}


class LegMode(NamedTuple):
    """How the legs stand: mean angles of leg a and of leg b (either side by chance), their spreads."""

    name: str
    weight: float
    a: Tuple[float, ...]
    b: Tuple[float, ...]
    spread: Tuple[float, ...]
    pelvis_bend: Tuple[float, float] = (0, 3)
    spine_bend: Tuple[float, float] = (3, 6)
    flat_feet: float = 1.0  # how far the ankles keep the soles parallel to the ground
    arm_swing: float = 0.0  # chance of arms that swing against the legs


LEG_MODES = (
    LegMode("stand", 24, (3, 4, 8, 4), (3, 4, 8, 4), (6, 4, 8, 6)),
    LegMode("weight on one leg", 12, (2, 3, 5, 3), (14, 8, 15, 24), (6, 5, 10, 12)),
    LegMode("legs apart", 5, (6, 20, 12, 9), (6, 20, 12, 9), (9, 8, 10, 9)),
    LegMode(
        "stride", 12, (24, 2, 4, 10), (-14, 2, 4, 14), (10, 4, 6, 9), (2, 4), flat_feet=0.6, arm_swing=0.7
    ),
    LegMode("step", 6, (28, 2, 4, 50), (2, 2, 4, 6), (10, 4, 6, 14), (2, 4), flat_feet=0.4, arm_swing=0.6),
    LegMode("run", 5, (60, 3, 2, 85), (-8, 3, 2, 35), (14, 4, 6, 22), (8, 6), (6, 6), 0.2, 0.7),
    LegMode("sit", 13, (84, 9, 8, 85), (84, 9, 8, 85), (11, 8, 11, 18), (-5, 9), (8, 10)),
    LegMode(
        "sit with legs stretched", 2, (84, 11, 8, 16), (84, 11, 8, 30), (9, 8, 9, 16), (-14, 9), (14, 9), 0.0
    ),
    LegMode("squat", 6, (104, 17, 12, 118), (104, 17, 12, 118), (10, 9, 9, 12), (14, 8), (18, 10), 0.7),
    LegMode("half squat", 5, (52, 12, 10, 66), (52, 12, 10, 66), (18, 8, 9, 18), (14, 9), (10, 9)),
    LegMode("kneel on one knee", 3, (86, 9, 5, 90), (2, 6, 4, 96), (12, 7, 8, 12), (2, 6), flat_feet=0.5),
    LegMode("kneel", 2, (30, 9, 2, 118), (30, 9, 2, 118), (28, 6, 7, 14), (0, 6), (6, 9), 0.0),
    LegMode("lunge", 4, (68, 5, 5, 72), (-16, 5, 5, 20), (16, 6, 8, 14), (8, 8), flat_feet=0.6),
    LegMode("one leg raised", 3, (78, 14, 8, 45), (4, 4, 8, 6), (24, 14, 12, 32), flat_feet=0.2),
    LegMode("anything", 5, (40, 14, 5, 55), (40, 14, 5, 55), (50, 20, 22, 55), (0, 12), (8, 15), 0.2),
)


class ArmMode(NamedTuple):
    """What one arm does: mean angles and their spreads, in the order of ARM_ANGLES."""

    name: str
    weight: float
    mean: Tuple[float, ...]
    spread: Tuple[float, ...]


ARM_MODES = (
    ArmMode("hang", 30, (72, 13, 12, 16, 15, 2), (26, 5, 14, 9, 25, 12)),
    ArmMode("hang bent", 11, (40, 17, 20, 48, 15, 2), (35, 9, 15, 20, 28, 15)),
    ArmMode("hand on hip", 6, (96, 44, 48, 92, 25, 10), (14, 8, 14, 14, 25, 25)),
    ArmMode("hold in front", 15, (18, 30, 15, 82, 0, 0), (28, 18, 18, 24, 35, 20)),
    ArmMode("hand to face", 8, (20, 55, 10, 122, 0, 5), (30, 24, 28, 13, 35, 20)),
    ArmMode("reach forward", 10, (15, 78, 5, 28, 10, 0), (28, 26, 22, 24, 35, 20)),
    ArmMode("reach to the side", 9, (86, 82, 0, 26, 5, 0), (18, 26, 28, 26, 35, 20)),
    ArmMode("raised", 10, (62, 146, -8, 34, 0, 0), (36, 20, 25, 30, 35, 20)),
    ArmMode("hand behind head", 4, (88, 122, -28, 128, 0, 0), (13, 13, 15, 9, 30, 18)),
    ArmMode("pulled back", 4, (-32, -28, 10, 40, 10, 0), (12, 11, 15, 30, 30, 15)),
    ArmMode("anything", 9, (40, 85, 8, 62, 0, 0), (75, 80, 48, 62, 60, 40)),
)
SWING_FORWARD = ArmMode("swing forward", 0, (28, 27, 8, 38, 10, 0), (12, 11, 10, 22, 20, 10))
SWING_BACK = ArmMode("swing back", 0, (-34, -24, 8, 28, 10, 0), (9, 9, 10, 20, 20, 10))


class TrunkMode(NamedTuple):
    """How the trunk leaves the posture that goes with the legs; bends add to those of the leg mode."""

    name: str
    weight: float
    pelvis_bend: Tuple[float, float]  # the hips give way by as much, so that the legs stay where they are
    spine_bend: Tuple[float, float]
    spine_side: float
    spine_turn: float


TRUNK_MODES = (
    TrunkMode("upright", 66, (0, 2), (0, 3), 4, 8),
    TrunkMode("turned", 12, (0, 4), (2, 6), 7, 24),
    TrunkMode("leaning to the side", 6, (0, 5), (2, 8), 16, 12),
    TrunkMode("bent forward", 13, (32, 24), (28, 18), 9, 14),
    TrunkMode("arched back", 3, (-4, 4), (-16, 7), 7, 10),
)

# Whole bodies that are not upright: (weight, forward tilt, sideways tilt, spread); the first row is upright.
BODY_TILTS = ((95.5, 0, 0, 0), (1.5, 90, 0, 14), (1.5, -88, 0, 14), (1.0, 0, 90, 14), (0.5, 180, 0, 20))

HAND_MODES = ((60, 24, 13), (20, 3, 6), (20, 72, 10))  # weight, mean and spread of the finger flexion
