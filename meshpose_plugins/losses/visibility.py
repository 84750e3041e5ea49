"""Visibility loss: the fusion weight knows which vertices the heatmaps can localise."""
from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from meshpose_plugins.modeling import MeshPoseOutput
from meshpose_plugins.modeling.output import at_least_float32

from .base import MeshPoseLoss, check_shape
from .targets import MeshPoseTargets


class VisibilityLoss(MeshPoseLoss):
    """Binary cross entropy of the visibility, balanced per image.

    In every image the mean over its positives and the mean over its negatives count the same (an image with
    one kind only counts by that kind); then the mean over images with any label (BCE: MeshPose, CVPR 2024;
    balance: our choice). Labels: :meth:`MeshPoseTargets.visibility_labels`.
    """

    def forward(self, visibility_logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Balanced binary cross entropy.

        Args:
            visibility_logits: (B, V).
            positive: bool, (B, V).
            negative: bool, (B, V); disjoint from positive.

        Returns:
            scalar, nats.
        """
        check_shape("positive", positive, *visibility_logits.shape)
        check_shape("negative", negative, *visibility_logits.shape)
        logits = at_least_float32(visibility_logits)
        kinds = [(positive.to(logits.dtype), functional.softplus(-logits)),
                 (negative.to(logits.dtype), functional.softplus(logits))]
        means = sum((mask * cost).sum(1) / mask.sum(1).clamp(min=1) for mask, cost in kinds)
        present = positive.any(1).to(logits.dtype) + negative.any(1).to(logits.dtype)
        return (means / present.clamp(min=1)).sum() / (present > 0).sum().clamp(min=1)

    def from_output(self, output: MeshPoseOutput, targets: MeshPoseTargets) -> Tensor:
        return self(output.visibility_logits, *targets.visibility_labels())
