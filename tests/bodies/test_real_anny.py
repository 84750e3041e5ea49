"""The exported body against the anny package itself (a minute the first time, then seconds)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from meshpose_plugins.bodies import load_body
from meshpose_plugins.bodies.motion import sample_pose


@pytest.fixture(scope="module")
def anny_model():
    anny = pytest.importorskip("anny", reason="compares with the anny package: pip install anny")
    return anny.Anny(topology="notoes", skinning_method="lbs", pose_parameterization="local-ref").double()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["random", "natural"])
def test_agrees_within_a_millimetre(anny_model, kind):
    import torch

    body, rng = load_body("anny"), np.random.default_rng(11)
    if kind == "random":
        shapes = rng.random((6, 6))
        rotations = Rotation.from_rotvec(rng.normal(0, 0.3, (6 * 104, 3))).as_matrix().reshape(6, 104, 3, 3)
    else:
        shapes = np.array([body.sample_shape(rng) for _ in range(6)], np.float64)
        rotations = sample_pose(body, rng, 6).astype(np.float64)
    poses = torch.eye(4, dtype=torch.float64).repeat(6, 104, 1, 1)
    poses[:, :, :3, :3] = torch.from_numpy(rotations)
    with torch.no_grad():
        truth = anny_model(pose_parameters=poses, phenotype_kwargs=torch.from_numpy(shapes))[
            "vertices"
        ].numpy()
    error = np.linalg.norm(body.pose(shapes, rotations).vertices - truth, axis=-1)
    assert error.mean() < 0.5e-3
    assert error.mean(axis=1).max() < 1e-3


@pytest.mark.filterwarnings("ignore")
def test_same_faces_and_rest_vertices(anny_model):
    body = load_body("anny")
    np.testing.assert_array_equal(body.faces, anny_model.faces.numpy())
    np.testing.assert_allclose(body.vertices, anny_model.template_vertices.numpy(), atol=1e-7)
