"""Weights of the MeshPose head between frameworks: the same tensors under each framework's names."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from meshpose_plugins.deploy.weights import load_strictly, unreadable_reason
from meshpose_plugins.templates.identity import check_template_id

#: Where the network (``network.*``) and the template's identity stand in a model's state dict.
PREFIXES = {'mmpose': 'head.', 'detectron2': 'roi_heads.meshpose_predictor.'}
#: What an integration's own layers before the network are called; they are not shared.
_SHARED = ('network.', 'template_id')


def head_weights(state_dict: dict[str, Tensor], source: str | Path = 'state_dict') -> dict[str, Tensor]:
    """Take the shared head out of a whole model's weights.

    Args:
        state_dict: of a model of MMPose or detectron2, with or without 'module.' before the names.
        source: the file, for messages.

    Returns:
        name -> tensor, names beginning with 'network.', and 'template_id' where the model has one.

    Raises:
        ValueError: there is no MeshPose head in it.
    """
    state_dict = {name.removeprefix('module.'): tensor for name, tensor in state_dict.items()}
    for prefix in PREFIXES.values():
        found = {
            name.removeprefix(prefix): tensor
            for name, tensor in state_dict.items()
            if name.startswith(tuple(prefix + part for part in _SHARED))
        }
        if any(name.startswith('network.') for name in found):
            return found
    raise ValueError(
        f'{source}: no MeshPose head: no name begins with '
        + ' or '.join(f"'{prefix}network.'" for prefix in PREFIXES.values())
    )


def load_head_weights(head: torch.nn.Module, weights: dict[str, Tensor], source: str | Path) -> None:
    """Load a shared head into a head of either framework.

    Args:
        head: MMPose's ``MeshPoseHead`` or detectron2's ``MeshPosePredictor``: it has ``network`` and
            ``template``.
        weights: what :func:`head_weights` returned.
        source: the file, for messages.

    Raises:
        ValueError: another template, or tensors that are missing, unknown or of another shape.
    """
    check_template_id(head.template, weights.get('template_id'))
    network = {
        name.removeprefix('network.'): tensor
        for name, tensor in weights.items()
        if name.startswith('network.')
    }
    load_strictly(head.network, network, source)


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint of either framework, or of a .safetensors file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read without running code of its author, or holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint {path} does not exist')
    try:
        if path.suffix == '.safetensors':
            from safetensors.torch import load_file

            return {
                name: value.float() if value.is_floating_point() else value
                for name, value in load_file(path).items()
            }
        content = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        raise ValueError(f'{path} cannot be read as tensors: {unreadable_reason(error)}') from None
    for name in ('state_dict', 'model'):
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f'{path}: no tensors by name, nor under state_dict (MMPose) or model (detectron2)')
    return tensors


def convert_head_weights(source: str | Path, destination: str | Path, framework: str) -> Path:
    """Write the head of a checkpoint under the names of another framework.

    Both frameworks load such a file over a model and leave the rest of the model as it is: MMPose by
    ``load_from``, detectron2 by ``MODEL.WEIGHTS``.

    Args:
        source: checkpoint of either framework.
        destination: ``.safetensors`` or ``.pth`` for MMPose, ``.pth`` for detectron2.
        framework: 'mmpose' or 'detectron2', which is to read it.

    Returns:
        the destination.
    """
    import io

    from meshpose_plugins.files import write_atomically

    destination = Path(destination)
    if framework not in PREFIXES:
        raise ValueError(f'framework: expected one of {", ".join(PREFIXES)}, got {framework!r}')
    suffixes = ('.pth', '.safetensors') if framework == 'mmpose' else ('.pth',)
    if destination.suffix not in suffixes:
        raise ValueError(f'{destination}: a file for {framework} ends in {" or ".join(suffixes)}')
    weights = {
        PREFIXES[framework] + name: tensor.contiguous()
        for name, tensor in head_weights(read_state_dict(source), source).items()
    }
    if destination.suffix == '.safetensors':
        from safetensors.torch import save

        return write_atomically(destination, save(weights))
    buffer = io.BytesIO()
    torch.save({'state_dict' if framework == 'mmpose' else 'model': weights}, buffer)
    return write_atomically(destination, buffer.getvalue())
