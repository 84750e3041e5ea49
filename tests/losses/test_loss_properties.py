"""Targets, sampling, memory of the barycentric loss, ideal predictions, and errors."""
import math
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from meshpose_plugins.losses import (BarycentricLoss, EdgeLengthLoss, FaceNormalLoss, JointLoss,
                                     MeshPoseCriterion, MeshPoseTargets, SilhouetteLoss, UVConsistencyLoss,
                                     VertexHeatmapLoss, VertexLoss, VisibilityLoss)
from meshpose_plugins.losses.joints import symmetric_regressor
from meshpose_plugins.losses.sampling import bilinear_corners, sample_channels, sample_own_channel
from meshpose_plugins.losses.silhouette import mask_at_stride
from meshpose_plugins.templates import load_template


class LargestTensor(TorchDispatchMode):
    """Record the largest tensor that any operation allocates."""

    def __init__(self, *known):
        super().__init__()
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() not in self.known:
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize("size", [16, 64])
def test_barycentric_memory_does_not_grow_with_the_heatmaps(size):
    batch, vertices, points = 2, 40, 9
    heatmaps = torch.randn(batch, vertices, size, size).requires_grad_()
    ids = torch.randint(0, vertices, (batch, points, 3))
    arguments = (size * torch.rand(batch, points, 2) - 0.5, ids, torch.rand(batch, points, 3),
                 torch.ones(batch, points, dtype=torch.bool))
    saved = []
    with LargestTensor(heatmaps) as largest, torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: (saved.append(tensor), tensor)[1], lambda tensor: tensor):
        loss = BarycentricLoss()(heatmaps, *arguments)
    limit = batch * points * 4 * vertices
    assert largest.elements <= limit < heatmaps.numel()
    assert sum(tensor.numel() for tensor in saved) <= 4 * limit
    loss.backward()
    assert heatmaps.grad.abs().sum() > 0


def test_points_of_many_pieces_are_read_as_one(monkeypatch):
    heatmaps = torch.randn(3, 5, 6, 7, dtype=torch.float64).requires_grad_()
    xy = torch.rand(3, 50, 2, dtype=torch.float64) * torch.tensor([6.0, 5.0])
    positions, weights, _ = bilinear_corners(xy, 6, 7)
    sample = torch.arange(3).repeat_interleave(50)
    arguments = (sample, positions.flatten(0, 1), weights.flatten(0, 1))
    whole = sample_channels(heatmaps, *arguments)
    whole_gradient, = torch.autograd.grad(whole.square().sum(), heatmaps)
    monkeypatch.setattr("meshpose_plugins.losses.sampling._point_pieces",
                        lambda sample: [slice(start, start + 40) for start in range(0, 150, 40)])
    pieces = sample_channels(heatmaps, *arguments)
    pieces_gradient, = torch.autograd.grad(pieces.square().sum(), heatmaps)
    torch.testing.assert_close(pieces, whole)
    torch.testing.assert_close(pieces_gradient, whole_gradient)
    plain = heatmaps.flatten(2)[sample[:, None], :, arguments[1]].mul(arguments[2][..., None]).sum(1)
    torch.testing.assert_close(whole, plain)


def test_sampling_agrees_with_grid_sample():
    heatmaps = torch.randn(2, 5, 6, 7, dtype=torch.float64)
    xy = torch.rand(2, 5, 2, dtype=torch.float64) * torch.tensor([6.0, 5.0])
    positions, weights, inside = bilinear_corners(xy, 6, 7)
    grid = (2 * xy / torch.tensor([6.0, 5.0]) - 1)[:, None]
    expected = torch.nn.functional.grid_sample(heatmaps, grid, align_corners=True)[:, :, 0]
    assert inside.all()
    torch.testing.assert_close(sample_own_channel(heatmaps, positions, weights),
                               expected.diagonal(dim1=1, dim2=2))


