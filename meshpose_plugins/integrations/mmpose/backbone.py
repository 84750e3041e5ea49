"""HRNet that ends in one map: MMPose's backbone with another last fusion."""
from __future__ import annotations

from typing import List

from mmcv.cnn import build_conv_layer, build_norm_layer
from mmengine.model import BaseModule
from mmpose.models.backbones.hrnet import HRModule, HRNet
from mmpose.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class FinalFuseHRNet(HRNet):
    """HRNet whose last module projects all branches to the same channels and sums them at stride 4.

    A backbone, not HRNet with a neck, for two reasons. It is the reference model: stock HRNet with all
    branches exchanges features among them once more before a neck could project them, 0.8 M parameters that
    the reference does not have. And the new layers take the place and the names that HRNet's own last fusion
    has (``stage4.2.fuse_layers.0``), so that MMPose's HRNet checkpoints and the published one load name by
    name.

    Args:
        out_channels: channels of the map.
        **kwargs: arguments of MMPose's HRNet; ``extra['upsample']`` also holds for the last fusion.
    """

    def __init__(self, *args, out_channels: int = 256, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.stage4[-1] = FinalFuse(self.stage4[-1], out_channels)
        self._freeze_stages()


class FinalFuse(BaseModule):
    """Branches of an HRModule, then a 1x1 convolution and norm each, upsampling to the finest, sum, ReLU.

    Args:
        module: gives the branches, finest first, each at half the resolution of the one before.
        out_channels: channels of the map.
    """

    def __init__(self, module: HRModule, out_channels: int) -> None:
        super().__init__()
        self.branches = module.branches
        self.fuse_layers = nn.ModuleList([nn.ModuleList([
            nn.Sequential(
                build_conv_layer(module.conv_cfg, channels, out_channels, kernel_size=1, bias=False),
                build_norm_layer(module.norm_cfg, out_channels)[1],
                nn.Upsample(scale_factor=2 ** level, **module.upsample_cfg) if level else nn.Identity())
            for level, channels in enumerate(module.in_channels)])])
        self.relu = nn.ReLU(inplace=True)

    def forward(self, levels: List[Tensor]) -> List[Tensor]:
        """One map (B, out_channels, h, w), in a list, of the levels (B, C_i, h / 2^i, w / 2^i)."""
        fused = 0
        for branch, fuse, level in zip(self.branches, self.fuse_layers[0], levels):
            fused = fused + fuse(branch(level))
        return [self.relu(fused)]
