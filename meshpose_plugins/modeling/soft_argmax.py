"""Expected positions of softmax distributions, as products with constant grids.

Half-precision logits are computed in float32, also under autocast. :func:`soft_argmax_1d` and
:func:`soft_argmax_2d` are plain and exportable; :func:`spatial_softmax_statistics` gives the same
expectation together with the logsumexp, for training: it saves nothing but the logits and goes over them in
pieces that stay in the cache.
"""
from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor

from .output import at_least_float32


def soft_argmax_1d(logits: Tensor, grid: Tensor) -> Tensor:
    """Expected grid value of a softmax over the last dimension.

    Args:
        logits: (..., bins).
        grid: value of every bin, (bins,).

    Returns:
        expectation, (...), at least float32.
    """
    if grid.shape != logits.shape[-1:]:
        raise ValueError(f"grid of shape {tuple(grid.shape)} for logits of shape {tuple(logits.shape)}")
    probabilities = at_least_float32(logits).softmax(-1)
    return (probabilities * grid.to(probabilities.dtype)).sum(-1)


def soft_argmax_2d(heatmaps: Tensor, gain: float = 10.0) -> Tensor:
    """Expected position (x, y) of ``softmax(gain * heatmap)`` over all positions of a heatmap.

    Args:
        heatmaps: logits, (B, V, h, w).
        gain: factor of the logits inside the softmax (10 in MeshPose).

    Returns:
        (B, V, 2), (x, y) in heatmap px, x in [0, w-1], y in [0, h-1], at least float32.

    Example:
        >>> heatmaps = torch.zeros(1, 1, 5, 9)
        >>> soft_argmax_2d(heatmaps).tolist()
        [[[4.0, 2.0]]]
    """
    batch, vertices, height, width = _heatmap_shape(heatmaps)
    logits = at_least_float32(heatmaps).flatten(2) * gain
    probabilities = logits.softmax(-1).reshape(batch, vertices, height, width)
    x = torch.arange(width, device=heatmaps.device, dtype=probabilities.dtype)
    y = torch.arange(height, device=heatmaps.device, dtype=probabilities.dtype)
    return torch.stack([(probabilities.sum(-2) * x).sum(-1), (probabilities.sum(-1) * y).sum(-1)], -1)


def spatial_softmax_statistics(heatmaps: Tensor, gain: float = 10.0) -> Tuple[Tensor, Tensor]:
    """Expected position and logsumexp of ``gain * heatmap`` in one shared pass (first derivatives only).

    Args:
        heatmaps: logits, (B, V, h, w).
        gain: factor of the logits inside the softmax.

    Returns:
        the expectation of :func:`soft_argmax_2d`, (B, V, 2) heatmap px, and ``logsumexp(gain * heatmap)``
        over all positions, (B, V), both at least float32.
    """
    _heatmap_shape(heatmaps)
    return _SpatialSoftmaxStatistics.apply(heatmaps, float(gain))


def _heatmap_shape(heatmaps: Tensor) -> Tuple[int, int, int, int]:
    if heatmaps.ndim != 4:
        raise ValueError(f"heatmaps must have the shape (B, V, h, w), got {tuple(heatmaps.shape)}")
    return heatmaps.shape


def heatmap_rows(heatmaps: Tensor) -> Tensor:
    """View heatmaps (B, V, h, w) as one row of V logits per position, (B, h * w, V), without a copy.

    It is a view of contiguous and of channels-last heatmaps alike, so that code on rows never reorders memory.
    """
    _heatmap_shape(heatmaps)
    return heatmaps.permute(0, 2, 3, 1).flatten(1, 2)


def _position_basis(height: int, width: int, like: Tensor) -> Tensor:
    """Columns x, y, 1 at every position of a heatmap in row-major order, (h * w, 3)."""
    y, x = torch.meshgrid(torch.arange(height, device=like.device, dtype=like.dtype),
                          torch.arange(width, device=like.device, dtype=like.dtype), indexing="ij")
    return torch.stack([x.flatten(), y.flatten(), torch.ones_like(x).flatten()], -1)


def _batch_pieces(heatmaps: Tensor):
    """Slices of the batch: single crops on the CPU (they fit its cache), everything at once elsewhere."""
    step = 1 if heatmaps.device.type == "cpu" else max(len(heatmaps), 1)
    return [slice(start, start + step) for start in range(0, len(heatmaps), step)]


class _SpatialSoftmaxStatistics(torch.autograd.Function):
    """Forward: sums of exp(logit - max) against (x, y, 1). Backward: softmax times a plane."""

    @staticmethod
    def forward(ctx, heatmaps: Tensor, gain: float):
        batch, vertices, height, width = heatmaps.shape
        with torch.autocast(heatmaps.device.type, enabled=False):
            out = at_least_float32(heatmaps.new_empty(0))
            basis = _position_basis(height, width, out).T
            xy, logsumexp = out.new_empty(batch, vertices, 2), out.new_empty(batch, vertices)
            for piece in _batch_pieces(heatmaps):
                logits = at_least_float32(heatmap_rows(heatmaps[piece])) * gain
                peak = logits.amax(1)
                sums = basis @ logits.sub_(peak[:, None]).exp_()
                xy[piece] = (sums[:, :2] / sums[:, 2:]).transpose(1, 2)
                logsumexp[piece] = sums[:, 2].log() + peak
        ctx.gain = gain
        ctx.save_for_backward(heatmaps, xy, logsumexp)
        return xy, logsumexp

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_xy: Tensor, grad_logsumexp: Tensor):
        heatmaps, xy, logsumexp = ctx.saved_tensors
        batch, vertices, height, width = heatmaps.shape
        with torch.autocast(heatmaps.device.type, enabled=False):
            basis = _position_basis(height, width, logsumexp)
            offset = grad_logsumexp - (grad_xy * xy).sum(-1)
            plane = torch.cat([grad_xy, offset[..., None]], -1).transpose(1, 2) * ctx.gain
            grad = torch.empty_like(heatmaps)
            for piece in _batch_pieces(heatmaps):
                logits = at_least_float32(heatmap_rows(heatmaps[piece])) * ctx.gain
                probabilities = logits.sub_(logsumexp[piece][:, None]).exp_()
                heatmap_rows(grad[piece]).copy_(probabilities.mul_(basis @ plane[piece]))
        return grad, None