def test_corners_at_the_borders():
    xy = torch.tensor([[0.0, 0.0], [6.0, 5.0], [6.01, 2.0], [-0.01, 2.0], [2.0, 5.5], [float("nan"), 1.0]])
    positions, weights, inside = bilinear_corners(xy, 6, 7)
    assert inside.tolist() == [True, True, False, False, False, False]
    assert positions.min() >= 0 and positions.max() < 42 and positions[1, 0] == 41
    torch.testing.assert_close(weights.sum(-1), torch.ones(6))


def test_the_true_mesh_costs_nothing(output, targets):
    xyz = targets.vertices
    for loss, predicted in [(VertexLoss(), xyz), (VertexLoss(which="vertexpose"), xyz[..., :2]),
                            (EdgeLengthLoss([[0, 1], [2, 3]]), xyz), (JointLoss("mesh", torch.eye(6)), xyz)]:
        assert loss(predicted, predicted.clone(), targets.vertices_valid).item() == 0
    corners = targets.point_vertex_ids[..., :1].expand(-1, -1, 2)
    points = (xyz[..., :2].gather(1, corners), targets.point_vertex_ids,
              torch.tensor([1.0, 0, 0], dtype=torch.float64).expand(3, 5, 3), targets.point_valid)
    assert UVConsistencyLoss()(xyz[..., :2], *points).item() == pytest.approx(0, abs=1e-12)


def test_edge_length_ignores_translation_and_a_collapsed_edge_has_a_finite_gradient():
    xyz = torch.randn(2, 4, 3, dtype=torch.float64)
    loss, valid = EdgeLengthLoss([[0, 1], [1, 2], [2, 3]]), torch.ones(2, 4, dtype=torch.bool)
    assert loss(xyz + 7, xyz, valid).item() == pytest.approx(0, abs=1e-12)
    collapsed = torch.zeros(2, 4, 3, dtype=torch.float64, requires_grad=True)
    loss(collapsed, xyz, valid).backward()
    assert torch.isfinite(collapsed.grad).all()


def test_normals_of_a_mirrored_a_larger_and_a_degenerate_face():
    triangle = torch.tensor([[[0.0, 0, 0], [2, 0, 0], [0, 2, 0]]], dtype=torch.float64)
    valid = torch.ones(1, 3, dtype=torch.bool)
    loss = FaceNormalLoss([[0, 1, 2]])
    for predicted, cost in ((triangle, 0), (5 * triangle + 3, 0), (triangle[:, [0, 2, 1]], 2),
                            (triangle[..., [2, 1, 0]], 1), (0.1 * triangle, 0.9)):
        # The last one has a hundredth of the area: it counts as a tenth of a normal.
        assert loss(predicted, triangle, valid).item() == pytest.approx(cost, abs=1e-9)
    collapsed = torch.zeros_like(triangle).requires_grad_()
    loss(collapsed + 1e-9 * triangle, triangle, valid).backward()
    assert torch.isfinite(collapsed.grad).all() and collapsed.grad.abs().max() < 10
    flat = torch.zeros_like(triangle)
    for predicted in (triangle, flat):
        leaf = predicted.clone().requires_grad_()
        value = loss(leaf, flat, valid)
        value.backward()
        assert value.item() == 0 and (leaf.grad == 0).all(), "a true face without an area says nothing"


