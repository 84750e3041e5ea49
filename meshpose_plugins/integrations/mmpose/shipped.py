"""Models by name: 'anny-lite' stands for weights inside this package, which carry their own config."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader

from meshpose_plugins.deploy.weights import find_weights, read_metadata, unreadable_reason
from meshpose_plugins.integrations.mmpose.checkpoints import load_from_safetensors
from meshpose_plugins.integrations.mmpose.config_text import parse_config_text, read_config

SCHEME = 'meshpose://'


def load_config(source: str | Path) -> Config:
    """The config of a shipped model, of a weights file, of a training checkpoint, or of a config file.

    Args:
        source: 'anny-lite', a .safetensors or .pth file, or a config's .py file.

    Returns:
        the config; pass it to MMPose's `init_model`.

    Raises:
        FileNotFoundError: if it does not exist.
        ValueError: if there is no readable config in it.
    """
    path = Path(str(source)).expanduser()
    if path.suffix in ('.py', '.json', '.yaml', '.yml'):
        return read_config(path)
    path = find_weights(source)
    if path.suffix == '.safetensors':
        return parse_config_text(read_metadata(path).config, str(path))
    return _config_of_checkpoint(load_checkpoint_file(path), path)


def load_checkpoint_file(path: str | Path) -> dict:
    """Load a weights file or training checkpoint to the CPU, without unpickling objects.

    Args:
        path: shipped name, .safetensors or .pth file.

    Returns:
        dict with state_dict and meta.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is broken, no checkpoint, or holds pickled objects.
    """
    path = find_weights(path)
    if path.suffix == '.safetensors':
        return load_from_safetensors(str(path))
    try:
        checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch raises five kinds for broken and refused files
        raise ValueError(f'checkpoint {path} cannot be loaded: {unreadable_reason(error)}') from None
    if not isinstance(checkpoint, dict) or 'state_dict' not in checkpoint:
        raise ValueError(
            f'checkpoint {path}: expected a dict with the field state_dict, as MMEngine writes it'
        )
    return checkpoint


def _config_of_checkpoint(checkpoint: dict, path: Path) -> Config:
    text = checkpoint.get('meta', {}).get('cfg')
    if not isinstance(text, str):
        raise ValueError(f'checkpoint {path}: field meta.cfg is missing: pass --config FILE')
    return parse_config_text(text, str(path))


def load_from_shipped(filename: str, map_location=None) -> dict:
    """Load 'meshpose://anny-lite' as an MMEngine checkpoint.

    Args:
        filename: the scheme and a shipped name.
        map_location: device, as of torch.load.

    Returns:
        dict of state_dict and meta.
    """
    return load_from_safetensors(str(find_weights(filename)), map_location)


CheckpointLoader.register_scheme(prefixes=SCHEME, loader=load_from_shipped, force=True)
