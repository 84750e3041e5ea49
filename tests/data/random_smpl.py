"""A model file with SMPL's fields and sizes, and random content; a template on it."""
import dataclasses

import numpy as np

from meshpose_plugins.templates import load_template

VERTICES, JOINTS = 6890, 24
PARENTS = [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]


def write_smpl(path, seed=0, **changes):
    """Write an .npz whose body is about 1.7 m tall; returns its arrays."""
    rng = np.random.default_rng(seed)
    template = rng.normal(0, [0.15, 0.5, 0.1], (VERTICES, 3)).astype(np.float32)
    regressor = np.zeros((JOINTS, VERTICES), np.float32)
    regressor[np.arange(JOINTS)[:, None], rng.integers(0, VERTICES, (JOINTS, 4))] = 0.25
    regressor /= regressor.sum(1, keepdims=True)
    parents = np.array(PARENTS, np.int64)
    arrays = dict(
        v_template=template,
        f=rng.integers(0, VERTICES, (13776, 3)),
        shapedirs=rng.normal(0, 0.01, (VERTICES, 3, 10)).astype(np.float32),
        posedirs=np.zeros((VERTICES, 3, 207), np.float32),
        J_regressor=regressor,
        weights=np.eye(JOINTS, dtype=np.float32)[rng.integers(0, JOINTS, VERTICES)],
        kintree_table=np.stack([parents, np.arange(JOINTS)]),
    )
    arrays.update(changes)
    np.savez(path, **arrays)
    return arrays


def smpl_template():
    """The template 'anny', said to be on random vertices of 'smpl': good for arithmetic, not for looks."""
    anny = load_template('anny')
    ids = np.random.default_rng(1).choice(VERTICES, anny.num_vertices, replace=False)
    return dataclasses.replace(anny, name='random-smpl', body='smpl', source_vertex_ids=ids)
