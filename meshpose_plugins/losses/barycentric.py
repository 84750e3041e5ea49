"""Barycentric loss: an annotated pixel's distribution over vertices is the annotation's barycentrics."""
from __future__ import annotations

from torch import Tensor

from meshpose_plugins.modeling import MeshPoseOutput

from .base import MeshPoseLoss, check_shape
from .sampling import bilinear_corners, sample_channels
from .targets import MeshPoseTargets


class BarycentricLoss(MeshPoseLoss):
    """Cross entropy between barycentrics and the softmax over the VertexPose channels at annotated pixels.

    ``-mean over points of sum_k b_k log softmax_v(gain * h_v(x))[v_k]``, the logits sampled bilinearly at
    the sub-pixel x (MeshPose, CVPR 2024, in words; the gain of 1 and the sampling are our choice). Only the
    annotated pixels are read: memory is O(points x V), whatever the heatmaps' size. Points outside the
    heatmap don't count.

    Args:
        loss_weight: factor of this loss in the sum.
        gain: factor of the logits inside the softmax over channels.
    """

    def __init__(self, loss_weight: float = 1.0, gain: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.gain = float(gain)

    def forward(self, heatmaps: Tensor, xy_heatmap: Tensor, vertex_ids: Tensor, barycentrics: Tensor,
                valid: Tensor) -> Tensor:
        """Mean over all valid points of the batch.

        Args:
            heatmaps: logits, (B, V, h, w).
            xy_heatmap: annotated pixels (x, y), heatmap px, (B, P, 2).
            vertex_ids: triangle of every point, (B, P, 3).
            barycentrics: (B, P, 3).
            valid: bool, (B, P).

        Returns:
            scalar, nats.
        """
        batch, points = valid.shape
        check_shape("heatmaps", heatmaps, batch, "V", "h", "w")
        check_shape("xy_heatmap", xy_heatmap, batch, points, 2)
        check_shape("vertex_ids", vertex_ids, batch, points, 3)
        check_shape("barycentrics", barycentrics, batch, points, 3)
        positions, weights, inside = bilinear_corners(xy_heatmap, *heatmaps.shape[2:])
        sample, point = (valid & inside).nonzero(as_tuple=True)
        logits = sample_channels(heatmaps, sample, positions[sample, point], weights[sample, point])
        log_probabilities = (self.gain * logits).log_softmax(-1).gather(1, vertex_ids[sample, point])
        target = barycentrics[sample, point].to(log_probabilities.dtype)
        return -(target * log_probabilities).sum() / max(len(sample), 1)

    def from_output(self, output: MeshPoseOutput, targets: MeshPoseTargets) -> Tensor:
        return self(output.heatmaps, targets.points_xy / output.stride, targets.point_vertex_ids,
                    targets.point_barycentrics, targets.point_valid)
