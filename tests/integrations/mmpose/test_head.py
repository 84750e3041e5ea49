"""MeshPoseHead: composition, labels of data samples, flip test, templates of checkpoints."""
from __future__ import annotations

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

import meshpose_plugins.integrations.mmpose as plugin
from meshpose_plugins.templates import load_template
from meshpose_plugins.templates.identity import decode_template_id, encode_template_id
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

INPUT_SIZE = (48, 64)
LOSSES = dict(
    barycentric=dict(type="BarycentricLoss"), uv=dict(type="UVConsistencyLoss"),
    visibility=dict(type="VisibilityLoss"),
    fused=dict(type="VertexLoss", which="fused"), edge=dict(type="EdgeLengthLoss"),
    heatmap=dict(type="VertexHeatmapLoss"))


def build_head(**changes):
    init_default_scope("mmpose")
    cfg = dict(type="MeshPoseHead", in_channels=8, input_size=INPUT_SIZE, deconv_out_channels=None,
               losses=LOSSES, regression=dict(type="RegressionBranch", hidden_channels=4, num_bins=4))
    return MODELS.build(dict(cfg, **changes))


@pytest.fixture(scope="module")
def head():
    torch.manual_seed(0)
    head = build_head()
    for parameter in head.parameters():  # away from the nearly constant initial outputs
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return head


def labelled_sample(num_vertices: int, points: int, mesh: bool) -> PoseDataSample:
    sample, labels = PoseDataSample(), InstanceData()
    if points:
        labels.points_xy = torch.rand(1, points, 2) * 40
        labels.point_vertex_ids = torch.randint(0, num_vertices, (1, points, 3))
        labels.point_barycentrics = torch.full((1, points, 3), 1 / 3)
        labels.point_valid = torch.ones(1, points, dtype=torch.bool)
    if mesh:
        labels.vertices_crop = torch.rand(1, num_vertices, 3) * 40
        labels.vertices_valid = torch.ones(1, num_vertices, dtype=torch.bool)
    sample.gt_instance_labels = labels
    return sample


def test_channels_follow_from_the_template(head):
    count = load_template("anny").num_vertices
    output = head.eval()([torch.randn(2, 8, 16, 12)])
    assert output.heatmaps.shape == (2, count, 16, 12)
    assert output.xyz_crop.shape == (2, count, 3)
    edge = head.criterion.losses["edge"]
    assert edge.edges.max() == count - 1


def test_levels_for_the_two_branches():
    head = build_head(in_channels=[8, 5], feature_index=0, regression_index=1).eval()
    coarse = torch.randn(1, 5, 2, 2)
    fine = torch.randn(1, 8, 16, 12)
    output, changed = head([fine, coarse]), head([fine, coarse + 1])
    assert torch.equal(output.heatmaps, changed.heatmaps)
    assert not torch.equal(output.xyz_regressed, changed.xyz_regressed)
    with pytest.raises(ValueError, match=r"regression_index=2 of in_channels=\[8, 5\]"):
        build_head(in_channels=[8, 5], feature_index=0, regression_index=2)


def test_deconvolutions_reach_stride_4():
    head = build_head(deconv_out_channels=(8, 6), deconv_kernel_sizes=(4, 4), regression_index=-1).eval()
    assert head([torch.randn(1, 8, 4, 3)]).heatmaps.shape[-2:] == (16, 12)


def test_wrong_resolution_names_what_to_change(head):
    with pytest.raises(ValueError, match=r"\(16, 12\) for VertexPose, got \(4, 3\)"):
        head([torch.randn(1, 8, 4, 3)])


def test_labels_of_mixed_samples():
    samples = [labelled_sample(7, 3, False), labelled_sample(7, 0, True), PoseDataSample()]
    targets = plugin.targets_of_data_samples(samples, 7, INPUT_SIZE)
    assert targets.point_valid.sum(1).tolist() == [3, 0, 0]
    assert targets.vertices_valid.any(1).tolist() == [False, True, False]
    assert torch.equal(targets.points_xy[0], samples[0].gt_instance_labels.points_xy[0])
    assert torch.equal(targets.vertices[1], samples[1].gt_instance_labels.vertices_crop[0])
    assert targets.input_size == INPUT_SIZE
    with pytest.raises(ValueError, match="has 7 vertices, the head's template 9"):
        plugin.targets_of_data_samples(samples, 9, INPUT_SIZE)


@pytest.mark.parametrize("points, mesh, zero", [
    (0, False, set(LOSSES)), (5, False, {"fused", "edge", "heatmap"}), (0, True, {"barycentric", "uv"})])
def test_losses_without_labels_are_zero_and_keep_the_graph(head, points, mesh, zero):
    head.train().zero_grad()
    count = head.template.num_vertices
    losses = head.loss([torch.randn(2, 8, 16, 12)], [labelled_sample(count, points, mesh), PoseDataSample()])
    assert set(losses) == {f"loss_{name}" for name in LOSSES}
    for name in zero:
        assert losses[f"loss_{name}"].item() == 0
    for name in set(LOSSES) - zero - {"visibility"}:
        assert losses[f"loss_{name}"].item() > 0
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_flip_test_of_a_mirrored_output_changes_nothing(head, monkeypatch):
    output = head.eval()([torch.randn(2, 8, 16, 12)]).detach()
    symmetry = torch.as_tensor(head.template.symmetry.copy())
    mirrored = output[:]
    mirrored.xyz_crop = output.xyz_crop[:, symmetry] * torch.tensor([-1.0, 1, 1]) + torch.tensor([47.0, 0, 0])
    mirrored.visibility_logits = output.visibility_logits[:, symmetry]
    monkeypatch.setattr(head, "forward", lambda feats: feats)
    samples = [PoseDataSample()] * 2
    plain = head.predict(output, samples, {})
    flipped = head.predict([output, mirrored], samples, dict(flip_test=True))
    for one, other in zip(plain, flipped):
        for name in ("vertices", "keypoints", "keypoint_scores", "vertex_visibility"):
            assert one[name] == pytest.approx(other[name], abs=1e-4), name


