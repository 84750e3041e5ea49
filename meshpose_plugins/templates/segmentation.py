"""Cut a rigged body surface into the 24 DensePose parts, each a disk, exactly left-right symmetric."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_matrix

from .mesh_topology import (
    adjacency_matrix,
    boundary_loops,
    component_labels,
    face_adjacency,
    face_normals,
    face_permutation,
    unique_edges,
)
from .parts import MIRROR_PARTS, NUM_PARTS, PART_NAMES

#: Parts of each body segment on the left side and in the middle: (whole,) or (back, front).
LEFT_SEGMENT_PARTS = {
    'torso': (1, 2),
    'head': (24,),
    'left_hand': (4,),
    'left_foot': (5,),
    'left_upper_leg': (8, 10),
    'left_lower_leg': (12, 14),
    'left_upper_arm': (17, 15),
    'left_lower_arm': (21, 19),
}
SEGMENT_NAMES = tuple(LEFT_SEGMENT_PARTS) + tuple(
    name.replace('left', 'right') for name in LEFT_SEGMENT_PARTS if name.startswith('left')
)

#: Body segment of a joint of MakeHuman's rig, by the beginning of its name; all others belong to the torso.
_SEGMENT_PREFIXES = (
    ('toe', 'foot'),
    ('foot', 'foot'),
    ('lowerleg', 'lower_leg'),
    ('upperleg', 'upper_leg'),
    ('finger', 'hand'),
    ('metacarpal', 'hand'),
    ('wrist', 'hand'),
    ('lowerarm', 'lower_arm'),
    ('upperarm', 'upper_arm'),
    ('neck02', 'head'),
    ('neck03', 'head'),
    ('head', 'head'),
    ('eye', 'head'),
)
#: Body segment of a joint of the SMPL family by its name without side; all others belong to the torso.
_SMPL_SEGMENTS = {
    'hip': 'upper_leg',
    'knee': 'lower_leg',
    'ankle': 'foot',
    'foot': 'foot',
    'shoulder': 'upper_arm',
    'elbow': 'lower_arm',
    'wrist': 'hand',
    'hand': 'hand',
    'collar': 'torso',
    'eye_smplhf': 'head',
}
#: Body segment of a joint of MHR's rig, by the beginning of its name without side; all others of one side are
#: fingers, all others in the middle belong to the head.
_MHR_SEGMENTS = (
    ('upleg', 'upper_leg'),
    ('lowleg', 'lower_leg'),
    *((name, 'foot') for name in ('foot', 'talocrural', 'subtalar', 'transversetarsal', 'ball')),
    ('uparm', 'upper_arm'),
    ('lowarm', 'lower_arm'),
    ('clavicle', 'torso'),
    ('spine', 'torso'),
    ('eye', 'head'),
)


def segment_of_joint(name: str) -> str:
    """Body segment ('torso', 'left_hand', ...) of the skin of a joint of MakeHuman's, SMPL's or MHR's rig."""
    side, _, stem = name.partition('_')
    if side in ('l', 'r', 'c'):
        found = [segment for prefix, segment in _MHR_SEGMENTS if stem.startswith(prefix)]
        segment = found[0] if found else 'head' if side == 'c' else 'hand'
        side = {'l': 'left_', 'r': 'right_'}.get(side, '')
        return segment if segment in ('head', 'torso') else side + segment
    if side in ('left', 'right'):
        segment = _SMPL_SEGMENTS.get(stem, 'hand')  # what is left are fingers
        return segment if segment in ('head', 'torso') else f'{side}_{segment}'
    if name in ('neck', 'jaw'):
        return 'head'
    stem, _, side = name.partition('.')
    side = {'L': 'left_', 'R': 'right_'}.get(side, '')
    for prefix, segment in _SEGMENT_PREFIXES:
        if stem.startswith(prefix):
            return segment if segment == 'head' else side + segment
    return 'torso'


#: Segments that share a border on the body; a hand and the thigh beside it do not.
_NEIGHBOURS = (
    ('torso', 'head'),
    *(
        (f'{side}_{a}' if a != 'torso' else a, f'{side}_{b}')
        for side in ('left', 'right')
        for a, b in (
            ('torso', 'upper_arm'),
            ('upper_arm', 'lower_arm'),
            ('lower_arm', 'hand'),
            ('torso', 'upper_leg'),
            ('upper_leg', 'lower_leg'),
            ('lower_leg', 'foot'),
        )
    ),
)


def adjacent_segments(segment: int) -> list[int]:
    """Indices of a body segment, by its index in ``SEGMENT_NAMES``, and of those that touch it."""
    name = SEGMENT_NAMES[segment]
    found = [name] + [b if a == name else a for a, b in _NEIGHBOURS if name in (a, b)]
    return [SEGMENT_NAMES.index(other) for other in found]


