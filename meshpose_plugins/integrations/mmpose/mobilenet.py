"""MobileNetV2 that ends where the neck reads it last."""
from __future__ import annotations

from typing import Sequence

from mmpose.models.backbones import MobileNetV2
from mmpose.registry import MODELS


@MODELS.register_module()
class TrimmedMobileNetV2(MobileNetV2):
    """MMPose's MobileNetV2 without the layers after the last one of ``out_indices``.

    The stock one builds, stores and computes them all the same; the last two are half of its parameters, and
    distributed training refuses parameters that get no gradient. Names of the others stay, so that weights of
    the whole network load.

    Args:
        out_indices: layers, 0 to 7, whose outputs are returned.
        **kwargs: arguments of MMPose's MobileNetV2.
    """

    def __init__(self, out_indices: Sequence[int] = (7,), **kwargs) -> None:
        super().__init__(out_indices=tuple(out_indices), **kwargs)
        last = max(self.out_indices)
        if self.frozen_stages > last + 1:
            raise ValueError(f"TrimmedMobileNetV2(frozen_stages={self.frozen_stages}, out_indices="
                             f"{list(self.out_indices)}): stages 1 to {last + 1} are left")
        for name in self.layers[last + 1:]:
            delattr(self, name)
        del self.layers[last + 1:]
