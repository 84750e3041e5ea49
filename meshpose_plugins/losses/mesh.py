"""Mesh losses: predicted vertices against those of a true or pseudo mesh."""
from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor

from meshpose_plugins.modeling import MeshPoseOutput
from meshpose_plugins.modeling.output import at_least_float32

from .base import MeshPoseLoss, check_shape, masked_mean
from .targets import MeshPoseTargets

PREDICTIONS = ("fused", "regressed", "vertexpose")


def _check_which(which: str, allowed=PREDICTIONS) -> str:
    if which not in allowed:
        raise ValueError(f"which={which!r}: expected one of {', '.join(map(repr, allowed))}")
    return which


class VertexLoss(MeshPoseLoss):
    """L1 distance of vertices, in heatmap px (our choice of the published "mesh cues").

    Mean over valid vertices of ``(|dx| + |dy| + z_weight |dz|) / (2 + z_weight)``. VertexPose predicts no z
    and cannot reach outside the crop: mean over valid vertices in the crop of ``(|dx| + |dy|) / 2``.

    Args:
        loss_weight: factor of this loss in the sum.
        which: 'fused', 'regressed' (that branch alone) or 'vertexpose' (that branch alone).
        z_weight: weight of an error in z relative to x and y.
    """

    def __init__(self, loss_weight: float = 1.0, which: str = "fused", z_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.which = _check_which(which)
        self.z_weight = float(z_weight)

    def forward(self, predicted: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Weighted mean absolute difference.

        Args:
            predicted: (x, y) or (x, y, z), (B, V, 2 or 3).
            target: the same shape and frame.
            valid: bool, (B, V).

        Returns:
            scalar, px of that frame.
        """
        batch, vertices = valid.shape
        if predicted.shape[-1:] not in {(2,), (3,)}:
            raise ValueError("predicted must have the shape (B, V, 2) or (B, V, 3), got "
                             f"{tuple(predicted.shape)}")
        check_shape("predicted", predicted, batch, vertices, predicted.shape[-1])
        check_shape("target", target, *predicted.shape)
        difference = at_least_float32(predicted) - target
        difference = difference.where(valid[..., None], difference.new_zeros(())).abs()
        weights = difference.new_tensor([1.0, 1.0, self.z_weight])[:predicted.shape[-1]]
        return masked_mean((difference * weights).sum(-1) / weights.sum(), valid)

    def from_output(self, output: MeshPoseOutput, targets: MeshPoseTargets) -> Tensor:
        target = targets.vertices / output.stride
        if self.which == "vertexpose":
            return self(output.xy_vertexpose, target[..., :2], targets.vertices_in_crop())
        predicted = output.xyz_crop if self.which == "fused" else output.xyz_regressed
        return self(predicted / output.stride, target, targets.vertices_valid)


class EdgeLengthLoss(MeshPoseLoss):
    """L1 difference of the predicted and the true mesh's edge lengths, in heatmap px (our choice).

    Args:
        edges: vertex ids of every edge, (E, 2).
        template: name or path of the template whose edges are taken; give this or ``edges``.
        loss_weight: factor of this loss in the sum.
        which: 'fused' or 'regressed'.
        z_weight: factor of z before lengths are measured.
    """

    def __init__(self, edges=None, template: Optional[str] = None, loss_weight: float = 1.0,
                 which: str = "fused", z_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        if (edges is None) == (template is None):
            raise ValueError("EdgeLengthLoss needs either edges=(E, 2) vertex ids or template='anny'")
        if edges is None:
            from meshpose_plugins.templates import load_template
            edges = load_template(template).edges
        edges = torch.as_tensor(edges, dtype=torch.int64)
        check_shape("edges", edges, "E", 2)
        self.register_buffer("edges", edges, persistent=False)
        self.which = _check_which(which, PREDICTIONS[:2])
        self.z_weight = float(z_weight)

    def forward(self, predicted: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Mean over the edges whose two vertices are valid.

        Args:
            predicted: (x, y, z), (B, V, 3).
            target: the same shape and frame.
            valid: bool, (B, V).

        Returns:
            scalar, px of that frame.
        """
        batch, vertices = valid.shape
        check_shape("predicted", predicted, batch, vertices, 3)
        check_shape("target", target, batch, vertices, 3)
        target = target.where(valid[..., None], target.new_zeros(()))
        difference = self._lengths(at_least_float32(predicted)) - self._lengths(target)
        return masked_mean(difference.abs(), valid[:, self.edges].all(-1))

    def from_output(self, output: MeshPoseOutput, targets: MeshPoseTargets) -> Tensor:
        predicted = output.xyz_crop if self.which == "fused" else output.xyz_regressed
        return self(predicted / output.stride, targets.vertices / output.stride, targets.vertices_valid)

    def _lengths(self, xyz: Tensor) -> Tensor:
        """Edge lengths, (B, E); the small constant keeps the gradient of a collapsed edge finite."""
        ends = (xyz * xyz.new_tensor([1.0, 1.0, self.z_weight]))[:, self.edges]
        return ((ends[:, :, 0] - ends[:, :, 1]).square().sum(-1) + 1e-12).sqrt()
