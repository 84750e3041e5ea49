"""Where a posed body stands before the camera, and its projection to the image."""

from __future__ import annotations

import numpy as np

#: Fewer 2-D joints than this do not place a body.
LEAST_JOINTS = 4
#: A body must not come nearer to the camera than this (metres).
NEAREST = 0.05
#: 2-D joints that lie further than this from the placed body's, as a share of their own extent, are of
#: another pose.
LARGEST_MISFIT = 0.15


def fit_translation(
    joints: np.ndarray,  # (J, 3)
    joints2d: np.ndarray,  # (J, 3)
    intrinsics: np.ndarray,  # (3, 3)
) -> np.ndarray:
    """Find the translation that brings joints onto their pixels, by linear least squares.

    Args:
        joints: metres in the camera's axes.
        joints2d: x, y px and confidence.
        intrinsics: px.

    Returns:
        (3,) metres.
    """
    rays = np.linalg.solve(intrinsics, np.column_stack([joints2d[:, :2], np.ones(len(joints2d))]).T).T
    # (X + tx) = x (Z + tz) and (Y + ty) = y (Z + tz), for rays (x, y, 1).
    weights = np.sqrt(np.clip(joints2d[:, 2], 0, None))
    rows, values = [], []
    for axis in range(2):
        matrix = np.zeros((len(joints), 3))
        matrix[:, axis], matrix[:, 2] = 1, -rays[:, axis]
        rows.append(matrix * weights[:, None])
        values.append((rays[:, axis] * joints[:, 2] - joints[:, axis]) * weights)
    return np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0]


def fit_scaled_orthographic(
    joints: np.ndarray,  # (J, 3)
    joints2d: np.ndarray,  # (J, 3)
) -> tuple[float, np.ndarray]:
    """Find scale (px per metre) and shift (2,) px; ``scale * xy + shift`` comes nearest to the pixels."""
    weights = np.clip(joints2d[:, 2:], 0, None)
    total = weights.sum()
    middle, middle2d = (weights * joints[:, :2]).sum(0) / total, (weights * joints2d[:, :2]).sum(0) / total
    centred = joints[:, :2] - middle
    spread = float((weights * centred**2).sum())
    scale = float((weights * centred * (joints2d[:, :2] - middle2d)).sum()) / max(spread, 1e-12)
    return scale, middle2d - scale * middle


def project(points: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Project (N, 3) metres in camera space to (N, 3): x, y px and z metres."""
    homogeneous = points @ intrinsics.T
    return np.column_stack([homogeneous[:, :2] / homogeneous[:, 2:], points[:, 2]])


def misfit(projected: np.ndarray, joints2d: np.ndarray) -> float:
    """Return how far projected joints lie from the annotated ones, as a share of the extent of these."""
    used = joints2d[:, 2] > 0
    extent = np.ptp(joints2d[used, :2], axis=0).max()
    distance = np.linalg.norm(projected[used, :2] - joints2d[used, :2], axis=1).mean()
    return float(distance / max(extent, 1e-6))


def place(
    vertices: np.ndarray,  # (N, 3)
    joints: np.ndarray,  # (J, 3)
    transl: np.ndarray,  # (3,)
    intrinsics: np.ndarray,  # (3, 3)
    joints2d: np.ndarray,  # (22, 3)
) -> tuple[np.ndarray, float] | str:
    """Place a body and project it.

    With intrinsics and a translation this is the perspective projection; without a translation the one that
    brings the joints onto their pixels; without intrinsics the scaled orthographic projection that does.

    Args:
        vertices, joints: metres in the camera's axes, where the translation is not yet added.
        transl: metres, NaN where not known.
        intrinsics: px, NaN where not known.
        joints2d: pixels and confidence (0: not known) of the body's first 22 joints.

    Returns:
        x, y px and z metres (N, 3), and the px per metre at the root joint's depth; or why it cannot be done.
    """
    used = joints2d[:, 2] > 0
    body_joints, seen = joints[: len(joints2d)][used], joints2d[used]
    known = np.isfinite(intrinsics).all()
    if known and np.isfinite(transl).all():
        offset = transl
    elif used.sum() < LEAST_JOINTS:
        return 'neither a camera with a translation nor 2-D joints'
    elif known:
        offset = fit_translation(body_joints, seen, intrinsics)
    else:
        scale, shift = fit_scaled_orthographic(body_joints, seen)
        xyz = np.column_stack([vertices[:, :2] * scale + shift, vertices[:, 2]])
        if scale <= 0 or misfit(body_joints[:, :2] * scale + shift, seen) > LARGEST_MISFIT:
            return 'the 2-D joints do not fit the pose'
        return xyz, scale
    points = vertices + offset
    if points[:, 2].min() < NEAREST:
        return 'not in front of the camera'
    if offset is not transl and misfit(project(body_joints + offset, intrinsics), seen) > LARGEST_MISFIT:
        return 'the 2-D joints do not fit the pose'
    focal = np.sqrt(intrinsics[0, 0] * intrinsics[1, 1])
    return project(points, intrinsics), float(focal / (joints[0, 2] + offset[2]))
