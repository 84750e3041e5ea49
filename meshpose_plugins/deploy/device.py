"""Where to compute."""

from __future__ import annotations

import torch


def resolve_device(device: str | None = None) -> str:
    """The torch device behind what the user typed.

    Args:
        device: 'cpu', 'cuda', 'cuda:1', ..., or None or 'auto': the GPU where there is one, else the CPU.

    Returns:
        a device that exists.

    Raises:
        ValueError: naming the device and what is there instead.
    """
    if device in (None, 'auto'):
        return 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        there = f'cpu and {torch.cuda.device_count()} cuda' if torch.cuda.is_available() else 'only cpu'
        raise ValueError(
            f'device {device!r} is not available here (there is {there}): ' f'{str(error).splitlines()[0]}'
        ) from None
    return device
