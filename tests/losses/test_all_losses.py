"""What holds for every loss: gradients, no labels, validity per sample, extremes, autocast, criterion."""
from dataclasses import replace

import pytest
import torch
from torch import nn

from meshpose_plugins.losses import (BarycentricLoss, EdgeLengthLoss, FaceNormalLoss, JointLoss,
                                     MeshPoseCriterion, MeshPoseTargets, SilhouetteLoss, UVConsistencyLoss,
                                     VertexHeatmapLoss, VertexLoss, VisibilityLoss)
from meshpose_plugins.losses.uv_consistency import interpolate_points
from meshpose_plugins.modeling import (MeshPoseNetwork, MeshPoseOutput, RegressionBranch, VertexPoseBranch,
                                       VisibilityFusion, soft_argmax_2d)

EDGES = [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 0], [1, 4]]
FACES = [[0, 1, 2], [0, 2, 3], [0, 3, 4], [1, 5, 2], [2, 5, 4], [3, 2, 4], [0, 4, 5], [0, 5, 1]]
JOINTS = [[0.5, 0.5, 0, 0, 0, 0], [0, 0, 1.2, -0.2, 0, 0], [0, 0, 0, 0.4, 0.3, 0.3], [0, 0, 0, 0, 0, 1]]
LOSSES = {
    "barycentric": BarycentricLoss(), "uv": UVConsistencyLoss(), "visibility": VisibilityLoss(),
    "fused": VertexLoss(z_weight=0.5), "regressed": VertexLoss(which="regressed"),
    "vertexpose": VertexLoss(which="vertexpose"), "fused_height": VertexLoss(unit="height", least_height=2),
    "edges": EdgeLengthLoss(EDGES),
    "edges_regressed": EdgeLengthLoss(EDGES, which="regressed", z_weight=0.5), "heatmap": VertexHeatmapLoss(),
    "normals": FaceNormalLoss(FACES),
    "normals_regressed": FaceNormalLoss(FACES, which="regressed", z_weight=0.5),
    "keypoints": JointLoss("keypoints", JOINTS), "keypoints_vertexpose": JointLoss(
        "keypoints", JOINTS, which="vertexpose", weights=[1, 2, 0, 0.5]),
    "joints": JointLoss("joints", JOINTS, z_weight=0.5), "mesh_joints": JointLoss("mesh", JOINTS),
    "mesh_joints_regressed": JointLoss("mesh", JOINTS, which="regressed"),
    "silhouette": SilhouetteLoss(FACES), "silhouette_sharp": SilhouetteLoss(
        FACES, which="regressed", softness=0)}


def assemble(heatmaps, xyz_regressed, visibility_logits):
    """Everything that a network derives from its three raw predictions."""
    xy = soft_argmax_2d(heatmaps)
    xyz_crop = VisibilityFusion()(4 * xy, xyz_regressed, visibility_logits)
    return MeshPoseOutput(heatmaps, xy, xyz_regressed, visibility_logits, xyz_crop)


def leaves_of(output):
    return output.heatmaps, output.xyz_regressed, output.visibility_logits


every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@every_loss
def test_gradcheck(loss, output, targets):
    def evaluate(*leaves):
        return loss.from_output(assemble(*leaves), targets)

    # fast_mode compares random projections of the whole Jacobian
    assert torch.autograd.gradcheck(evaluate, leaves_of(output), fast_mode=True)


@every_loss
def test_no_label_costs_zero_and_keeps_the_graph(loss, output):
    value = loss.from_output(output, MeshPoseTargets.empty(3, 5, 6, (24, 32)))  # and masks etc. of None
    assert value.item() == 0 and value.requires_grad
    gradients = torch.autograd.grad(value, leaves_of(output), allow_unused=True)
    assert any(gradient is not None for gradient in gradients)
    assert all(gradient is None or (gradient == 0).all() for gradient in gradients)


