"""How much of a module a checkpoint of another network fills."""
from __future__ import annotations

from typing import Dict, Optional

from mmengine.model import BaseModule
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor


def report_pretrained(module: BaseModule, name: str) -> Optional[str]:
    """Say how much of a module its ``init_cfg=dict(type='Pretrained', ...)`` fills.

    MMEngine loads what fits and prints every name that does not; this counts.

    Args:
        module: before or after ``init_weights``.
        name: of the module, for the message.

    Returns:
        one line, or None if the module has no such init_cfg.

    Raises:
        ValueError: no tensor of the checkpoint fits, as with a wrong prefix.
    """
    configs = module.init_cfg if isinstance(module.init_cfg, (list, tuple)) else [module.init_cfg]
    config = next((config for config in configs if config and config["type"] == "Pretrained"), None)
    if config is None:
        return None
    checkpoint, prefix = config["checkpoint"], config.get("prefix") or ""
    own, theirs = module.state_dict(), _tensors(checkpoint, prefix)
    loaded = [key for key in own if key in theirs and own[key].shape == theirs[key].shape]
    if not loaded:
        found = _some(list(theirs) or list(_tensors(checkpoint, "")))
        raise ValueError(f"{name}.init_cfg: no tensor of {checkpoint} with the prefix '{prefix}' fits the "
                         f"{name}; the file has {found}: change prefix or checkpoint")
    groups = {"missing in it": [key for key in own if key not in theirs],
              "of another shape": [key for key in own if key in theirs and own[key].shape != theirs[key].shape],
              "of it unexpected": [key for key in theirs if key not in own]}
    return (f"{name}: loaded {len(loaded)} of {len(own)} tensors from {checkpoint}"
            + "".join(f"; {len(keys)} {what}{_some(keys, ' (%s)')}" for what, keys in groups.items()))


def _tensors(checkpoint: str, prefix: str) -> Dict[str, Tensor]:
    """Tensors whose names begin with the prefix, by the rest of the name."""
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location="cpu", logger="silent")
    state = {key.removeprefix("module."): value for key, value in content.get("state_dict", content).items()}
    prefix = f"{prefix}." if prefix and not prefix.endswith(".") else prefix
    return {key[len(prefix):]: value for key, value in state.items() if key.startswith(prefix)}


def _some(keys: list, form: str = "%s") -> str:
    return form % (", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")) if keys else ""
