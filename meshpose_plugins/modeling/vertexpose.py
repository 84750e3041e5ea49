"""VertexPose branch: one heatmap per vertex, localised by its spatial expectation."""
from __future__ import annotations

from typing import Optional, Tuple

from torch import Tensor, nn

from .soft_argmax import soft_argmax_2d, spatial_softmax_statistics


class VertexPoseBranch(nn.Module):
    """Predict one heatmap per vertex by a 1x1 convolution and read its position off by soft-argmax.

    The softmax over positions takes ``gain * logits``; the same logits at gain 1 over the channels are what
    the barycentric loss supervises (MeshPose, CVPR 2024).

    Args:
        in_channels: channels of the feature map.
        num_vertices: vertices V of the template.
        gain: factor of the logits inside the spatial softmax.
        init_std: standard deviation of the initial weights; small: training starts from flat heatmaps.
    """

    def __init__(self, in_channels: int, num_vertices: int, gain: float = 10.0,
                 init_std: float = 0.001) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.num_vertices = num_vertices
        self.gain = float(gain)
        self.conv = nn.Conv2d(in_channels, num_vertices, 1)
        nn.init.normal_(self.conv.weight, std=init_std)
        nn.init.zeros_(self.conv.bias)

    def forward(self, feature: Tensor) -> Tuple[Tensor, Tensor, Optional[Tensor]]:
        """Predict heatmaps and positions.

        Args:
            feature: (B, in_channels, h, w).

        Returns:
            heatmap logits (B, V, h, w), expected (x, y) in heatmap px (B, V, 2), and in training the
            logsumexp of ``gain * heatmaps`` over positions (B, V), else None.
        """
        if feature.ndim != 4 or feature.shape[1] != self.in_channels:
            raise ValueError(f"VertexPoseBranch(in_channels={self.in_channels}) got a feature of shape "
                             f"{tuple(feature.shape)}; expected (B, {self.in_channels}, h, w)")
        heatmaps = self.conv(feature)
        if self.training:
            xy, logsumexp = spatial_softmax_statistics(heatmaps, self.gain)
            return heatmaps, xy, logsumexp
        return heatmaps, soft_argmax_2d(heatmaps, self.gain), None
