"""Writes anny_golden.npz: eight bodies posed by the anny package, the truth for test_anny_body.py.

Run where anny is installed: python tests/bodies/make_anny_golden.py
"""

from __future__ import annotations

from pathlib import Path

import anny
import numpy as np
import roma
import torch

COUNT = 8


def main() -> None:
    rng = np.random.default_rng(2024)
    model = anny.Anny(topology="notoes", skinning_method="lbs", pose_parameterization="local-ref")
    shapes = rng.random((COUNT, 6))
    rotation_vectors = rng.normal(0, 0.25, (COUNT, model.bone_count, 3)).astype(np.float32)
    poses = torch.eye(4, dtype=torch.float64).repeat(COUNT, model.bone_count, 1, 1)
    poses[:, :, :3, :3] = roma.rotvec_to_rotmat(torch.from_numpy(rotation_vectors).double())
    with torch.no_grad():
        output = model.double()(pose_parameters=poses, phenotype_kwargs=torch.from_numpy(shapes))
    vertex_ids = np.arange(0, len(model.template_vertices), 31)
    np.savez_compressed(
        Path(__file__).with_name("anny_golden.npz"),
        version=anny.__version__ if hasattr(anny, "__version__") else "0.6.2",
        shapes=shapes,
        rotation_vectors=rotation_vectors,
        vertex_ids=vertex_ids,
        vertices=output["vertices"][:, vertex_ids].numpy().astype(np.float32),
        joints=output["bone_poses"][:, :, :3, 3].numpy().astype(np.float32),
        joint_names=np.array(model.bone_labels),
        face_checksum=np.int64((model.faces.numpy() * np.array([1, 7, 49])).sum()),
    )


if __name__ == "__main__":
    main()
