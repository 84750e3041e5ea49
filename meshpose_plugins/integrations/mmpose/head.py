"""MMPose head that composes the branches of MeshPose and translates data samples for them."""
from __future__ import annotations

import inspect
from typing import List, Optional, Sequence, Tuple, Union

import torch
from mmengine.structures import InstanceData
from mmpose.models.heads import BaseHead, HeatmapHead
from mmpose.registry import MODELS
from torch import Tensor, nn

from meshpose_plugins.losses import MeshPoseCriterion, MeshPoseTargets
from meshpose_plugins.modeling import MeshPoseNetwork, MeshPoseOutput, average_flipped
from meshpose_plugins.templates import MeshTemplate, load_template
from meshpose_plugins.templates.identity import check_template_id, encode_template_id

DEFAULT_LOSSES = dict(
    barycentric=dict(type="BarycentricLoss"),
    uv=dict(type="UVConsistencyLoss"),
    visibility=dict(type="VisibilityLoss"),
    vertex=dict(type="VertexLoss", which="fused"),
    regressed=dict(type="VertexLoss", which="regressed"),
)


@MODELS.register_module()
class MeshPoseHead(BaseHead):
    """Predict the vertices of a template from backbone features with a VertexPose and a regression branch.

    As in MMPose's HeatmapHead, ``feats[-1]`` goes through optional deconvolutions and convolutions first. The
    numbers of vertices and of feature channels are filled in here: a config names a template, never V.

    Args:
        in_channels: channels of the feature, or of every level of the features.
        input_size: (W, H) of the crop, px.
        template: built-in name or path of a template.
        vertexpose: config of the VertexPose branch.
        regression: config of the regression branch.
        fusion: config of the fusion.
        losses: configs of the loss terms by name; a name is logged as ``loss_<name>``.
        feature_index: level of the features that VertexPose reads.
        regression_index: level of the features that the regression reads as it comes; None: the map of
            VertexPose.
        deconv_out_channels: output channels of the stride 2 deconvolutions before VertexPose; None: none.
        deconv_kernel_sizes: their kernel sizes.
        conv_out_channels: output channels of the convolutions after them; None: none.
        conv_kernel_sizes: their kernel sizes.
        stride: crop px per heatmap px of the map that VertexPose reads.
        init_cfg: MMEngine's initialisation config.
    """

    def __init__(self, in_channels: Union[int, Sequence[int]], input_size: Sequence[int],
                 template: str = "anny",
                 vertexpose: dict = dict(type="VertexPoseBranch"),
                 regression: dict = dict(type="RegressionBranch"),
                 fusion: dict = dict(type="VisibilityFusion"),
                 losses: dict = DEFAULT_LOSSES,
                 feature_index: int = -1, regression_index: Optional[int] = None,
                 deconv_out_channels: Optional[Sequence[int]] = (256, 256, 256),
                 deconv_kernel_sizes: Optional[Sequence[int]] = (4, 4, 4),
                 conv_out_channels: Optional[Sequence[int]] = None,
                 conv_kernel_sizes: Optional[Sequence[int]] = None,
                 stride: int = 4, init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.template: MeshTemplate = load_template(template)
        self.input_size = (int(input_size[0]), int(input_size[1]))
        self.feature_index = feature_index
        self.regression_index = regression_index
        channels = level_channels = _level_channels(in_channels, feature_index, "feature_index")
        self.upsample: Optional[nn.Module] = None
        if deconv_out_channels or conv_out_channels:
            self.upsample = HeatmapHead(
                level_channels, out_channels=1, deconv_out_channels=deconv_out_channels,
                deconv_kernel_sizes=deconv_kernel_sizes, conv_out_channels=conv_out_channels,
                conv_kernel_sizes=conv_kernel_sizes, final_layer=None)
            channels = (conv_out_channels or deconv_out_channels)[-1]
        regression_channels = channels
        if regression_index is not None:
            regression_channels = _level_channels(in_channels, regression_index, "regression_index")
        num_vertices = self.template.num_vertices
        self.network = MeshPoseNetwork(
            MODELS.build(dict(vertexpose, in_channels=channels, num_vertices=num_vertices)),
            MODELS.build(dict(regression, in_channels=regression_channels, num_vertices=num_vertices,
                              input_size=self.input_size)),
            MODELS.build(dict(fusion)), stride=stride, seams=self.template.seams)
        self.criterion = MeshPoseCriterion(_build_losses(losses, template))
        self.register_buffer("template_id", encode_template_id(self.template))

    def forward(self, feats: Sequence[Tensor]) -> MeshPoseOutput:
        """Predict the vertices of every crop.

        Args:
            feats: feature maps of the backbone or neck, each (B, C, h, w).

        Returns:
            MeshPoseOutput of B crops, lengths in crop px.
        """
        feature = feats[self.feature_index]
        if self.upsample is not None:
            feature = self.upsample([feature])
        self._check_resolution(feature)
        regression_feature = None if self.regression_index is None else feats[self.regression_index]
        return self.network(feature, regression_feature)

    def loss(self, feats: Sequence[Tensor], batch_data_samples: list,
             train_cfg: Optional[dict] = None) -> dict:
        """Compute the loss terms of a batch.

        Args:
            feats: feature maps, each (B, C, h, w).
            batch_data_samples: B PoseDataSample with whatever labels there are.
            train_cfg: unused, MMPose's habit.

        Returns:
            ``loss_<name>`` of every term, a scalar that keeps the graph; 0 for terms whose labels are absent.
        """
        output = self.forward(feats)
        targets = targets_of_data_samples(batch_data_samples, self.template.num_vertices, self.input_size,
                                          output.xyz_crop.device)
        return {f"loss_{name}": value for name, value in self.criterion(output, targets).items()}

    def predict(self, feats, batch_data_samples: list, test_cfg: Optional[dict] = None) -> List[InstanceData]:
        """Predict keypoints and vertices in crop px.

        Args:
            feats: feature maps, or with ``test_cfg['flip_test']`` a list of those of the crop and of the
                mirrored crop.
            batch_data_samples: B data samples.
            test_cfg: ``flip_test`` averages the output with the mirrored output of the mirrored crop.

        Returns:
            B InstanceData of one instance each, NumPy: keypoints (1, K, 2), keypoint_scores (1, K), vertices
            (1, V, 3), vertex_visibility (1, V).
        """
        if (test_cfg or {}).get("flip_test", False):
            output, mirrored = (self.forward(levels) for levels in feats)
            xyz, visibility = average_flipped(output, mirrored, self.template, self.input_size[0])
        else:
            output = self.forward(feats)
            xyz, visibility = output.xyz_crop, output.visibility
        keypoints = self.template.keypoints(xyz)[..., :2]
        scores = self.template.keypoint_scores(visibility)
        arrays = [tensor.detach().float().cpu().numpy() for tensor in (keypoints, scores, xyz, visibility)]
        names = ("keypoints", "keypoint_scores", "vertices", "vertex_visibility")
        return [InstanceData(**{name: array[None] for name, array in zip(names, crop)}) for crop in zip(*arrays)]

    def _check_resolution(self, feature: Tensor) -> None:
        expected = tuple(int(size / self.network.stride) for size in self.input_size[::-1])
        if tuple(feature.shape[-2:]) != expected:
            raise ValueError(
                f"MeshPoseHead(input_size={self.input_size}, stride={self.network.stride:g}) needs a feature "
                f"map of (h, w) = {expected} for VertexPose, got {tuple(feature.shape[-2:])}: change feature_index="
                f"{self.feature_index}, deconv_out_channels or stride, or the input_size of TopdownAffine")

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        check_template_id(self.template, state_dict.get(prefix + "template_id"), "model.head.template")
        super()._load_from_state_dict(state_dict, prefix, *args)


def targets_of_data_samples(data_samples: Sequence, num_vertices: int, input_size: Sequence[int],
                            device: Union[str, torch.device] = "cpu") -> MeshPoseTargets:
    """Collect the labels of a batch; what a sample does not have is marked invalid.

    Args:
        data_samples: B PoseDataSample, whose gt_instance_labels may hold points_xy (1, P, 2) crop px,
            point_vertex_ids, point_barycentrics (1, P, 3), point_valid (1, P), vertices_crop (1, V, 3) crop
            px, vertices_valid (1, V), keypoints_crop (1, K, 2) crop px, keypoints_valid (1, K),
            joints_crop (1, J, 3) crop px, joints_valid (1, J), person_mask and ignore_mask (1, H, W),
            person_mask_valid (1,).
        num_vertices: V.
        input_size: (W, H) of the crop, px.
        device: where the targets go.

    Returns:
        MeshPoseTargets with P the largest number of points of a sample (at least 1).

    Raises:
        ValueError: a mesh has not num_vertices vertices, or samples differ in the number of their keypoints
            or joints, or in the size of their masks.
    """
    labels = [getattr(sample, "gt_instance_labels", None) or InstanceData() for sample in data_samples]
    num_points = max([label.points_xy.shape[1] for label in labels if "points_xy" in label] + [1])

    def stack(name: str, shape: Tuple[int, ...], dtype: torch.dtype) -> Tensor:
        batch = torch.zeros((len(labels), *shape), dtype=dtype, device=device)
        for row, label in zip(batch, labels):
            if name in label:
                values = torch.as_tensor(label[name], device=device)[0]
                if name.startswith("vertices") and len(values) != num_vertices:
                    raise ValueError(f"{name} of a sample has {len(values)} vertices, the head's template "
                                     f"{num_vertices}: give MeshPoseDataset, MeshPoseTransform and "
                                     "MeshPoseHead the same template")
                row[:len(values)] = values.to(dtype)
        return batch

    return MeshPoseTargets(
        points_xy=stack("points_xy", (num_points, 2), torch.float32),
        point_vertex_ids=stack("point_vertex_ids", (num_points, 3), torch.int64),
        point_barycentrics=stack("point_barycentrics", (num_points, 3), torch.float32),
        point_valid=stack("point_valid", (num_points,), torch.bool),
        vertices=stack("vertices_crop", (num_vertices, 3), torch.float32),
        vertices_valid=stack("vertices_valid", (num_vertices,), torch.bool),
        input_size=(int(input_size[0]), int(input_size[1])),
        **_stack_masks(labels, device),
        **_stack_joints(labels, "keypoints", device),
        **_stack_joints(labels, "joints", device))


def _stack_joints(labels: Sequence, name: str, device: Union[str, torch.device]) -> dict:
    """Keypoints or joints of a batch and their validity; nothing where no sample has them."""
    having = [label for label in labels if f"{name}_crop" in label]
    if not having:
        return {}
    shapes = {tuple(label[f"{name}_crop"].shape[1:]) for label in having}
    if len(shapes) > 1:
        raise ValueError(f"{name}_crop of the samples of a batch must have one shape, got {sorted(shapes)}")
    shape, = shapes
    values = torch.zeros(len(labels), *shape, device=device)
    valid = torch.zeros(len(labels), shape[0], dtype=torch.bool, device=device)
    for row, label in enumerate(labels):
        if f"{name}_crop" in label:
            values[row] = torch.as_tensor(label[f"{name}_crop"], device=device)[0]
            valid[row] = torch.as_tensor(label[f"{name}_valid"], device=device)[0]
    return {name: values, f"{name}_valid": valid}


def _stack_masks(labels: Sequence, device: Union[str, torch.device]) -> dict:
    """Masks of a batch, (B, H, W), and which there are; nothing where no sample has one."""
    having = [row for row, label in enumerate(labels)
              if "person_mask" in label and bool(label.person_mask_valid[0])]
    if not having:
        return {}
    sizes = {tuple(labels[row].person_mask.shape[1:]) for row in having}
    if len(sizes) > 1:
        raise ValueError(f"person_mask of the samples of a batch must have one size, got {sorted(sizes)}")
    size, = sizes
    valid = torch.zeros(len(labels), dtype=torch.bool, device=device)
    valid[having] = True
    masks = dict(person_mask_valid=valid)
    for name in ("person_mask", "ignore_mask"):
        masks[name] = torch.zeros(len(labels), *size, device=device)
        for row in having:
            if name in labels[row]:
                masks[name][row] = torch.as_tensor(labels[row][name], device=device)[0]
    return masks


def _level_channels(in_channels: Union[int, Sequence[int]], index: int, argument: str) -> int:
    if isinstance(in_channels, int):
        return in_channels
    if not -len(in_channels) <= index < len(in_channels):
        raise ValueError(f"{argument}={index} of in_channels={list(in_channels)}: "
                         f"expected -{len(in_channels)} to {len(in_channels) - 1}")
    return int(in_channels[index])


def _build_losses(losses: dict, template: str) -> dict:
    """Build the loss terms; those that know the mesh (they take ``template``) get the head's template."""
    built = {}
    for name, cfg in losses.items():
        cls = MODELS.get(cfg["type"]) if isinstance(cfg["type"], str) else cfg["type"]
        arguments = {} if cls is None else inspect.signature(cls).parameters
        knows_mesh = "template" in arguments and not {"edges", "faces"} & set(cfg)
        built[name] = MODELS.build(dict({"template": template} if knows_mesh else {}, **cfg))
    return built
