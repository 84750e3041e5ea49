"""Fusion of the two branches by the predicted visibility."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from .output import at_least_float32

FUSION_MODES = ("fused", "vertexpose", "regressed")


class VisibilityFusion(nn.Module):
    """Take x, y of visible vertices from VertexPose, everything else from the regression.

    ``xy = w * xy_VertexPose + (1 - w) * xy_regressed`` with ``w = sigmoid(visibility)``, differentiable in
    all of them, so that w also learns where no visibility is labelled (MeshPose, CVPR 2024).

    Args:
        mode: 'fused'; for comparisons, 'regressed' has w = 0 everywhere and 'vertexpose' w = 1. z is always
            that of the regression.
    """

    def __init__(self, mode: str = "fused") -> None:
        super().__init__()
        if mode not in FUSION_MODES:
            raise ValueError(f"VisibilityFusion: mode={mode!r}: expected one of "
                             f"{', '.join(map(repr, FUSION_MODES))}")
        self.mode = mode

    def forward(self, xy_vertexpose: Tensor, xyz_regressed: Tensor, visibility_logits: Tensor) -> Tensor:
        """Fuse the branches.

        Args:
            xy_vertexpose: (x, y) in crop px, (B, V, 2).
            xyz_regressed: (x, y, z) in crop px, (B, V, 3).
            visibility_logits: (B, V).

        Returns:
            (x, y, z) in crop px, (B, V, 3), at least float32.
        """
        weight = at_least_float32(visibility_logits).sigmoid()[..., None]
        if self.mode != "fused":  # all inputs stay in the graph, so that every parameter gets a gradient
            weight = 0 * weight + float(self.mode == "vertexpose")
        xyz_regressed = at_least_float32(xyz_regressed)
        xy = weight * at_least_float32(xy_vertexpose) + (1 - weight) * xyz_regressed[..., :2]
        return torch.cat([xy, xyz_regressed[..., 2:]], -1)

    def extra_repr(self) -> str:
        return f"mode={self.mode!r}"
