"""Random choices among a few things: like NumPy's ``choice``, without turning them into an array each time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

import numpy as np

Option = TypeVar('Option')


def pick(rng: np.random.Generator, options: Sequence[Option], shares: Sequence[float] | None = None) -> Option:
    """Return one of the options.

    Args:
        options: at least one.
        shares: how often each is taken, summing to 1; equally often when not given.
    """
    value = rng.random()
    if shares is None:
        return options[int(value * len(options))]
    for option, end in zip(options, accumulate(shares)):
        if value < end:
            return option
    return options[-1]