@every_loss
def test_an_invalid_sample_changes_nothing(loss, output, targets, with_invalid_sample):
    expected, value = loss.from_output(output, targets), loss.from_output(*with_invalid_sample)
    assert expected.item() > 0
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-12)
    leaves = leaves_of(output)
    for have, want in zip(torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True),
                          torch.autograd.grad(expected, leaves, allow_unused=True)):
        if want is not None:
            torch.testing.assert_close(have, want, rtol=0, atol=1e-12)


@every_loss
@pytest.mark.parametrize("scale", [0.0, 1e6])
def test_extreme_predictions_stay_finite(loss, output, targets, scale):
    leaves = [(scale * leaf.detach().float()).requires_grad_() for leaf in leaves_of(output)]
    value = loss.from_output(assemble(*leaves), targets.to(torch.float32))
    value.backward()
    assert torch.isfinite(value)
    assert all(leaf.grad is None or torch.isfinite(leaf.grad).all() for leaf in leaves)


def make_network(channels, hidden_channels, num_bins):
    torch.manual_seed(0)
    regression = RegressionBranch(channels, 6, (24, 32), hidden_channels, num_bins)
    return MeshPoseNetwork(VertexPoseBranch(channels, 6), regression, VisibilityFusion()).train()


@pytest.fixture
def network():
    return make_network(16, 4, 8)


def test_without_labels_every_parameter_gets_a_gradient(network):
    criterion = MeshPoseCriterion(LOSSES)
    values = criterion(network(torch.randn(3, 16, 8, 6)), MeshPoseTargets.empty(3, 5, 6, (24, 32)))
    sum(values.values()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and (parameter.grad == 0).all(), name


def test_autocast_bfloat16_stays_near_float32(network, targets):
    criterion, feature = MeshPoseCriterion(LOSSES), torch.randn(3, 16, 8, 6)
    targets = targets.to(torch.float32)
    expected = criterion(network(feature), targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = criterion(network(feature), targets)
        sum(values.values()).backward()
    for name, value in values.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected[name], rtol=0.02, atol=0.02)
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def test_criterion_weights_every_loss(output, targets):
    criterion = MeshPoseCriterion({"a": VisibilityLoss(), "b": VisibilityLoss(loss_weight=0.25)})
    values = criterion(output, targets)
    torch.testing.assert_close(values["b"], 0.25 * values["a"])
    assert list(values) == ["a", "b"]


def test_training_fits_a_batch(targets):
    vertices = targets.vertices.clamp(min=torch.tensor([0.0, 0, 0])).minimum(torch.tensor([20.0, 28, 10]))
    vertices[:, 0, 0] = -20  # one vertex outside the crop, in no triangle
    ids = targets.point_vertex_ids.clamp(min=1)
    points = interpolate_points(vertices[..., :2], ids, targets.point_barycentrics)
    targets = replace(targets, vertices=vertices, points_xy=points, point_vertex_ids=ids,
                      vertices_valid=torch.ones(3, 6, dtype=torch.bool)).to(torch.float32)
    network = make_network(48, 8, 16)
    feature = torch.randn(3, 48, 8, 6)
    # Without edge lengths (a mesh of random edges has wrong, mirrored shapes of nearly the right lengths),
    # and without labels that contradict this mesh.
    names = ("barycentric", "uv", "visibility", "fused", "regressed", "vertexpose", "heatmap", "mesh_joints")
    criterion = MeshPoseCriterion({name: LOSSES[name] for name in names})
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    history = []
    for _ in range(60):
        values = criterion(network(feature), targets)
        history.append({name: value.item() for name, value in values.items()})
        optimizer.zero_grad()
        sum(values.values()).backward()
        optimizer.step()
    for name in ("uv", "fused", "regressed", "vertexpose", "visibility", "mesh_joints"):
        assert history[-1][name] < 0.2 * history[0][name], name


def test_criterion_errors(output, targets):
    with pytest.raises(ValueError, match=r"losses\['x'\] is a Linear"):
        MeshPoseCriterion({"x": nn.Linear(1, 1)})
    with pytest.raises(ValueError, match="predictions of 2 crops, targets of 3"):
        MeshPoseCriterion(LOSSES)(output[:2], targets)