def test_predictions_are_one_instance_per_crop(head):
    predictions = head.eval().predict([torch.randn(3, 8, 16, 12)], [PoseDataSample()] * 3, {})
    assert len(predictions) == 3
    count = head.template.num_vertices
    first = predictions[0]
    assert first.keypoints.shape == (1, 17, 2) and first.keypoint_scores.shape == (1, 17)
    assert first.vertices.shape == (1, count, 3) and first.vertex_visibility.shape == (1, count)
    assert 0 <= first.keypoint_scores.min() and first.keypoint_scores.max() <= 1
    assert first.keypoints[0] == pytest.approx(head.template.keypoints(first.vertices[0])[:, :2], abs=1e-3)


def test_template_id_round_trip_and_mismatch(head):
    stored = encode_template_id(head.template)
    assert stored.dtype == torch.int64 and stored.shape == (64,)
    assert decode_template_id(stored)[0] == "anny"
    state = head.state_dict()
    head.load_state_dict(state)
    other_name = stored.clone()
    other_name[:48] = torch.frombuffer(bytearray(b"smpl".ljust(48, b"\0")), dtype=torch.uint8)
    other_name[48:] = 1
    with pytest.raises(ValueError, match="trained with 'smpl'.*template='anny'.*set template='smpl'"):
        head.load_state_dict(dict(state, template_id=other_name))
    other_build = stored.clone()
    other_build[48:] = 1
    with pytest.raises(ValueError, match="another build of the template 'anny'"):
        head.load_state_dict(dict(state, template_id=other_build))
    del state["template_id"]
    head.load_state_dict(state, strict=False)


def full_sample(count: int, size: tuple) -> PoseDataSample:
    sample = labelled_sample(count, 3, True)
    sample.gt_instance_labels.set_field(torch.rand(1, 17, 2), "keypoints_crop")
    sample.gt_instance_labels.set_field(torch.ones(1, 17, dtype=torch.bool), "keypoints_valid")
    sample.gt_instance_labels.set_field(torch.rand(1, 4, 3), "joints_crop")
    sample.gt_instance_labels.set_field(torch.ones(1, 4, dtype=torch.bool), "joints_valid")
    sample.gt_instance_labels.set_field(torch.rand(1, *size), "person_mask")
    sample.gt_instance_labels.set_field(torch.rand(1, *size), "ignore_mask")
    sample.gt_instance_labels.set_field(torch.ones(1, dtype=torch.bool), "person_mask_valid")
    return sample


def test_masks_keypoints_and_joints_become_targets():
    full, bare = full_sample(7, (8, 6)), PoseDataSample()
    unmasked = full_sample(7, (8, 6))
    unmasked.gt_instance_labels.person_mask_valid[:] = False
    targets = plugin.targets_of_data_samples([bare, full, unmasked], 7, (6, 8))
    assert targets.person_mask_valid.tolist() == [False, True, False]
    assert targets.person_mask.shape == targets.ignore_mask.shape == (3, 8, 6)
    labels = full.gt_instance_labels
    for name in ("person_mask", "ignore_mask"):
        assert torch.equal(getattr(targets, name)[1], labels[name][0])
    for name in ("keypoints", "joints"):
        assert torch.equal(getattr(targets, name)[1], labels[f"{name}_crop"][0])
        assert getattr(targets, f"{name}_valid").all(1).tolist() == [False, True, True]
    nothing = plugin.targets_of_data_samples([bare, bare], 7, (6, 8))
    assert nothing.person_mask is None and nothing.keypoints is None and nothing.joints is None
    with pytest.raises(ValueError, match=r"person_mask of .* one size, got \[\(4, 4\), \(8, 6\)\]"):
        plugin.targets_of_data_samples([full, full_sample(7, (4, 4))], 7, (6, 8))


def test_losses_of_the_mesh_get_the_template_of_the_head():
    head = build_head(losses=dict(
        normal=dict(type="FaceNormalLoss"), keypoint=dict(type="JointLoss"),
        silhouette=dict(type="SilhouetteLoss"), joint=dict(type="JointLoss", target="mesh"),
        own=dict(type="FaceNormalLoss", faces=[[0, 1, 2]])))
    losses, template = head.criterion.losses, load_template("anny")
    assert len(losses["normal"].faces) == len(losses["silhouette"].rasterizer.faces) == len(template.faces)
    assert len(losses["own"].faces) == 1
    assert losses["joint"].regressor.shape == template.joint_regressor.shape
    samples = [full_sample(template.num_vertices, (64, 48)), PoseDataSample()]
    values = head.train().loss([torch.randn(2, 8, 16, 12)], samples)
    assert set(values) == {f"loss_{name}" for name in losses} and all(value > 0 for value in values.values())
