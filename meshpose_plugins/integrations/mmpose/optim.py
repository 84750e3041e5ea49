"""Mixed precision where there is no GPU."""
from __future__ import annotations

from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmpose.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Run forward passes under bfloat16 autocast, on CPUs too, where MMEngine's AmpOptimWrapper refuses to.

    bfloat16 has float32's range, so no loss scaling is needed.

    Args:
        device_type: device that autocasts, 'cpu' or 'cuda'.
        **kwargs: as in MMEngine's OptimWrapper.
    """

    def __init__(self, device_type: str = "cpu", **kwargs) -> None:
        super().__init__(**kwargs)
        self.device_type = device_type

    @contextmanager
    def optim_context(self, model: torch.nn.Module):
        """Accumulate gradients as OptimWrapper does, with autocast on."""
        with super().optim_context(model), torch.autocast(self.device_type, dtype=torch.bfloat16):
            yield
