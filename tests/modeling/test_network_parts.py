"""Branches, fusion, network and output: sizes, initial predictions, gradients, export, autocast."""
import pytest
import torch
from torch import nn

from meshpose_plugins.modeling import (BinnedRegressor, MeshPoseNetwork, MeshPoseOutput, RegressionBranch,
                                       VertexPoseBranch, VisibilityFusion)


def small_network(vertices=7, channels=6, **options):
    torch.manual_seed(0)
    options = {"hidden_channels": 4, "num_bins": 5, **options}
    return MeshPoseNetwork(VertexPoseBranch(channels, vertices),
                           RegressionBranch(channels, vertices, (24, 32), **options), VisibilityFusion())


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_reference_size_is_four_nets_and_one_convolution():
    vertexpose, regression = VertexPoseBranch(256, 518), RegressionBranch(256, 518, (288, 384))
    hidden = 256 * 64
    one_net = (256 * hidden + hidden) + 2 * hidden + (256 * 518 + 518)
    assert parameters(vertexpose) == 256 * 518 + 518
    assert parameters(regression) == 4 * one_net == 17_506_328
    assert regression.nets["x"].expand.weight.shape == (16384, 256, 1)
    assert regression.nets["x"].project.weight.shape == (518, 256, 1)


def test_initial_predictions_lie_in_the_middle():
    network = small_network(64, 32, hidden_channels=16, num_bins=32).train()
    output = network(torch.randn(8, 32, 8, 6).relu())
    middle = torch.tensor([12.0, 16.0, 0.0])
    assert (output.xyz_regressed - middle).abs().max() < 2
    assert (output.xy_vertexpose - torch.tensor([2.5, 3.5])).abs().max() < 1
    assert (output.visibility - 0.5).abs().max() < 0.05


@pytest.mark.parametrize("last", [False, True])
def test_ranges_are_reached_by_the_first_and_the_last_bin(last):
    branch = RegressionBranch(3, 2, (24, 32), hidden_channels=1, num_bins=4, z_range=(-10, 30)).eval()
    for net in branch.nets.values():  # a hidden feature that is large in one bin only
        nn.init.zeros_(net.expand.weight)
        nn.init.ones_(net.project.weight)
        with torch.no_grad():
            net.expand.bias.zero_()[-1 if last else 0] = 1e3
    xyz, _ = branch(torch.zeros(1, 3, 2, 2))
    expected = torch.tensor([48.0, 64.0, 30.0] if last else [-24.0, -32.0, -10.0])
    torch.testing.assert_close(xyz, expected.expand(1, 2, 3))


def test_visibility_is_the_mean_over_bins():
    net = BinnedRegressor(6, 5, hidden_channels=4, num_bins=3).double().train()
    vector = torch.randn(4, 6, dtype=torch.float64)
    torch.testing.assert_close(net.mean_logit(vector), net(vector).mean(-1), rtol=0, atol=1e-12)


def test_regression_agrees_with_loops():
    branch = RegressionBranch(3, 4, (24, 32), hidden_channels=4, num_bins=5, pool_size=(2, 1)).double().eval()
    feature = torch.randn(2, 3, 4, 3, dtype=torch.float64)
    xyz, logits = branch(feature)
    for sample in range(2):
        rows = feature[sample].reshape(3, 2, 2, 3).mean((2, 3)).flatten()  # channel, then half
        for axis, (name, first, last) in enumerate([("x", -24, 48), ("y", -32, 64), ("z", -48, 48)]):
            net = branch.nets[name]
            hidden = (net.expand.weight[..., 0] @ rows + net.expand.bias) / (1 + net.norm.eps) ** 0.5
            for vertex in range(4):
                bins = [sum(net.project.weight[vertex, channel, 0] * hidden[channel * 5 + index].clamp(min=0)
                            for channel in range(4)) + net.project.bias[vertex] for index in range(5)]
                weights = torch.stack(bins).softmax(0)
                expected = sum(weights[k] * (first + (last - first) * k / 4) for k in range(5))
                assert xyz[sample, vertex, axis].item() == pytest.approx(expected.item(), abs=1e-10)


