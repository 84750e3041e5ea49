"""Shipped weights: one safetensors file that carries the network, its config and its figures.

The file's metadata holds the full text of the config, so that a model needs nothing but this file: neither
the config folder nor a network connection. Nothing in it is pickled.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from meshpose_plugins.files import write_atomically

FORMAT = 'meshpose_plugins.weights'
VERSION = 1
ASSETS = Path(__file__).resolve().parent.parent / 'assets'
SHIPPED = {'anny-lite': 'meshpose_mobilenetv2_lite_anny_128x96.safetensors'}


@dataclass(frozen=True)
class WeightsMetadata:
    """What a weights file says about itself.

    Args:
        template: name of the mesh template the network predicts.
        num_vertices: its number of vertices V.
        config: full text of the training config (MMEngine's Python syntax).
        figures: name of the evaluation set -> {metric: number}.
        notes: free facts, e.g. data, seed, command.
    """

    template: str
    num_vertices: int
    config: str
    figures: dict = field(default_factory=dict)
    notes: dict = field(default_factory=dict)


def find_weights(name_or_path: str | Path) -> Path:
    """The file behind a shipped name ('anny-lite', 'meshpose://anny-lite') or a path.

    Args:
        name_or_path: a name of `SHIPPED`, with or without the 'meshpose://' prefix, or a file's path.

    Returns:
        the existing file.

    Raises:
        FileNotFoundError: naming what was asked for and the names that are shipped.
    """
    name = str(name_or_path).removeprefix('meshpose://')
    path = ASSETS / SHIPPED[name] if name in SHIPPED else Path(name).expanduser()
    if path.is_file():
        return path
    if name in SHIPPED:
        raise FileNotFoundError(
            f'the weights {name!r} are not part of this installation: {path} is missing; '
            f'reinstall the package, or pass a checkpoint file'
        )
    raise FileNotFoundError(
        f'checkpoint {name} does not exist; expected a file, or one of {", ".join(SHIPPED)}'
    )


def save_weights(
    path: str | Path, state_dict: dict[str, Tensor], metadata: WeightsMetadata, half: bool = True
) -> Path:
    """Write a weights file.

    Args:
        path: ends with .safetensors; written under a temporary name, then renamed.
        state_dict: name -> tensor.
        metadata: see `WeightsMetadata`.
        half: matrices and kernels in float16; vectors (norms, biases) stay float32, they cost little.

    Returns:
        the path.

    Raises:
        ValueError: if the name has another ending, or a value is not finite or does not fit into float16.
    """
    from safetensors.torch import save

    path = Path(path)
    if path.suffix != '.safetensors':
        raise ValueError(f'weights file: expected a name ending with .safetensors, got {path.name!r}')
    tensors = {name: _stored(name, tensor, half) for name, tensor in state_dict.items()}
    header = dict(
        format=FORMAT,
        version=str(VERSION),
        template=metadata.template,
        num_vertices=str(metadata.num_vertices),
        cfg=metadata.config,
        figures=json.dumps(metadata.figures),
        notes=json.dumps(metadata.notes),
    )
    return write_atomically(path, save(tensors, metadata=header))


def _stored(name: str, tensor: Tensor, half: bool) -> Tensor:
    """One tensor as it goes into the file."""
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor.clone()
    if not torch.isfinite(tensor).all():
        raise ValueError(f'weights: {name} has values that are not finite')
    stored = tensor.to(torch.float16 if half and tensor.ndim > 1 else torch.float32, copy=True)
    if not torch.isfinite(stored).all():
        raise ValueError(
            f'weights: {name} does not fit into float16 (largest value {tensor.abs().max():g}); '
            f'store it in full precision (--full-precision)'
        )
    return stored


def read_metadata(path: str | Path) -> WeightsMetadata:
    """Read what a weights file says about itself, without its tensors.

    Args:
        path: file or shipped name.

    Returns:
        the metadata.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no weights file of this library, naming the field that is missing or wrong.
    """
    from safetensors import SafetensorError, safe_open

    path = find_weights(path)
    try:
        with safe_open(str(path), framework='pt') as file:
            header = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(f'{path}: not a safetensors file, or a truncated one ({error})') from None
    if header.get('format') != FORMAT:
        raise ValueError(
            f'{path}: metadata field format: expected {FORMAT!r}, got {header.get("format")!r}; '
            f'make it with tools/publish_weights.py'
        )
    if header.get('version') != str(VERSION):
        raise ValueError(
            f'{path}: metadata field version: this library reads {VERSION}, got {header.get("version")!r}'
        )
    try:
        return WeightsMetadata(
            template=header['template'],
            num_vertices=int(header['num_vertices']),
            config=header['cfg'],
            figures=json.loads(header['figures']),
            notes=json.loads(header['notes']),
        )
    except (KeyError, ValueError) as error:
        raise ValueError(f'{path}: metadata: {error!r}') from None


def checkpoint_weights(checkpoint: dict, source: str) -> dict[str, Tensor]:
    """The weights to ship from a training checkpoint: the averaged (EMA) ones where there are any.

    MMEngine's EMAHook stores the averaged weights under 'state_dict' and the last step's under
    'ema_state_dict', so that 'state_dict' is what one wants either way.

    Args:
        checkpoint: what the trainer saved.
        source: the file, for messages.

    Returns:
        name -> tensor, without a 'module.' prefix.

    Raises:
        ValueError: if there are no weights in it.
    """
    weights = checkpoint.get('state_dict')
    if not isinstance(weights, dict) or not weights:
        raise ValueError(
            f'{source}: field state_dict: expected the weights by name, got {type(weights).__name__}'
        )
    return {name.removeprefix('module.'): tensor for name, tensor in weights.items()}


def unreadable_reason(error: Exception) -> str:
    """The first line of what torch says about a file, or the kind of error where that is a bare code.

    What torch says of a file with more than tensors, or with none, is left out: it advises to run whatever
    code the file brings.
    """
    if 'weights_only' in str(error).lower():
        return (
            'no file of tensors and plain values alone. If it is a checkpoint and you trust where it comes '
            'from, rewrite it first: meshpose plain-checkpoint SOURCE DESTINATION'
        )
    line = (str(error).splitlines() or [''])[0]
    return line if ' ' in line else f'no file of tensors ({type(error).__name__})'


def load_strictly(model: torch.nn.Module, state_dict: dict[str, Tensor], source: str | Path) -> None:
    """Load weights that must fit a network completely.

    Args:
        model: the network.
        state_dict: name -> tensor.
        source: the file, for messages.

    Raises:
        ValueError: naming the file and the first tensors that are missing, unknown or of another shape, or
            what else torch refused; the network may then hold a part of the weights.
    """
    own = model.state_dict()
    state_dict = {name.removeprefix('module.'): tensor for name, tensor in state_dict.items()}
    problems = [
        f'{name} is missing' for name in own if name not in state_dict and 'num_batches_tracked' not in name
    ]
    problems += [f'{name} is not in the model' for name in state_dict if name not in own]
    problems += [
        f'{name} is {tuple(state_dict[name].shape)}, the config makes it {tuple(own[name].shape)}'
        for name in own
        if name in state_dict and own[name].shape != state_dict[name].shape
    ]
    try:
        model.load_state_dict(state_dict, strict=False)
    except ValueError as error:  # the model's own check, e.g. of the template
        raise ValueError(f'{source}: {error}') from None
    except RuntimeError as error:
        if not problems:  # wrong shapes are said better by the list
            raise ValueError(f'{source} cannot be loaded: {error}') from error
    if problems:
        raise ValueError(
            f'{source} does not fit the config: '
            + '; '.join(problems[:4])
            + (f' (and {len(problems) - 4} more)' if len(problems) > 4 else '')
        )
