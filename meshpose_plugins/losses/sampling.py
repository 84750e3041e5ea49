"""Bilinear reading of heatmaps at few positions: the only tensor of the heatmaps' size is their gradient."""
from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor

from meshpose_plugins.modeling.output import at_least_float32
from meshpose_plugins.modeling.soft_argmax import heatmap_rows


def bilinear_corners(xy: Tensor, height: int, width: int) -> Tuple[Tensor, Tensor, Tensor]:
    """The four pixels around positions in a map, and their bilinear weights.

    Args:
        xy: (x, y) in px of the map, (..., 2); may lie outside or be NaN.
        height: of the map.
        width: of the map.

    Returns:
        row-major positions, int64 (..., 4); weights, sum 1, (..., 4); inside, bool (...): whether x is in
        [0, w-1] and y in [0, h-1]. What is not inside has the weights of position (0, 0).
    """
    xy = at_least_float32(xy)
    x, y = xy.unbind(-1)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    x, y = x.where(inside, torch.zeros_like(x)), y.where(inside, torch.zeros_like(y))
    left, top = x.floor(), y.floor()
    fx, fy = x - left, y - top
    left, top = left.long(), top.long()
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    upper, lower = top * width, bottom * width
    positions = torch.stack([upper + left, upper + right, lower + left, lower + right], -1)
    weights = torch.stack([(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx], -1)
    return positions, weights, inside


def sample_channels(heatmaps: Tensor, sample: Tensor, positions: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of all channels at the corners of M points: memory O(M x V) (first derivatives only).

    Args:
        heatmaps: (B, V, h, w).
        sample: index into the batch, (M,).
        positions: row-major positions, (M, 4).
        weights: (M, 4).

    Returns:
        (M, V), at least float32.
    """
    return _SampleChannels.apply(heatmaps, sample, positions, weights)


def sample_own_channel(heatmaps: Tensor, positions: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of every channel at its own corners: memory O(B x V).

    Args:
        heatmaps: (B, V, h, w).
        positions: row-major positions, (B, V, 4).
        weights: (B, V, 4).

    Returns:
        (B, V), at least float32.
    """
    return _SampleOwnChannel.apply(heatmaps, positions, weights)


class _SampleOwnChannel(torch.autograd.Function):
    """Reads and writes in the heatmaps' own memory order; saves positions only."""

    @staticmethod
    def forward(ctx, heatmaps: Tensor, positions: Tensor, weights: Tensor) -> Tensor:
        positions = positions.transpose(1, 2)
        corners = at_least_float32(heatmap_rows(heatmaps).gather(1, positions))
        weights = weights.transpose(1, 2).to(corners.dtype)
        ctx.save_for_backward(positions, weights)
        ctx.like = _TensorLike(heatmaps)
        return (corners * weights).sum(1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_out: Tensor):
        positions, weights = ctx.saved_tensors
        grad = ctx.like.zeros()
        sample = torch.arange(len(grad), device=grad.device)[:, None, None]
        vertex = torch.arange(grad.shape[1], device=grad.device)
        values = (weights * grad_out[:, None]).to(grad.dtype)
        # Not scatter_add_, which on CPUs copies the whole tensor twice.
        heatmap_rows(grad).index_put_((sample, positions, vertex), values, accumulate=True)
        return grad, None, None


class _SampleChannels(torch.autograd.Function):
    """Reads and writes a few hundred points at a time, which stay in the cache; saves positions only."""

    @staticmethod
    def forward(ctx, heatmaps: Tensor, sample: Tensor, positions: Tensor, weights: Tensor) -> Tensor:
        rows = heatmap_rows(heatmaps)
        out = at_least_float32(heatmaps.new_empty(0)).new_empty(len(sample), heatmaps.shape[1])
        weights = weights.to(out.dtype)
        with torch.autocast(heatmaps.device.type, enabled=False):
            for piece in _point_pieces(sample):
                corners = at_least_float32(rows[sample[piece, None], positions[piece]])
                out[piece] = (weights[piece, None] @ corners)[:, 0]
        ctx.save_for_backward(sample, positions, weights)
        ctx.like = _TensorLike(heatmaps)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_out: Tensor):
        sample, positions, weights = ctx.saved_tensors
        grad = ctx.like.zeros()
        rows = heatmap_rows(grad)
        for piece in _point_pieces(sample):
            values = weights[piece, :, None] * grad_out[piece, None]
            rows.index_put_((sample[piece, None], positions[piece]), values.to(grad.dtype), accumulate=True)
        return grad, None, None, None


class _TensorLike:
    """Shape, memory order, type and device of a tensor, without keeping the tensor."""

    def __init__(self, tensor: Tensor) -> None:
        self.layout = tensor.shape, tensor.stride()
        self.options = dict(dtype=tensor.dtype, device=tensor.device)

    def zeros(self) -> Tensor:
        return torch.empty_strided(*self.layout, **self.options).zero_()


def _point_pieces(sample: Tensor):
    step = 512 if sample.device.type == "cpu" else 8192
    return [slice(start, start + step) for start in range(0, len(sample), step)]