def vertex_segments(
    skinning: np.ndarray, joint_names: tuple[str, ...], segment_of_joint: Callable[[str], str]
) -> np.ndarray:
    """(N,) body segment of each vertex, as an index into ``SEGMENT_NAMES``: where most of its skin weight is.

    Args:
        skinning: (N, J) skin weights.
        joint_names: J names.
        segment_of_joint: Maps a joint name to one of ``SEGMENT_NAMES``.
    """
    groups = np.zeros((len(joint_names), len(SEGMENT_NAMES)))
    for joint, name in enumerate(joint_names):
        groups[joint, SEGMENT_NAMES.index(segment_of_joint(name))] = 1
    return np.argmax(skinning @ groups, axis=1)


def segment_surface(
    vertices: np.ndarray,
    faces: np.ndarray,
    skinning: csr_matrix,
    joint_names: tuple[str, ...],
    segment_of_joint: Callable[[str], str],
    symmetry: np.ndarray,
    front: tuple[float, float, float] = (0, -1, 0),
) -> np.ndarray:
    """Assign a DensePose part to every face of a body in a rest pose with hanging or spread limbs.

    Faces go to the body segment with the largest smoothed skinning weight; torso, legs and arms are split
    where their smoothed normals turn from front to back, the head at x = 0. The left half decides; the right
    one mirrors it.

    Args:
        vertices: (N, 3) rest positions, +x the body's left.
        faces: (F, 3) vertex ids.
        skinning: (N, J) skinning weights.
        joint_names: J names.
        segment_of_joint: Maps a joint name to one of ``SEGMENT_NAMES``.
        symmetry: (N,) mirror partner of each vertex.
        front: Direction in which the body looks.

    Returns:
        (F,) parts 1 to 24.

    Raises:
        ValueError: If a part does not come out as a disk.
    """
    adjacency = adjacency_matrix(face_adjacency(faces), len(faces))
    mirror = face_permutation(faces, symmetry)
    left = vertices[faces].mean(axis=1)[:, 0] > 0

    groups = np.zeros((len(joint_names), len(SEGMENT_NAMES)))
    for joint, name in enumerate(joint_names):
        groups[joint, SEGMENT_NAMES.index(segment_of_joint(name))] = 1
    weights = (skinning @ groups)[faces].mean(axis=1)
    segment = np.argmax(_diffuse(weights, adjacency, steps=30, mobility=0.8), axis=1)

    parts = np.zeros(len(faces), int)
    facing = _diffuse(face_normals(vertices, faces) @ np.array(front, float)[:, None], adjacency, 40, 0.9)[
        :, 0
    ]
    for name, choices in LEFT_SEGMENT_PARTS.items():
        members = left & (segment == SEGMENT_NAMES.index(name))
        parts[members] = np.where(facing[members] > 0, choices[-1], choices[0])
    unassigned = left & (parts == 0)  # e.g. faces near x = 0 that belong to a right segment
    parts[unassigned] = 1 + (facing[unassigned] > 0)
    parts = _mirror(parts, left, mirror)
    for _ in range(20):
        cleaned = _mirror(_clean(parts, adjacency), left, mirror)
        if np.array_equal(cleaned, parts):
            break
        parts = cleaned
    for part in range(1, NUM_PARTS + 1):
        check_disk(faces[parts == part], PART_NAMES[part - 1])
    return parts


def check_disk(faces: np.ndarray, name: str) -> None:
    """Raise ValueError unless the faces form a topological disk."""
    if len(faces) == 0:
        raise ValueError(f"part '{name}' has no face")
    loops = boundary_loops(faces)
    euler = len(np.unique(faces)) - len(unique_edges(faces)) + len(faces)
    if len(loops) != 1 or euler != 1:
        raise ValueError(
            f"part '{name}' is no disk: {len(loops)} boundary curves, Euler characteristic {euler}"
        )


def _diffuse(values: np.ndarray, adjacency: csr_matrix, steps: int, mobility: float) -> np.ndarray:
    """Smooth (F, C) face values over neighbouring faces, always pulled back to where they started."""
    degree = np.asarray(adjacency.sum(axis=1))
    smoothed = values
    for _ in range(steps):
        smoothed = (1 - mobility) * values + mobility * (adjacency @ smoothed) / degree
    return smoothed


def _mirror(parts: np.ndarray, left: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Give right-hand faces the mirrored part of their left-hand partners."""
    mirrored = np.concatenate([[0], MIRROR_PARTS])[parts[mirror]]
    return np.where(left, parts, mirrored)


def _clean(parts: np.ndarray, adjacency: csr_matrix) -> np.ndarray:
    """Hand islands and single faces that stick out of their part's border over to the neighbouring part."""
    parts = parts.copy()
    neighbours = adjacency.indices.reshape(-1, 3)
    for part in range(1, NUM_PARTS + 1):
        members = np.flatnonzero(parts == part)
        if len(members) == 0:
            continue
        for face in members[component_labels(adjacency, members) > 0]:
            others = parts[neighbours[face]]
            if (others != part).any():
                parts[face] = np.bincount(others[others != part]).argmax()
    around = parts[neighbours]
    sticking_out = np.flatnonzero((around == parts[:, None]).sum(axis=1) <= 1)
    for face in sticking_out:
        others = parts[neighbours[face]]
        if (others == parts[face]).sum() <= 1:
            parts[face] = np.bincount(others).argmax()
    return parts
