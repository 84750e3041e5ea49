"""A quick test whether limbs run through each other or through the trunk: capsules around bones."""

from __future__ import annotations


import numpy as np
from numba import njit

from .base import BodyModel

# Capsules: name -> (joint at one end, joint at the other end, radius in metres of an average adult).
_SIDE_CAPSULES = {
    "upperarm": ("upperarm02.{s}", "lowerarm01.{s}", 0.045),
    "forearm": ("lowerarm01.{s}", "wrist.{s}", 0.03),
    "hand": ("wrist.{s}", "finger3-2.{s}", 0.022),
    "flank": ("upperleg01.{s}", "shoulder01.{s}", 0.055),
    "thigh": ("upperleg02.{s}", "lowerleg01.{s}", 0.06),
    "shank": ("lowerleg01.{s}", "foot.{s}", 0.05),
    "foot": ("foot.{s}", "toe2-2.{s}", 0.04),
}
_CENTRAL_CAPSULES = {"trunk": ("spine05", "spine01", 0.11), "head": ("neck03", "eye.{s}", 0.095)}

_PAIRS = (
    [
        (limb, other)
        for limb in ("forearm.{a}", "hand.{a}")
        for other in (
            "trunk",
            "head",
            "flank.{a}",
            "flank.{b}",
            "thigh.{a}",
            "thigh.{b}",
            "shank.{a}",
            "shank.{b}",
        )
    ]
    + [
        ("hand.{a}", "forearm.{b}"),
        ("hand.{a}", "upperarm.{b}"),
        ("upperarm.{a}", "head"),
        ("shank.{a}", "thigh.{b}"),
    ]
    + [("foot.{a}", "shank.{b}"), ("foot.{a}", "thigh.{b}")]
)
_MUTUAL_PAIRS = (
    ("forearm.L", "forearm.R"),
    ("hand.L", "hand.R"),
    ("shank.L", "shank.R"),
    ("foot.L", "foot.R"),
    ("thigh.L", "thigh.R"),
)


class LimbCollisions:
    """The capsules and the pairs of them that must not overlap, for one body's joints."""

    def __init__(self, body: BodyModel, margin: float = 0.0) -> None:
        index = {name: joint for joint, name in enumerate(body.joint_names)}
        capsules = {}
        for side in "LR":
            for name, (start, end, radius) in _SIDE_CAPSULES.items():
                capsules[f"{name}.{side}"] = (index[start.format(s=side)], index[end.format(s=side)], radius)
        for name, (start, end, radius) in _CENTRAL_CAPSULES.items():
            capsules[name] = (index[start], index[end.format(s="L")], radius)
        order = {name: row for row, name in enumerate(capsules)}
        pairs = [(one.format(a=a, b=b), two.format(a=a, b=b)) for a, b in ("LR", "RL") for one, two in _PAIRS]
        self.ends = np.array([(start, end) for start, end, _ in capsules.values()])
        self.radii = np.array([radius for _, _, radius in capsules.values()]) + margin / 2
        self.pairs = np.array([(order[one], order[two]) for one, two in pairs + list(_MUTUAL_PAIRS)])

    def overlap(self, joints: np.ndarray) -> np.ndarray:
        """Whether any pair of capsules overlaps.

        Args:
            joints: (B, J, 3) joint positions in metres.

        Returns:
            (B,) bool.
        """
        return _overlap(np.ascontiguousarray(joints, np.float64), self.ends, self.radii, self.pairs)


@njit(cache=True)
def _overlap(joints, ends, radii, pairs):
    result = np.zeros(len(joints), np.bool_)
    for body in range(len(joints)):
        points = joints[body]
        for pair in range(len(pairs)):
            one, two = pairs[pair]
            reach = radii[one] + radii[two]
            squared = segment_distance_squared(
                points[ends[one, 0]], points[ends[one, 1]], points[ends[two, 0]], points[ends[two, 1]]
            )
            if squared < reach * reach:
                result[body] = True
                break
    return result


@njit(cache=True)
def segment_distance_squared(p, q, r, s):
    """Squared distance of the segments pq and rs (Ericson, Real-Time Collision Detection, 5.1.9)."""
    a = e = f = b = c = 0.0
    for k in range(3):
        d1, d2, w = q[k] - p[k], s[k] - r[k], p[k] - r[k]
        a += d1 * d1
        e += d2 * d2
        f += d2 * w
        b += d1 * d2
        c += d1 * w
    denominator = a * e - b * b
    t1 = 0.0
    if denominator > 1e-12:
        t1 = min(max((b * f - c * e) / denominator, 0.0), 1.0)
    t2 = (b * t1 + f) / e if e > 1e-12 else 0.0
    if t2 < 0.0:
        t2 = 0.0
        t1 = min(max(-c / a, 0.0), 1.0) if a > 1e-12 else 0.0
    elif t2 > 1.0:
        t2 = 1.0
        t1 = min(max((b - c) / a, 0.0), 1.0) if a > 1e-12 else 0.0
    total = 0.0
    for k in range(3):
        gap = p[k] + t1 * (q[k] - p[k]) - r[k] - t2 * (s[k] - r[k])
        total += gap * gap
    return total
