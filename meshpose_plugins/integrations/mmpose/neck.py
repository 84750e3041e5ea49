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
    """Merge all levels into the finest one, and give a coarse map along with it.

    Like the top-down path of FPN (Lin et al., CVPR 2017), with norms and activations, without the output
    convolutions of the levels that nobody reads: in a small network those and their unused weights cost too
    much.

    Args:
        in_channels: channels of every level, finest first; each level has half the resolution of the one
            before.
        out_channels: channels of the merged map.
        num_convs: 3x3 convolutions on the merged map.
        num_blocks: residual blocks of two 3x3 convolutions on what has been merged at every level, finest
            first; on coarse maps they see the whole body and cost little. They start out as identity: weights
            of a neck without them stay as good as they were. None: no blocks.
        coarse_level: level whose merged map, after its blocks, is the second output, out_channels wide;
            None: the coarsest input as it comes.
        norm_cfg: config of the norms.
        act_cfg: config of the activations.
        init_cfg: MMEngine's initialisation config.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int, num_convs: int = 1,
                 num_blocks: Optional[Sequence[int]] = None, coarse_level: Optional[int] = None,
                 norm_cfg: dict = dict(type="BN"), act_cfg: dict = dict(type="ReLU"),
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.in_channels = tuple(in_channels)
        num_blocks = (0,) * len(self.in_channels) if num_blocks is None else tuple(num_blocks)
        if len(num_blocks) != len(self.in_channels) or min(num_blocks) < 0:
            raise ValueError(f"FinestLevelFPN(num_blocks={list(num_blocks)}): one number from 0 for each of the "
                             f"{len(self.in_channels)} levels of in_channels")
        if coarse_level is not None and not 0 <= coarse_level < len(self.in_channels):
            raise ValueError(f"FinestLevelFPN(coarse_level={coarse_level}): one of the levels 0 to "
                             f"{len(self.in_channels) - 1} of in_channels, or None")
        self.coarse_level = coarse_level
        self.laterals = nn.ModuleList(
            ConvModule(channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)
            for channels in in_channels)
        self.blocks = nn.ModuleList(
            nn.Sequential(*[_ResidualBlock(out_channels, norm_cfg, act_cfg) for _ in range(count)])
            for count in num_blocks)
        self.convs = nn.Sequential(*[
            ConvModule(out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg)
            for _ in range(num_convs)])

    def forward(self, inputs: Sequence[Tensor]) -> List[Tensor]:
        """Merge.

        Args:
            inputs: one map (B, C_i, h_i, w_i) per level, finest first.

        Returns:
            the merged map (B, out_channels, h_0, w_0) and the coarsest input, or with ``coarse_level`` what
            has been merged there, (B, out_channels, h_k, w_k).
        """
        if len(inputs) != len(self.in_channels):
            raise ValueError(f"FinestLevelFPN(in_channels={list(self.in_channels)}) got {len(inputs)} levels: list "
                             "the channels of all levels of backbone.out_indices")
        merged = [self.blocks[-1](self.laterals[-1](inputs[-1]))]  # finest first
        for k in range(len(inputs) - 2, -1, -1):
            upsampled = functional.interpolate(merged[0], size=inputs[k].shape[-2:], mode="nearest")
            merged.insert(0, self.blocks[k](self.laterals[k](inputs[k]) + upsampled))
        coarse = inputs[-1] if self.coarse_level is None else merged[self.coarse_level]
        return [self.convs(merged[0]), coarse]


class _ResidualBlock(nn.Module):
    """``x + norm(conv(act(norm(conv(x)))))``; the last norm (without norms: convolution) starts out as zero."""

    def __init__(self, channels: int, norm_cfg: dict, act_cfg: dict) -> None:
        super().__init__()
        self.conv1 = ConvModule(channels, channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.conv2 = ConvModule(channels, channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=None)
        last = self.conv2.norm if self.conv2.with_norm else self.conv2.conv
        nn.init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x))
