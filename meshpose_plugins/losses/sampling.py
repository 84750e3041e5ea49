"""Bilinear reading of heatmaps at few positions, without any temporary of the heatmaps' size."""
from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor

from meshpose_plugins.modeling.output import at_least_float32


def bilinear_corners(xy: Tensor, height: int, width: int) -> Tuple[Tensor, Tensor, Tensor]:
    """The four pixels around positions in a map, and their bilinear weights.

    Args:
        xy: (x, y) in px of the map, (..., 2); may lie outside or be NaN.
        height: of the map.
        width: of the map.

    Returns:
        row-major positions, int64 (..., 4); weights, sum 1, (..., 4); inside, bool (...): true in [0, w-1] x [0, h-1].
        What is not inside has the weights of position (0, 0).
    """
    xy = at_least_float32(xy)
    x, y = xy.unbind(-1)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    x, y = x.where(inside, torch.zeros_like(x)), y.where(inside, torch.zeros_like(y))
    left, top = x.floor(), y.floor()
    fx, fy = x - left, y - top
    left, top = left.long(), top.long()
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    positions = torch.stack([top * width + left, top * width + right, bottom * width + left, bottom * width + right], -1)
    weights = torch.stack([(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx], -1)
    return positions, weights, inside


def sample_channels(heatmaps: Tensor, sample: Tensor, positions: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of all channels at the corners of M points: memory O(M x V).

    Args:
        heatmaps: (B, V, h, w).
        sample: index into the batch, (M,).
        positions: row-major positions, (M, 4).
        weights: (M, 4).

    Returns:
        (M, V), at least float32.
    """
    corners = heatmaps.flatten(2)[sample[:, None], :, positions]
    corners = at_least_float32(corners)
    return (corners * weights.to(corners.dtype)[..., None]).sum(1)


def sample_own_channel(heatmaps: Tensor, positions: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of every channel at its own corners: memory O(B x V).

    Args:
        heatmaps: (B, V, h, w).
        positions: row-major positions, (B, V, 4).
        weights: (B, V, 4).

    Returns:
        (B, V), at least float32.
    """
    corners = at_least_float32(heatmaps.flatten(2).gather(2, positions))
    return (corners * weights.to(corners.dtype)).sum(-1)