def test_normals_count_by_area_and_people_alike():
    large, small = [[0.0, 0, 0], [4, 0, 0], [0, 4, 0]], [[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]
    truth = torch.tensor([large + small, large + small], dtype=torch.float64)
    predicted = truth.clone()
    predicted[0, 3:] = truth[0, [3, 5, 4]]  # the small one of the first person is mirrored
    loss = FaceNormalLoss([[0, 1, 2], [3, 4, 5]])
    valid = torch.ones(2, 6, dtype=torch.bool)
    assert loss(predicted, truth, valid).item() == pytest.approx(2 * (1 / 17) / 2)
    valid[1, 0] = False
    assert loss(predicted, truth, valid).item() == pytest.approx(2 * (1 / 17) / 2)
    valid[1] = False
    assert loss(predicted, truth, valid).item() == pytest.approx(2 * (1 / 17))


@pytest.mark.parametrize("kind, count", [("keypoints", 17), ("joints", 17)])
def test_named_regressors_are_symmetric(kind, count):
    template = load_template("anny")
    loss = JointLoss("mesh", kind, template="anny")
    assert loss.regressor.shape == (count, template.num_vertices)
    vertices = torch.tensor(template.vertices).double()[None]
    joints, mirrored = loss.regress(vertices)[0], loss.regress(template.mirror(vertices))[0]
    distances = torch.cdist(mirrored * torch.tensor([-1.0, 1, 1]), joints * torch.tensor([1.0, 1, 1]))
    assert distances.amin(1).max() < 2e-5
    stock = getattr(template, kind)(vertices)[0]
    assert 0 < (joints - stock).norm(dim=-1).max() < 0.01
    with pytest.raises(ValueError, match="joint 1 of the regressor has no left-right partner"):
        symmetric_regressor(torch.eye(3).numpy()[:, [0, 1, 2]][[0, 1]], torch.tensor(
            [[0.0, 0, 0], [1, 0, 0], [-1.5, 0, 0]]).numpy(), torch.tensor([0, 2, 1]).numpy())


def test_masks_at_heatmap_resolution_are_centred_on_the_heatmap_pixels():
    """A crop pixel 4 i is heatmap pixel i: the border of a half plane at crop px 9.5 cuts pixel 2."""
    mask = torch.zeros(1, 16, 24)
    mask[..., 10:] = 1
    small = mask_at_stride(mask, 4, (4, 6))
    # Crop px 6 to 10 around the centre 8: of 6 (half), 7, 8, 9 and 10 (half) the last one is inside.
    assert small[0, 1].tolist() == pytest.approx([0, 0, 0.125, 1, 1, 1])
    torch.testing.assert_close(mask_at_stride(torch.ones(2, 15, 9), 3, (5, 3)), torch.ones(2, 5, 3))
    assert mask_at_stride(small, 4, (4, 6)) is small
    with pytest.raises(ValueError, match=r"\(h, w\) = \(4, 6\) or 4 times it, got \(16, 20\)"):
        mask_at_stride(mask[..., :20], 4, (4, 6))


def test_losses_that_are_off_cost_nothing_and_keep_the_graph(output, targets):
    class Broken(VisibilityLoss):
        def from_output(self, output, targets):
            raise AssertionError("evaluated")

    criterion = MeshPoseCriterion({"a": VisibilityLoss(), "b": Broken(), "c": Broken(loss_weight=0)})
    criterion.active = ["a"]
    values = criterion(output, targets)
    assert values["a"] > 0 and values["b"] == 0 and values["c"] == 0
    for name in "bc":
        leaves = output.heatmaps, output.xyz_regressed, output.visibility_logits
        gradients = torch.autograd.grad(values[name], leaves, retain_graph=True)
        assert all((gradient == 0).all() for gradient in gradients)
    criterion.active = None
    with pytest.raises(AssertionError, match="evaluated"):
        criterion(output, targets)


def test_uv_terms_are_weighted(output, targets):
    fused = UVConsistencyLoss(fused_weight=1, vertexpose_weight=0).from_output(output, targets)
    alone = UVConsistencyLoss(fused_weight=0).from_output(output, targets)
    torch.testing.assert_close(UVConsistencyLoss(fused_weight=0.5).from_output(output, targets),
                               alone + 0.5 * fused)
    with pytest.raises(ValueError, match="both 0"):
        UVConsistencyLoss(fused_weight=0, vertexpose_weight=0)


def test_z_counts_by_its_weight():
    predicted, target = torch.tensor([[[0.0, 0.0, 9.0]]]), torch.zeros(1, 1, 3)
    valid = torch.ones(1, 1, dtype=torch.bool)
    assert VertexLoss(z_weight=0)(predicted, target, valid).item() == 0
    assert VertexLoss(z_weight=1)(predicted, target, valid).item() == pytest.approx(3)


def test_in_heights_a_person_twice_as_large_costs_the_same():
    target, valid = torch.rand(1, 5, 3) * torch.tensor([10.0, 40, 10]), torch.ones(1, 5, dtype=torch.bool)
    predicted, loss = target + torch.randn(1, 5, 3), VertexLoss(unit="height")
    cost = loss(predicted, target, valid)
    torch.testing.assert_close(loss(2 * predicted, 2 * target, valid), cost)
    # A lying person does not rule the batch: it counts as one of the least height.
    flat = target * torch.tensor([1.0, 0, 1])
    torch.testing.assert_close(loss(predicted, flat, valid), 100 / 8 * VertexLoss()(predicted, flat, valid))


def test_in_heights_what_the_crop_cuts_off_counts_in_the_height(output, targets):
    loss = VertexLoss(which="vertexpose", unit="height", least_height=1e-3)
    larger = targets.vertices.clone()
    outside = targets.vertices_valid & ~targets.vertices_in_crop()
    assert outside.any()
    larger[..., 1] = torch.where(outside, 1000 + larger[..., 1], larger[..., 1])
    assert loss.from_output(output, replace(targets, vertices=larger)) < 0.5 * loss.from_output(output, targets)


def test_visibility_is_balanced_per_image():
    logits = torch.tensor([[2.0, 2.0, 2.0, 2.0]])
    positive = torch.tensor([[True, False, False, False]])
    balanced = VisibilityLoss()(logits, positive, ~positive)
    one_positive, one_negative = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    assert balanced.item() == pytest.approx((one_positive + one_negative) / 2)


def test_a_positive_wins_over_a_negative():
    left, inside, below = [-50.0, 0, 0], [5.0, 5, 0], [0, 99.0, 0]
    targets = replace(MeshPoseTargets.empty(1, 1, 5, (24, 32)), point_vertex_ids=torch.tensor([[[0, 1, 2]]]),
                      point_valid=torch.tensor([[True]]),
                      vertices=torch.tensor([[left, left, inside, below, below]]),
                      vertices_valid=torch.tensor([[True, True, True, True, False]]))
    positive, negative = targets.visibility_labels()
    assert positive.tolist() == [[True, True, True, False, False]]
    assert negative.tolist() == [[False, False, False, True, False]]
    assert targets.vertices_in_crop().tolist() == [[False, False, True, False, False]]


def test_the_far_border_of_a_crop_lies_outside():
    vertices = torch.tensor([[[-0.5, -0.5, 0], [23.49, 31.49, 0], [23.5, 5, 0], [5, 31.5, 0]]])
    targets = replace(MeshPoseTargets.empty(1, 1, 4, (24, 32)), vertices=vertices,
                      vertices_valid=torch.ones(1, 4, dtype=torch.bool))
    assert targets.vertices_in_crop().tolist() == [[True, True, False, False]]
    assert targets.visibility_labels()[1].tolist() == [[False, False, True, True]]


def test_targets_are_indexed_and_moved(targets):
    assert len(targets) == 3 and len(targets[0]) == 1 and len(targets[1:]) == 2
    moved = targets.to(torch.float32)
    assert moved.vertices.dtype == torch.float32 and moved.point_vertex_ids.dtype == torch.int64
    assert moved.point_valid.dtype == torch.bool and moved.input_size == (24, 32)
    with pytest.raises(IndexError, match="crop 3 of MeshPoseTargets of 3 crops"):
        targets[3]


@pytest.mark.parametrize("build, message", [
    (lambda: FaceNormalLoss(), "FaceNormalLoss needs either faces=.* or template="),
    (lambda: FaceNormalLoss([[0, 1]]), r"faces must have the shape \(F, 3\), got \(1, 2\)"),
    (lambda: FaceNormalLoss([[0, 1, 2]], softness=0), r"softness must be in \(0, 1\], got 0"),
    (lambda: SilhouetteLoss([[0, 1, 2]], which="vertexpose"), "which='vertexpose': expected one of 'fused'"),
    (lambda: SilhouetteLoss([[0, 1, 2]], softness=-1), "softness must be at least 0, got -1"),
    (lambda: SilhouetteLoss([[0, 1, 2]])(torch.zeros(1, 3, 2), torch.zeros(2, 4, 4), torch.ones(2) > 0),
     r"xy must have the shape \(2, V, 2\), got \(1, 3, 2\)"),
    (lambda: JointLoss("skeleton", [[1.0]]), "target='skeleton': expected one of 'keypoints', 'joints'"),
    (lambda: JointLoss("mesh", "hands", "anny"), "regressor='hands': expected 'keypoints', 'joints' or a m"),
    (lambda: JointLoss("keypoints"), "regressor='keypoints' needs template='anny'"),
    (lambda: JointLoss("mesh", [[0.5, 0.5]], weights=[1, 1]),
     r"weights must have the shape \(1\), got \(2,\)"),
    (lambda: JointLoss("mesh", [[0.5, 0.5]], weights=[0]), "weights must be >= 0 and not all 0"),
    (lambda: JointLoss("keypoints", [[0.5, 0.5]])(
        torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), torch.ones(1, 2) > 0),
     r"valid must have the shape \(None, 1\), got \(1, 2\)"),
    (lambda: replace(MeshPoseTargets.empty(2, 1, 4, (8, 8)), person_mask=torch.zeros(2, 8, 8)),
     r"person_mask_valid must have the shape \(2,\), got None"),
    (lambda: replace(MeshPoseTargets.empty(2, 1, 4, (8, 8)), ignore_mask=torch.zeros(2, 8, 8)),
     "ignore_mask must have the shape that of a person_mask"),
    (lambda: replace(MeshPoseTargets.empty(2, 1, 4, (8, 8)), keypoints=torch.zeros(2, 3, 3)),
     r"keypoints must have the shape \(2, 3, 2\), got \(2, 3, 3\)"),
    (lambda: replace(MeshPoseTargets.empty(2, 1, 4, (8, 8)), joints_valid=torch.zeros(2, 3)),
     r"joints_valid must have the shape None, got \(2, 3\)"),
    (lambda: VertexLoss(which="mesh"), "which='mesh': expected one of 'fused', 'regressed', 'vertexpose'"),
    (lambda: VertexLoss(unit="m"), "unit='m': expected one of 'px', 'height'"),
    (lambda: VertexLoss(least_height=0), "least_height must be positive, got 0"),
    (lambda: VertexLoss(unit="height")(torch.zeros(2, 2, 3), torch.zeros(2, 2, 3), torch.ones(2, 2) > 0,
                                       torch.ones(2, 1)),
     r"height must have the shape \(2\), got \(2, 1\)"),
    (lambda: EdgeLengthLoss(), "edges=.* or template="),
    (lambda: EdgeLengthLoss([[0, 1, 2]]), r"edges must have the shape \(E, 2\), got \(1, 3\)"),
    (lambda: EdgeLengthLoss([[0, 1]], which="vertexpose"), "which='vertexpose'"),
    (lambda: VertexLoss()(torch.zeros(1, 2, 3), torch.zeros(1, 3, 3), torch.ones(1, 2, dtype=torch.bool)),
     r"target must have the shape \(1, 2, 3\), got \(1, 3, 3\)"),
    (lambda: VertexHeatmapLoss()(torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 2), torch.zeros(1, 2) > 0),
     r"heatmaps must have the shape \(1, 2, h, w\), got \(1, 3, 4, 4\)"),
    (lambda: MeshPoseTargets(torch.zeros(1, 2, 2), torch.zeros(1, 2, 3), torch.zeros(1, 3, 3),
                             torch.zeros(1, 2, dtype=torch.bool), torch.zeros(1, 4, 3),
                             torch.zeros(1, 4, dtype=torch.bool), (24, 32)),
     r"point_barycentrics must have the shape \(1, 2, 3\)")])
def test_errors_name_the_field_and_what_came_in(build, message):
    with pytest.raises(ValueError, match=message):
        build()
