"""A feature pyramid that computes only the one level that the heatmaps need."""
from __future__ import annotations

from typing import List, Optional, Sequence

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional


@MODELS.register_module()
class FinestLevelFPN(BaseModule):
    """Merge all levels into the finest one, and pass the coarsest one through as it is.

    Like the top-down path of FPN (Lin et al., CVPR 2017), with norms and activations, without the output
    convolutions of the levels that nobody reads: in a small network those and their unused weights cost too
    much.

    Args:
        in_channels: channels of every level, finest first; each level has half the resolution of the one
            before.
        out_channels: channels of the merged map.
        num_convs: 3x3 convolutions on the merged map.
        norm_cfg: config of the norms.
        act_cfg: config of the activations.
        init_cfg: MMEngine's initialisation config.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int, num_convs: int = 1,
                 norm_cfg: dict = dict(type="BN"), act_cfg: dict = dict(type="ReLU"),
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.in_channels = tuple(in_channels)
        self.laterals = nn.ModuleList(
            ConvModule(channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)
            for channels in in_channels)
        self.convs = nn.Sequential(*[
            ConvModule(out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg)
            for _ in range(num_convs)])

    def forward(self, inputs: Sequence[Tensor]) -> List[Tensor]:
        """Merge.

        Args:
            inputs: one map (B, C_i, h_i, w_i) per level, finest first.

        Returns:
            the merged map (B, out_channels, h_0, w_0) and the coarsest input.
        """
        if len(inputs) != len(self.in_channels):
            raise ValueError(f"FinestLevelFPN(in_channels={list(self.in_channels)}) got {len(inputs)} levels: list "
                             "the channels of all levels of backbone.out_indices")
        merged = self.laterals[-1](inputs[-1])
        for lateral, level in zip(list(self.laterals)[-2::-1], inputs[-2::-1]):
            upsampled = functional.interpolate(merged, size=level.shape[-2:], mode="nearest")
            merged = lateral(level) + upsampled
        return [self.convs(merged), inputs[-1]]
