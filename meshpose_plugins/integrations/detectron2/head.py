"""From pooled features to vertices: the tower of convolutions and the shared MeshPose network."""

from __future__ import annotations

from functools import partial
from typing import Dict

import fvcore.nn.weight_init as weight_init
from detectron2.config import CfgNode, configurable
from detectron2.layers import Conv2d, ConvTranspose2d, ShapeSpec, get_norm
from detectron2.utils.registry import Registry
from torch import Tensor, nn
from torch.nn import functional

from meshpose_plugins import losses
from meshpose_plugins.losses import MeshPoseCriterion, MeshPoseTargets
from meshpose_plugins.modeling import (
    MeshPoseNetwork,
    MeshPoseOutput,
    RegressionBranch,
    VertexPoseBranch,
    VisibilityFusion,
)
from meshpose_plugins.templates import MeshTemplate, load_template
from meshpose_plugins.templates.identity import check_template_id, encode_template_id

ROI_MESHPOSE_HEAD_REGISTRY = Registry("ROI_MESHPOSE_HEAD")
ROI_MESHPOSE_HEAD_REGISTRY.__doc__ = """
Layers between pooled features and heatmaps. A registered class is called with (cfg, input_shape), the
ShapeSpec of the pooled map; it has ``output_shape``, the ShapeSpec of its square map, and ``forward`` maps
(N, C, P, P) to it.
"""


def build_meshpose_head(cfg: CfgNode, input_shape: ShapeSpec) -> nn.Module:
    """Build the head named by MODEL.ROI_MESHPOSE_HEAD.NAME."""
    return ROI_MESHPOSE_HEAD_REGISTRY.get(cfg.MODEL.ROI_MESHPOSE_HEAD.NAME)(cfg, input_shape)


