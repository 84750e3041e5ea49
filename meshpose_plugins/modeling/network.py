"""Everything of a MeshPose network that comes after the backbone."""
from __future__ import annotations

from typing import Optional, Sequence, Tuple

from torch import Tensor, nn

from .output import MeshPoseOutput
from .seams import SeamAverage


class MeshPoseNetwork(nn.Module):
    """Compose a VertexPose branch, a regression branch and their fusion.

    Args:
        vertexpose: a VertexPoseBranch, or a module that returns the same three tensors.
        regression: a RegressionBranch, or a module of the same signature.
        fusion: a VisibilityFusion, or a module of the same signature.
        stride: crop px per heatmap px.
        seams: pairs of vertices that are one point of the body (the template's): their fused predictions are
            averaged.

    Example:
        >>> network = MeshPoseNetwork(VertexPoseBranch(32, 500), RegressionBranch(32, 500, (96, 128), 16, 32),
        ...                           VisibilityFusion())
        >>> output = network.eval()(torch.randn(2, 32, 32, 24))
        >>> output.xyz_crop.shape
        torch.Size([2, 500, 3])
    """

    def __init__(self, vertexpose: nn.Module, regression: nn.Module, fusion: nn.Module,
                 stride: float = 4, seams: Sequence[Tuple[int, int]] = ()) -> None:
        super().__init__()
        counts = {getattr(module, "num_vertices", None) for module in (vertexpose, regression)} - {None}
        if len(counts) > 1:
            raise ValueError(f"vertexpose.num_vertices={vertexpose.num_vertices} and "
                             f"regression.num_vertices={regression.num_vertices} differ: set both from one "
                             "template")
        self.vertexpose = vertexpose
        self.regression = regression
        self.fusion = fusion
        self.stride = float(stride)
        self.seams = SeamAverage(seams, max(counts)) if len(seams) else nn.Identity()

    def forward(self, feature: Tensor, regression_feature: Optional[Tensor] = None) -> MeshPoseOutput:
        """Predict the vertices of every crop.

        Args:
            feature: map at heatmap resolution, (B, C, h, w).
            regression_feature: map that the regression reads, (B, C', h', w'); default: ``feature``.

        Returns:
            MeshPoseOutput of B crops.
        """
        heatmaps, xy_vertexpose, logsumexp = self.vertexpose(feature)
        xyz_regressed, visibility_logits = self.regression(
            feature if regression_feature is None else regression_feature, xy_vertexpose * self.stride)
        xyz_crop = self.seams(self.fusion(xy_vertexpose * self.stride, xyz_regressed, visibility_logits))
        return MeshPoseOutput(heatmaps, xy_vertexpose, xyz_regressed, visibility_logits, xyz_crop, logsumexp,
                              stride=self.stride, gain=getattr(self.vertexpose, "gain", 10.0))
