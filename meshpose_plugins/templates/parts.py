"""The DensePose partition of the body surface into 24 parts (charts), in the order of the DensePose data
sets.

Source: R. A. Guler, N. Neverova, I. Kokkinos, "DensePose: Dense Human Pose Estimation In The Wild", CVPR 2018, and the
published DensePose-COCO annotation format. All tables are indexed by ``part - 1`` for parts 1 to 24.
"""

from __future__ import annotations

NUM_PARTS = 24

#: Name of each part. "back" and "front" are the two halves into which DensePose cuts torso, legs and arms; of the
#: arms, unlike the others, it counts the front first.
PART_NAMES = (
    'torso_back',
    'torso_front',
    'right_hand',
    'left_hand',
    'left_foot',
    'right_foot',
    'right_upper_leg_back',
    'left_upper_leg_back',
    'right_upper_leg_front',
    'left_upper_leg_front',
    'right_lower_leg_back',
    'left_lower_leg_back',
    'right_lower_leg_front',
    'left_lower_leg_front',
    'left_upper_arm_front',
    'right_upper_arm_front',
    'left_upper_arm_back',
    'right_upper_arm_back',
    'left_lower_arm_front',
    'right_lower_arm_front',
    'left_lower_arm_back',
    'right_lower_arm_back',
    'right_head',
    'left_head',
)

#: The part that a left-right mirror makes of each part; the torso halves stay themselves.
MIRROR_PARTS = (1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 18, 17, 20, 19, 22, 21, 24, 23)

#: The one of the 14 ``dp_masks`` to which each part belongs.
MASK_PARTS = (1, 1, 2, 3, 4, 5, 6, 7, 6, 7, 8, 9, 8, 9, 10, 11, 10, 11, 12, 13, 12, 13, 14, 14)

#: The one of the 8 coarse parts, in whose units the DensePose evaluation gives its kappa, of each part.
COARSE_PARTS = (1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 8, 8)

#: Name of each coarse part; left and right are one.
COARSE_PART_NAMES = (
    'torso',
    'hands',
    'feet',
    'upper_legs',
    'lower_legs',
    'upper_arms',
    'lower_arms',
    'head',
)
