"""UV consistency loss: the annotated surface point of the predicted vertices falls on the annotated pixel."""
from __future__ import annotations

from torch import Tensor

from meshpose_plugins.modeling import MeshPoseOutput

from .base import MeshPoseLoss, check_shape, masked_mean
from .targets import MeshPoseTargets


def interpolate_points(xy: Tensor, vertex_ids: Tensor, barycentrics: Tensor) -> Tensor:
    """Positions of surface points, interpolated between three vertices each.

    Args:
        xy: positions of the vertices, (B, V, C).
        vertex_ids: (B, P, 3).
        barycentrics: (B, P, 3).

    Returns:
        (B, P, C).
    """
    batch, points, _ = vertex_ids.shape
    ids = vertex_ids.reshape(batch, points * 3, 1).expand(-1, -1, xy.shape[-1])
    corners = xy.gather(1, ids).reshape(batch, points, 3, xy.shape[-1])
    return (corners * barycentrics.to(xy.dtype)[..., None]).sum(2)


class UVConsistencyLoss(MeshPoseLoss):
    """L1 distance between an annotated pixel and the same surface point of the predicted vertices.

    ``mean |x - sum_k b_k xy[v_k]|``, mean over points and the two coordinates (MeshPose, CVPR 2024, in
    words; L1 is our choice). It fixes the free per-pixel offset that the barycentric loss leaves.

    Args:
        loss_weight: factor of this loss in the sum.
        fused_weight: weight of the same term on the fused vertices beside the one on VertexPose (our choice).
        vertexpose_weight: weight of the term on VertexPose.
    """

    def __init__(self, loss_weight: float = 1.0, fused_weight: float = 0.25,
                 vertexpose_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.fused_weight = float(fused_weight)
        self.vertexpose_weight = float(vertexpose_weight)
        if self.fused_weight == 0 and self.vertexpose_weight == 0:
            raise ValueError("UVConsistencyLoss: fused_weight and vertexpose_weight are both 0: leave the "
                             "loss out instead")

    def forward(self, xy: Tensor, points_xy: Tensor, vertex_ids: Tensor, barycentrics: Tensor,
                valid: Tensor) -> Tensor:
        """Mean over all valid points of the batch.

        Args:
            xy: predicted vertices (x, y), (B, V, 2).
            points_xy: annotated pixels, the same frame, (B, P, 2).
            vertex_ids: triangle of every point, (B, P, 3).
            barycentrics: (B, P, 3).
            valid: bool, (B, P).

        Returns:
            scalar, px of that frame.
        """
        batch, points = valid.shape
        check_shape("xy", xy, batch, "V", 2)
        check_shape("points_xy", points_xy, batch, points, 2)
        check_shape("vertex_ids", vertex_ids, batch, points, 3)
        check_shape("barycentrics", barycentrics, batch, points, 3)
        valid = valid[..., None]
        vertex_ids = vertex_ids.where(valid, vertex_ids.new_zeros(()))
        barycentrics = barycentrics.where(valid, barycentrics.new_zeros(()))
        difference = interpolate_points(xy, vertex_ids, barycentrics) - points_xy
        valid = valid.expand_as(difference)
        return masked_mean(difference.where(valid, difference.new_zeros(())).abs(), valid)

    def from_output(self, output: MeshPoseOutput, targets: MeshPoseTargets) -> Tensor:
        points = (targets.points_xy / output.stride, targets.point_vertex_ids, targets.point_barycentrics,
                  targets.point_valid)
        terms = ((self.vertexpose_weight, output.xy_vertexpose),
                 (self.fused_weight, output.xyz_crop[..., :2] / output.stride))
        return sum(weight * self(xy, *points) for weight, xy in terms if weight)
