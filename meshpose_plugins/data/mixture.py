"""Several data sets in one stream of samples: which sample of which set comes when, by arithmetic alone.

The order depends on sizes, ratio and seed only, and any place of it is found at once, so that processes share
it without talking and a resumed training goes on where it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

#: Ratios are kept exactly where their common denominator is at most this, else to this precision.
_FINEST = 10_000


def whole_ratio(ratio: Sequence[float]) -> list[int]:
    """Turn a ratio into the smallest whole numbers that say the same: (0.7, 0.3) to [7, 3].

    Args:
        ratio: a positive finite number per set.

    Raises:
        ValueError: there are none, or one is not positive and finite.
    """
    values = [float(value) for value in ratio]
    if not values or not all(math.isfinite(value) and value > 0 for value in values):
        raise ValueError(f'ratio must be positive numbers, one per data set, got {list(ratio)}')
    parts = [Fraction(value).limit_denominator(1000) for value in values]
    common = math.lcm(*(part.denominator for part in parts))
    whole = [int(part * common) for part in parts]
    divisor = math.gcd(*whole)
    if min(whole) == 0 or sum(whole) // divisor > _FINEST:
        return [max(1, round(value / sum(values) * _FINEST)) for value in values]
    return [number // divisor for number in whole]


def even_word(counts: Sequence[int]) -> np.ndarray:
    """Spread ``counts[s]`` places of each set s as evenly as possible over ``sum(counts)`` places.

    Returns:
        (sum(counts),) int64, the set at each place; any stretch of it holds each set in its share, within
        about one.
    """
    counts = np.asarray(counts, np.int64)
    period = int(counts.sum())
    word = np.empty(period, np.int64)
    used = np.zeros(len(counts), np.int64)
    for place in range(period):
        # The set that lags most behind its share.
        word[place] = np.argmax(counts * (place + 1) - used * period)
        used[word[place]] += 1
    return word


class Mixture:
    """The endless order of samples that one of several processes draws from some data sets.

    The sets follow one even pattern in every process, so that each batch has the ratio within about one
    sample. Of each set all processes together draw all samples in a random order before any comes again,
    then all in another random order.

    Args:
        sizes: number of samples of each set.
        ratio: how often each is drawn, e.g. (2, 1); None: in proportion to the sizes.
        seed: of the order.
        shuffle: False draws each set in its own order.
        rank, world_size: of the process, and their number.

    Raises:
        ValueError: an empty set, a ratio that does not fit, or a rank outside the world.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        ratio: Sequence[float] | None = None,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.sizes = [int(size) for size in sizes]
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f'each data set of a mixture needs at least one sample, got sizes {self.sizes}')
        ratio = self.sizes if ratio is None else ratio
        if len(ratio) != len(self.sizes):
            raise ValueError(
                f'ratio must have one number per data set ({len(self.sizes)}), got {list(ratio)}'
            )
        if not 0 <= rank < world_size:
            raise ValueError(f'rank must be 0..{world_size - 1}, got {rank}')
        self.seed, self.shuffle, self.rank, self.world_size = int(seed), shuffle, rank, world_size
        self.word = even_word(whole_ratio(ratio))
        drawn = np.zeros((len(self.word) + 1, len(self.sizes)), np.int64)
        drawn[1:] = np.cumsum(self.word[:, None] == np.arange(len(self.sizes)), axis=0)
        self._drawn = drawn
        self._orders: dict[int, tuple[int, np.ndarray]] = {}

    def __getitem__(self, place: int) -> tuple[int, int]:
        """Return the set, and the index in it, of this process's sample number ``place`` (from 0)."""
        period, offset = divmod(int(place), len(self.word))
        chosen = int(self.word[offset])
        before = period * int(self._drawn[-1, chosen]) + int(self._drawn[offset, chosen])
        return chosen, self._draw(chosen, before * self.world_size + self.rank)

    def stream(self, start: int = 0) -> Iterator[tuple[int, int]]:
        """Yield set and index of every sample from number ``start`` on, without end."""
        while True:
            yield self[start]
            start += 1

    def _draw(self, chosen: int, number: int) -> int:
        """Return which sample of a set its draw ``number``, counted over all processes, is."""
        turn, place = divmod(number, self.sizes[chosen])
        if not self.shuffle:
            return place
        if self._orders.get(chosen, (-1,))[0] != turn:
            random = np.random.default_rng([self.seed, chosen, turn])
            self._orders[chosen] = (turn, random.permutation(self.sizes[chosen]))
        return int(self._orders[chosen][1][place])
