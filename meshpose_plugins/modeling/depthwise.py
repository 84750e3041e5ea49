"""A depthwise convolution whose training in bfloat16 on CPUs doesn't fall into oneDNN's slow path."""
from __future__ import annotations

import torch
from torch import Tensor, nn


class Float32DepthwiseConv2d(nn.Conv2d):
    """``torch.nn.Conv2d``; strided depthwise ones train in float32 on CPUs, also under bfloat16 autocast.

    oneDNN has no fast kernel for the gradient of a strided depthwise convolution in bfloat16: the three of a
    MobileNetV2 at 128 x 96 take more than a quarter of a training step of the light config with ``--amp``,
    and a tenth to a fortieth of that in float32, casts included. The result is cast back. Elsewhere
    (inference, export, GPUs, other convolutions) it is the plain convolution.

    In a config: ``backbone=dict(type='MobileNetV2', conv_cfg=dict(type='Float32DepthwiseConv2d'))``. The
    arguments are those of ``torch.nn.Conv2d``. ``tools/benchmark_depthwise.py`` measures it.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve (B, C, H, W)."""
        strided_depthwise = self.groups == self.in_channels > 1 and max(self.stride) > 1
        if not (strided_depthwise and self.training and input.device.type == "cpu"):
            return super()._conv_forward(input, weight, bias)
        dtype = torch.promote_types(input.dtype, torch.float32)
        weight, bias = weight.to(dtype), None if bias is None else bias.to(dtype)
        with torch.autocast("cpu", enabled=False):
            return super()._conv_forward(input.to(dtype), weight, bias).to(input.dtype)