def test_regression_gradcheck():
    branch = RegressionBranch(3, 4, (24, 32), hidden_channels=2, num_bins=3, reduce_channels=2,
                              pool_size=(2, 2)).double().eval()
    feature = torch.randn(2, 3, 4, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(branch, (feature,))


def test_reduced_map_is_pooled_and_flattened():
    branch = RegressionBranch(20, 4, (96, 128), hidden_channels=3, num_bins=4, pool_size=(4, 3),
                              reduce_channels=2)
    assert branch.nets["z"].expand.in_channels == 2 * 4 * 3
    xyz, logits = branch(torch.randn(2, 20, 4, 3))
    assert xyz.shape == (2, 4, 3) and logits.shape == (2, 4)


def test_lifted_positions_reach_the_regression_and_no_gradient_flows_back():
    branch = RegressionBranch(3, 4, (24, 32), hidden_channels=4, num_bins=5, lift_channels=6).eval()
    assert branch.nets["z"].expand.in_channels == 3 + 6
    feature, xy = torch.randn(2, 3, 4, 4), (24 * torch.rand(2, 4, 2)).requires_grad_()
    xyz, _ = branch(feature, xy)
    moved, _ = branch(feature, xy + 5)
    assert not torch.allclose(xyz, moved)
    assert torch.autograd.grad(xyz.sum(), xy, allow_unused=True) == (None,)
    with pytest.raises(ValueError, match="needs xy_vertexpose"):
        branch(feature)


def test_network_gives_the_regression_crop_px():
    network = small_network(lift_channels=6).eval()
    output = network(torch.ones(2, 6, 8, 6))
    xyz, _ = network.regression(torch.ones(2, 6, 8, 6), 4 * output.xy_vertexpose)
    torch.testing.assert_close(output.xyz_regressed, xyz)


def test_half_precision_model():
    network = small_network(lift_channels=6, reduce_channels=4).to(torch.bfloat16).eval()
    assert torch.isfinite(network(torch.randn(2, 6, 8, 6).to(torch.bfloat16)).xyz_crop).all()


def test_fusion_formula_and_gradcheck():
    xy, xyz, logits = (torch.randn(*shape, dtype=torch.float64).requires_grad_()
                       for shape in [(2, 3, 2), (2, 3, 3), (2, 3)])
    fused = VisibilityFusion()(xy, xyz, logits)
    weight = (1 / (1 + (-logits).exp()))[..., None]
    torch.testing.assert_close(fused[..., :2], weight * xy + (1 - weight) * xyz[..., :2])
    torch.testing.assert_close(fused[..., 2], xyz[..., 2])
    assert torch.autograd.gradcheck(VisibilityFusion(), (xy, xyz, logits))


@pytest.mark.parametrize("mode", ["vertexpose", "regressed"])
def test_a_branch_alone_is_one_end_of_the_fusion(mode):
    leaves = [torch.randn(2, 5, size, dtype=torch.float64).requires_grad_() for size in (2, 3)]
    leaves.append(torch.randn(2, 5, dtype=torch.float64).requires_grad_())
    certain = torch.full((2, 5), 100.0 if mode == "vertexpose" else -800.0, dtype=torch.float64)
    fused = VisibilityFusion(mode)(*leaves)
    torch.testing.assert_close(fused, VisibilityFusion()(*leaves[:2], certain))
    gradients = torch.autograd.grad(fused[..., :2].sum(), leaves)  # every branch stays in the graph
    assert [bool((gradient != 0).any()) for gradient in gradients] == [
        mode == "vertexpose", mode == "regressed", False]
    with pytest.raises(ValueError, match="mode='mesh': expected one of 'fused', 'vertexpose', 'regressed'"):
        VisibilityFusion("mesh")


def test_training_and_evaluation_paths_agree():
    network = small_network().eval()
    feature = torch.randn(3, 6, 8, 6)
    plain = network(feature)
    network.vertexpose.train()
    fast = network(feature)
    assert plain.heatmap_logsumexp is None
    torch.testing.assert_close(fast.heatmap_logsumexp, (10 * plain.heatmaps).flatten(2).logsumexp(-1))
    torch.testing.assert_close(fast.xyz_crop, plain.xyz_crop)


def test_regression_may_read_another_map():
    network = MeshPoseNetwork(VertexPoseBranch(6, 5), RegressionBranch(9, 5, (24, 32), 4, 5),
                              VisibilityFusion(), stride=2)
    output = network(torch.randn(2, 6, 8, 6), torch.randn(2, 9, 2, 2))
    assert output.heatmaps.shape == (2, 5, 8, 6) and output.xyz_crop.shape == (2, 5, 3) and output.stride == 2
    weight = output.visibility[..., None]
    expected = weight * 2 * output.xy_vertexpose + (1 - weight) * output.xyz_regressed[..., :2]
    torch.testing.assert_close(output.xyz_crop[..., :2], expected)


class TensorsOnly(nn.Module):
    """A network whose result is a tuple, for exporters."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, feature):
        output = self.network(feature)
        return output.xyz_crop, output.visibility_logits, output.heatmaps


@pytest.mark.parametrize("options", [{}, {"reduce_channels": 3, "pool_size": (4, 3), "lift_channels": 6}])
def test_export(options):
    module = TensorsOnly(small_network(**options)).eval()
    feature = torch.randn(2, 6, 8, 6)
    exported = torch.export.export(module, (feature,)).module()
    other = torch.randn(2, 6, 8, 6)
    for inputs in (feature, other):
        torch.testing.assert_close(exported(inputs), module(inputs))


@pytest.mark.parametrize("options", [{}, {"reduce_channels": 3, "lift_channels": 6}])
def test_training_step_under_bfloat16_autocast(options):
    network = small_network(**options).train()
    feature = torch.randn(4, 6, 8, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(feature)
        output.xyz_crop.sum().backward()
    assert output.heatmaps.dtype == torch.bfloat16
    assert {output.xy_vertexpose.dtype, output.xyz_regressed.dtype, output.xyz_crop.dtype} == {torch.float32}
    torch.testing.assert_close(output.xyz_crop, network(feature).xyz_crop, rtol=0, atol=0.5)
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def test_output_is_indexed_moved_and_detached():
    output = small_network().train()(torch.randn(3, 6, 8, 6))
    assert len(output) == 3 and len(output[1]) == 1 and len(output[torch.tensor([True, False, True])]) == 2
    torch.testing.assert_close(output[-1].xyz_crop, output.xyz_crop[2:])
    torch.testing.assert_close(output[1:].heatmap_logsumexp, output.heatmap_logsumexp[1:])
    with pytest.raises(IndexError, match="crop 3 of a MeshPoseOutput of 3 crops"):
        output[3]
    moved = output.detach().to(torch.float64)
    assert isinstance(moved, MeshPoseOutput) and moved.heatmaps.dtype == torch.float64
    assert not moved.xyz_crop.requires_grad and output.xyz_crop.requires_grad and moved.stride == 4


@pytest.mark.parametrize("build, message", [
    (lambda: VertexPoseBranch(4, 3)(torch.zeros(2, 5, 4, 4)), r"in_channels=4.*\(2, 5, 4, 4\)"),
    (lambda: RegressionBranch(4, 3, (24, 32))(torch.zeros(2, 4)), r"in_channels=4.*\(2, 4\)"),
    (lambda: RegressionBranch(4, 3, (24, 32), 2, 4).train()(torch.zeros(1, 4, 2, 2)), "drop_last=True"),
    (lambda: RegressionBranch(4, 3, (24, 32), num_bins=1), "num_bins=1"),
    (lambda: RegressionBranch(4, 3, (24, 32), x_range=(5, -5)), r"x_range=\(5, -5\)"),
    (lambda: MeshPoseNetwork(VertexPoseBranch(4, 3), RegressionBranch(4, 5, (24, 32), 2, 4), nn.Identity()),
     "vertexpose.num_vertices=3 and regression.num_vertices=5")])
def test_errors_name_the_option_and_the_value(build, message):
    with pytest.raises(ValueError, match=message):
        build()
