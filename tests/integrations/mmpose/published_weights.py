"""Files like the published checkpoints, with seeded random weights: names and shapes are the true ones."""
from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Dict

import numpy as np
import torch

HERE = Path(__file__).parent
CONFIG = Path(__file__).resolve().parents[3] / "configs/mmpose/meshpose_hrnet-w32_published_384x288.py"
SALT = "open"


def golden() -> Dict[str, np.ndarray]:
    """What the reference implementation computed from these weights and :func:`golden_input`, float32."""
    with np.load(HERE / "published_golden.npz") as file:
        return dict(file)


def golden_input() -> torch.Tensor:
    return torch.from_numpy(_generator("input").uniform(-1, 1, (1, 3, 384, 288)).astype(np.float32))


def network_tensors() -> Dict[str, torch.Tensor]:
    return {name: _tensor(name, name, shape) for name, shape in _layout("model.root").items()}


def upsampler_tensors() -> Dict[str, torch.Tensor]:
    layout = _layout("model.VERTEX_UPSAMPLE")
    return {name: _tensor(name, f"VERTEX_UPSAMPLE.{name}", shape) for name, shape in layout.items()}


def _layout(part: str) -> Dict[str, list]:
    return json.loads(gzip.decompress((HERE / "published_layout.json.gz").read_bytes()))[part]


def _generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(f"{SALT}/{name}".encode())))


def _tensor(name: str, seed: str, shape: list) -> torch.Tensor:
    rng, leaf = _generator(seed), name.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return torch.tensor(0)
    if leaf == "grid":
        return torch.from_numpy(np.stack(np.mgrid[:shape[0], :shape[1]], -1))
    if leaf == "positions":
        return torch.arange(shape[0], dtype=torch.float32)
    if leaf == "running_mean" or leaf == "bias":
        values = 0.1 * rng.standard_normal(shape)
    elif leaf == "running_var":
        values = 0.5 + rng.random(shape)
    elif leaf == "weight" and len(shape) == 1:
        values = 0.25 + 0.25 * rng.random(shape)
    else:
        values = rng.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32))
