"""Silhouette loss: the mesh covers the person's mask, and nothing else."""
from __future__ import annotations

import math
from typing import Optional, Tuple

import torch
from torch import Tensor
from torch.nn import functional

from meshpose_plugins.modeling import MeshPoseOutput
from meshpose_plugins.modeling.output import at_least_float32
from meshpose_plugins.rendering.soft_silhouette import SilhouetteRasterizer

from .base import MeshPoseLoss, check_shape, masked_mean, mesh_table
from .mesh import check_which
from .targets import MeshPoseTargets


class SilhouetteLoss(MeshPoseLoss):
    """``1 - sum min(S, M) / sum max(S, M)``, the soft intersection over union of silhouette and mask.

    S is the mesh's coverage of every heatmap pixel, M the mask's; both are blurred alike, so that a limb that
    misses its place in the mask still feels the pull (our choice). It is 0 where S = M, also in pixels
    covered in part. What is ignored is zero in both before they are blurred. Mean over people with a mask.

    Args:
        faces: vertex ids of every face, counter-clockwise seen from outside, (F, 3); give this or
            ``template``.
        template: name or path of the template whose faces are taken.
        loss_weight: factor of this loss in the sum.
        which: 'fused' or 'regressed'.
        softness: standard deviation of the blur, heatmap px; 0: none.
    """

    def __init__(self, faces=None, template: Optional[str] = None, loss_weight: float = 1.0,
                 which: str = "fused", softness: float = 1.0) -> None:
        super().__init__(loss_weight)
        if softness < 0:
            raise ValueError(f"SilhouetteLoss: softness must be at least 0, got {softness}")
        self.rasterizer = SilhouetteRasterizer(mesh_table(self, "faces", faces, template))
        self.which = check_which(which, ("fused", "regressed"))
        self.softness = float(softness)

    def forward(self, xy: Tensor, mask: Tensor, valid: Tensor, weight: Optional[Tensor] = None) -> Tensor:
        """Mean over all people with a mask.

        Args:
            xy: predicted vertices (x, y), heatmap px, (B, V, 2).
            mask: covered part of every heatmap pixel, in [0, 1], (B, h, w).
            valid: which masks there are, bool, (B,).
            weight: what of every pixel counts, in [0, 1], (B, h, w); None: all of it.

        Returns:
            scalar in [0, 1].
        """
        batch, height, width = mask.shape
        check_shape("xy", xy, batch, "V", 2)
        check_shape("valid", valid, batch)
        weight = torch.ones_like(mask) if weight is None else weight
        check_shape("weight", weight, batch, height, width)
        xy = at_least_float32(xy)
        mask, weight = mask[valid].to(xy.dtype), weight[valid].to(xy.dtype)
        with torch.autocast(xy.device.type, enabled=False):
            silhouette = self.rasterizer(xy[valid], height, width)
            silhouette, mask = self._blur(silhouette * weight), self._blur(mask * weight)
        common = torch.minimum(silhouette, mask).sum((1, 2))
        union = torch.maximum(silhouette, mask).sum((1, 2))
        cost = 1 - (common + 1e-6) / (union + 1e-6)
        return masked_mean(cost, torch.ones_like(cost, dtype=torch.bool))

    def from_output(self, output: MeshPoseOutput, targets: MeshPoseTargets) -> Tensor:
        predicted = output.xyz_crop if self.which == "fused" else output.xyz_regressed
        xy = predicted[..., :2] / output.stride
        size = tuple(output.heatmaps.shape[2:])
        if targets.person_mask is None:
            nobody = torch.zeros(len(targets), dtype=torch.bool, device=xy.device)
            return self(xy, xy.new_zeros(len(targets), *size), nobody)
        mask = mask_at_stride(targets.person_mask, output.stride, size)
        weight = None
        if targets.ignore_mask is not None:
            weight = mask_at_stride(1 - targets.ignore_mask, output.stride, size)
        return self(xy, mask, targets.person_mask_valid, weight)

    def _blur(self, picture: Tensor) -> Tensor:
        """Gaussian blur of (B, h, w), zeros outside."""
        if self.softness == 0:
            return picture
        radius = math.ceil(3 * self.softness)
        offsets = torch.arange(-radius, radius + 1, dtype=picture.dtype, device=picture.device)
        kernel = (-0.5 * (offsets / self.softness).square()).softmax(0)
        picture = functional.conv2d(picture[:, None], kernel[None, None, :, None], padding=(radius, 0))
        return functional.conv2d(picture, kernel[None, None, None], padding=(0, radius))[:, 0]


def mask_at_stride(mask: Tensor, stride: float, size: Tuple[int, int]) -> Tensor:
    """Bring masks from crop to heatmap resolution, where ``xy_crop = stride * xy_heatmap``.

    A heatmap pixel takes the mean over the ``stride`` x ``stride`` crop px around its centre; what lies
    outside the crop doesn't count.

    Args:
        mask: (B, H, W) crop px, or (B, h, w), which is returned as it is.
        stride: crop px per heatmap px.
        size: (h, w).

    Returns:
        (B, h, w), at least float32.

    Raises:
        ValueError: the mask has neither of the two sizes.
    """
    mask = at_least_float32(mask)
    if tuple(mask.shape[1:]) == tuple(size):
        return mask
    step = int(stride)
    if step != stride or tuple(length // step for length in mask.shape[1:]) != tuple(size):
        raise ValueError(f"masks must have the heatmaps' size (h, w) = {tuple(size)} or {stride:g} times it, "
                         f"got {tuple(mask.shape[1:])}")
    radius = step // 2
    kernel = mask.new_ones(2 * radius + 1)
    if step % 2 == 0:  # the outermost px belong to two heatmap pixels
        kernel[[0, -1]] = 0.5
    pictures = torch.stack([mask, torch.ones_like(mask)], 1).flatten(0, 1)[:, None]
    pictures = functional.conv2d(pictures, kernel[None, None, :, None], stride=(step, 1), padding=(radius, 0))
    pictures = functional.conv2d(pictures, kernel[None, None, None], stride=(1, step), padding=(0, radius))
    total, count = pictures[:, 0].unflatten(0, (-1, 2)).unbind(1)
    return total[:, :size[0], :size[1]] / count[:, :size[0], :size[1]]
