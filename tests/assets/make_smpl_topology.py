"""Write smpl_topology.npz, the small test asset in the vertex order of SMPL, from files of the MHR project.

    python tests/assets/make_smpl_topology.py FOLDER

FOLDER holds MHR's conversion assets and example outputs (Apache-2.0): mhr_face_mask.ply, mhr2smpl_mapping.npz
and img_subj00.npz to img_subj03.npz. Nothing of SMPL itself is used.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import trimesh

#: Positions are kept as 16-bit multiples of this, metres.
STEP = 1e-4
#: Keypoints of the example outputs that stand for joints, by their position among the 70.
KEYPOINTS = {
    'nose': 0,
    'left_shoulder': 5,
    'right_shoulder': 6,
    'left_elbow': 7,
    'right_elbow': 8,
    'left_hip': 9,
    'right_hip': 10,
    'left_knee': 11,
    'right_knee': 12,
    'left_ankle': 13,
    'right_ankle': 14,
    'left_toe': 15,
    'right_toe': 18,
    'right_wrist': 41,
    'left_wrist': 62,
    'neck': 69,
}


def main(folder: Path) -> None:
    mesh = trimesh.load(folder / 'mhr_face_mask.ply', process=False)
    with np.load(folder / 'mhr2smpl_mapping.npz', allow_pickle=False) as mapping:
        corners = np.asarray(mesh.faces)[mapping['triangle_ids']]
        barycentrics = mapping['baryc_coords']

    def convert(vertices: np.ndarray) -> np.ndarray:
        return np.einsum('nk,nkd->nd', barycentrics, vertices[corners])

    template = convert(np.asarray(mesh.vertices) / 100)
    people, keypoints = [], []
    for path in sorted(folder.glob('img_subj*.npz')):
        with np.load(path, allow_pickle=False) as person:
            points = person['pred_keypoints_3d'][list(KEYPOINTS.values())]
            vertices = convert(person['pred_vertices'])
        center = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
        turn = np.array([1, -1, -1])  # from camera axes to Y up
        people.append((vertices - center) * turn)
        keypoints.append((points - center) * turn)
    np.savez_compressed(
        Path(__file__).with_name('smpl_topology.npz'),
        step=np.float64(STEP),
        template=np.rint(template / STEP).astype(np.int16),
        people=np.rint(np.array(people) / STEP).astype(np.int16),
        keypoints=np.array(keypoints, np.float32),
        keypoint_names=np.array(list(KEYPOINTS)),
    )


if __name__ == '__main__':
    main(Path(sys.argv[1]))