@ROI_MESHPOSE_HEAD_REGISTRY.register()
class MeshPoseConvHead(nn.Sequential):
    """Convolutions at the pooled resolution, then deconvolutions to the heatmaps' one.

    A deconvolution of kernel 4 and stride 2 keeps what a pixel's place in the box means: the map's pixels
    divide the box evenly before and after it.

    Args:
        input_shape: of the pooled map.
        num_convs: convolutions at the pooled resolution.
        conv_dim: their channels.
        conv_kernel: their kernel size, odd.
        norm: norm after every layer, of detectron2's ``get_norm``.
        heatmap_size: side of the output, the pooled side times a power of 2.
        deconv_dim: channels of the deconvolutions.
    """

    @configurable
    def __init__(
        self,
        input_shape: ShapeSpec,
        *,
        num_convs: int,
        conv_dim: int,
        conv_kernel: int,
        norm: str,
        heatmap_size: int,
        deconv_dim: int,
    ) -> None:
        super().__init__()
        doublings = (heatmap_size // input_shape.height).bit_length() - 1
        if input_shape.height << doublings != heatmap_size:
            raise ValueError(
                f"MODEL.ROI_MESHPOSE_HEAD: HEATMAP_SIZE={heatmap_size} must be POOLER_RESOLUTION="
                f"{input_shape.height} times a power of 2"
            )
        if conv_kernel % 2 == 0:
            raise ValueError(
                f"MODEL.ROI_MESHPOSE_HEAD.CONV_KERNEL={conv_kernel} must be odd, or the map would shift"
            )
        channels = input_shape.channels
        for index in range(num_convs):
            layer = Conv2d(
                channels,
                conv_dim,
                conv_kernel,
                padding=conv_kernel // 2,
                bias=not norm,
                norm=get_norm(norm, conv_dim),
                activation=functional.relu,
            )
            weight_init.c2_msra_fill(layer)
            self.add_module(f"conv{index + 1}", layer)
            channels = conv_dim
        for index in range(doublings):
            layer = ConvTranspose2d(channels, deconv_dim, 4, stride=2, padding=1, bias=not norm)
            weight_init.c2_msra_fill(layer)
            self.add_module(f"deconv{index + 1}", layer)
            self.add_module(f"deconv{index + 1}_norm", get_norm(norm, deconv_dim) or nn.Identity())
            self.add_module(f"deconv{index + 1}_relu", nn.ReLU(inplace=True))
            channels = deconv_dim
        self.output_shape = ShapeSpec(channels=channels, height=heatmap_size, width=heatmap_size)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict:
        node = cfg.MODEL.ROI_MESHPOSE_HEAD
        return dict(
            input_shape=input_shape,
            num_convs=node.NUM_STACKED_CONVS,
            conv_dim=node.CONV_DIM,
            conv_kernel=node.CONV_KERNEL,
            norm=node.NORM,
            heatmap_size=node.HEATMAP_SIZE,
            deconv_dim=node.DECONV_DIM,
        )


class MeshPosePredictor(nn.Module):
    """The network after the features, its template and its losses: what MMPose's ``MeshPoseHead`` holds too.

    Weights are exchanged with it through :mod:`meshpose_plugins.deploy.head_weights`.

    Args:
        template: of the vertices.
        network: branches and fusion.
        criterion: the losses.
    """

    @configurable
    def __init__(
        self, *, template: MeshTemplate, network: MeshPoseNetwork, criterion: MeshPoseCriterion
    ) -> None:
        super().__init__()
        self.template = template
        self.network = network
        self.criterion = criterion
        self.register_buffer("template_id", encode_template_id(template))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict:
        node = cfg.MODEL.ROI_MESHPOSE_HEAD
        template = load_template(node.TEMPLATE)
        side = int(input_shape.height * node.STRIDE)
        regression = RegressionBranch(
            input_shape.channels,
            template.num_vertices,
            (side, side),
            hidden_channels=node.REGRESSION.HIDDEN_CHANNELS,
            num_bins=node.REGRESSION.NUM_BINS,
            pool_size=tuple(node.REGRESSION.POOL_SIZE),
            reduce_channels=node.REGRESSION.REDUCE_CHANNELS or None,
            lift_channels=node.REGRESSION.LIFT_CHANNELS or None,
        )
        network = MeshPoseNetwork(
            VertexPoseBranch(input_shape.channels, template.num_vertices, node.GAIN),
            regression,
            VisibilityFusion(),
            stride=node.STRIDE,
            seams=template.seams,
        )
        return dict(
            template=template,
            network=network,
            criterion=MeshPoseCriterion(_losses(node)),
        )

    def forward(self, feature: Tensor) -> MeshPoseOutput:
        """Predict the vertices of N regions from their maps (N, C, S, S), in crop px.

        In training, a single region goes through with the norms' running statistics: there is no batch to
        normalise over.
        """
        alone = self.training and len(feature) == 1
        if alone:
            self.network.eval()
        try:
            return self.network(feature)
        finally:
            if alone:
                self.network.train()

    def losses(self, output: MeshPoseOutput, targets: MeshPoseTargets) -> Dict[str, Tensor]:
        """Weighted losses by the names that are logged."""
        if targets.vertices.shape[1] != self.template.num_vertices:
            raise ValueError(
                f"labels of {targets.vertices.shape[1]} vertices, the template '{self.template.name}' "
                f"of MODEL.ROI_MESHPOSE_HEAD.TEMPLATE has {self.template.num_vertices}: register the "
                "data set with the same template"
            )
        return {f"loss_mesh_{name}": value for name, value in self.criterion(output, targets).items()}

    def zero_losses(self, *others: nn.Module) -> Dict[str, Tensor]:
        """Losses of a batch without labels: zeros on the graph of this and other modules' parameters."""
        parameters = [p for module in (self, *others) for p in module.parameters()]
        zero = sum(parameter.sum() for parameter in parameters) * 0.0
        return {f"loss_mesh_{name}": zero for name in self.criterion.losses}

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        check_template_id(
            self.template, state_dict.get(prefix + "template_id"), "MODEL.ROI_MESHPOSE_HEAD.TEMPLATE"
        )
        super()._load_from_state_dict(state_dict, prefix, *args)


def _losses(node: CfgNode) -> Dict[str, losses.MeshPoseLoss]:
    """The loss terms whose weights are not 0, by name."""
    makers = {
        "barycentric": losses.BarycentricLoss,
        "uv": losses.UVConsistencyLoss,
        "visibility": losses.VisibilityLoss,
        "fused": partial(losses.VertexLoss, which="fused"),
        "regressed": partial(losses.VertexLoss, which="regressed"),
        "vertexpose": partial(losses.VertexLoss, which="vertexpose"),
        "edge": partial(losses.EdgeLengthLoss, template=node.TEMPLATE),
        "heatmap": partial(losses.VertexHeatmapLoss, gain=node.GAIN),
        "normal": partial(losses.FaceNormalLoss, template=node.TEMPLATE),
        "keypoint": partial(losses.JointLoss, target="keypoints", template=node.TEMPLATE),
        "silhouette": partial(losses.SilhouetteLoss, template=node.TEMPLATE),
    }
    unknown = {name.lower() for name in node.LOSS_WEIGHTS} - set(makers)
    if unknown:
        raise ValueError(
            f"MODEL.ROI_MESHPOSE_HEAD.LOSS_WEIGHTS: no loss {sorted(unknown)[0].upper()}, expected any "
            f"of {', '.join(name.upper() for name in makers)}"
        )
    weights = {name.lower(): weight for name, weight in node.LOSS_WEIGHTS.items()}
    return {name: make(loss_weight=weights[name]) for name, make in makers.items() if weights.get(name)}
