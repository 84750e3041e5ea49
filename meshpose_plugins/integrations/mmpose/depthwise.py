"""A depthwise convolution whose training on CPUs doesn't fall into oneDNN's slow path."""
from __future__ import annotations

from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional


@MODELS.register_module()
class SubsampledDepthwiseConv2d(nn.Conv2d):
    """``torch.nn.Conv2d``; strided depthwise ones train as a convolution of stride 1 that is subsampled.

    The same values, gradients and parameters. oneDNN has fast kernels for the gradient of a depthwise
    convolution at stride 1, none at stride 2: on a CPU the three strided ones of a MobileNetV2 at 128 x 96
    take more than a quarter of a training step of the light config, and next to nothing this way. Elsewhere
    (inference, export, GPUs, other convolutions) it is the plain convolution.

    In a config: ``backbone=dict(type='MobileNetV2', conv_cfg=dict(type='SubsampledDepthwiseConv2d'))``. The
    arguments are those of ``torch.nn.Conv2d``.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve (B, C, H, W)."""
        strided_depthwise = (self.groups == self.in_channels > 1 and max(self.stride) > 1
                             and self.padding_mode == "zeros")
        if not (strided_depthwise and self.training and input.device.type == "cpu"):
            return super()._conv_forward(input, weight, bias)
        dense = functional.conv2d(input, weight, bias, 1, self.padding, self.dilation, self.groups)
        return dense[..., ::self.stride[0], ::self.stride[1]]
