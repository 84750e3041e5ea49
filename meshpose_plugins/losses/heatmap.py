"""Vertex heatmap loss: direct supervision of the heatmaps by the vertices' true positions."""
from __future__ import annotations

from typing import Optional

from torch import Tensor

from meshpose_plugins.modeling import MeshPoseOutput, spatial_softmax_statistics

from .base import MeshPoseLoss, check_shape, masked_mean
from .sampling import bilinear_corners, sample_own_channel
from .targets import MeshPoseTargets


class VertexHeatmapLoss(MeshPoseLoss):
    """Cross entropy between ``softmax(gain * heatmap)`` over positions and the vertex's true position.

    The target is the true position spread bilinearly over its four pixels. It needs only those four logits
    and the logsumexp, which the VertexPose branch computes in training anyway (our choice: it speeds up
    training). Vertices outside the heatmap don't count; occluded ones do.

    Args:
        loss_weight: factor of this loss in the sum.
        gain: factor of the logits inside the softmax; as in the VertexPose branch, so that its logsumexp
            serves.
    """

    def __init__(self, loss_weight: float = 1.0, gain: float = 10.0) -> None:
        super().__init__(loss_weight)
        self.gain = float(gain)

    def forward(self, heatmaps: Tensor, xy_heatmap: Tensor, valid: Tensor,
                logsumexp: Optional[Tensor] = None) -> Tensor:
        """Mean cross entropy over all valid vertices inside the heatmap.

        Args:
            heatmaps: logits, (B, V, h, w).
            xy_heatmap: true positions (x, y), heatmap px, (B, V, 2).
            valid: bool, (B, V).
            logsumexp: of ``gain * heatmaps`` over positions, (B, V); computed where it is not given.

        Returns:
            scalar, nats.
        """
        batch, vertices = valid.shape
        check_shape("heatmaps", heatmaps, batch, vertices, "h", "w")
        check_shape("xy_heatmap", xy_heatmap, batch, vertices, 2)
        if logsumexp is None:
            logsumexp = spatial_softmax_statistics(heatmaps, self.gain)[1]
        positions, weights, inside = bilinear_corners(xy_heatmap, *heatmaps.shape[2:])
        logit = self.gain * sample_own_channel(heatmaps, positions, weights)
        return masked_mean(logsumexp - logit, valid & inside)

    def from_output(self, output: MeshPoseOutput, targets: MeshPoseTargets) -> Tensor:
        logsumexp = output.heatmap_logsumexp if output.gain == self.gain else None
        xy_heatmap = targets.vertices[..., :2] / output.stride
        return self(output.heatmaps, xy_heatmap, targets.vertices_valid, logsumexp)
