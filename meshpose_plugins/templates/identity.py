"""The template of a checkpoint: stored with its weights, compared when they are loaded."""

from __future__ import annotations

import hashlib
from typing import Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from .template import MeshTemplate

NAME_BYTES = 48
DIGEST_BYTES = 16


def encode_template_id(template: MeshTemplate) -> Tensor:
    """Name and digest of a template as bytes that fit into a state dict.

    Args:
        template: its name, and as far as they are known its faces, source vertices, symmetry and seams count,
            without any faces the number of vertices too; not its rest shape or upsampler.

    Returns:
        int64, (64,): the name in UTF-8, padded with zeros to 48 bytes, and 16 bytes of SHA-256. Not uint8:
        several processes average their buffers, and a sum of bytes overflows.
    """
    digest = hashlib.sha256()
    known = [getattr(template, name) for name in ("faces", "source_vertex_ids", "symmetry")
             if template.knows(name)]
    count = [] if template.knows("faces") else [template.num_vertices]
    for array in (*known, template.seams, count):
        digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
    name = template.name.encode()[:NAME_BYTES].ljust(NAME_BYTES, b"\0")
    return torch.frombuffer(bytearray(name + digest.digest()[:DIGEST_BYTES]), dtype=torch.uint8).long()


def decode_template_id(template_id: Tensor) -> Tuple[str, str]:
    """Name and digest (hexadecimal) of what :func:`encode_template_id` returned."""
    data = template_id.detach().cpu().to(torch.uint8).numpy().tobytes()
    return data[:NAME_BYTES].rstrip(b"\0").decode(errors="replace"), data[NAME_BYTES:].hex()


def check_template_id(template: MeshTemplate, stored: Optional[Tensor], option: str = "template") -> None:
    """Raise ValueError if a checkpoint was trained with another template.

    Args:
        template: of the model.
        stored: ``template_id`` of the checkpoint; None (a checkpoint without one) passes.
        option: what the model's template is called in its config, for the message.
    """
    if stored is None:
        return
    name, digest = decode_template_id(stored)
    own_name, own_digest = decode_template_id(encode_template_id(template))
    if digest == own_digest:
        return
    if name == own_name:
        raise ValueError(
            f"the checkpoint was trained with another build of the template '{name}' (digest {digest}) than the "
            f"installed one (digest {own_digest}): train again, or give the path of its .npz as {option}"
        )
    raise ValueError(
        f"wrong template for the checkpoint: it was trained with '{name}', the config says "
        f"{option}='{own_name}': set template='{name}' in the config or load another checkpoint"
    )
