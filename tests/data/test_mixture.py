"""The order of a mixture: ratio, completeness, sharing between processes, any place at once."""
from collections import Counter

import numpy as np
import pytest

from meshpose_plugins.data.mixture import Mixture, even_word, whole_ratio


def drawn(mixture, count, start=0):
    return [mixture[place] for place in range(start, start + count)]


@pytest.mark.parametrize('ratio, whole', [
    ([1, 1, 1], [1, 1, 1]), ([0.7, 0.3], [7, 3]), ([2, 1], [2, 1]), ([10, 20], [1, 2]), ([0.25, 0.5], [1, 2]),
])
def test_ratios_become_whole_numbers(ratio, whole):
    assert whole_ratio(ratio) == whole


def test_odd_ratios_are_kept_to_a_ten_thousandth():
    ratio = np.array([3.14159, 2.71828, 0.001])
    whole = np.array(whole_ratio(ratio))
    assert np.abs(whole / whole.sum() - ratio / ratio.sum()).max() < 1e-4 and whole.min() >= 1


@pytest.mark.parametrize('counts', [[1], [7, 3], [1, 1, 1], [26, 50, 3]])
def test_any_stretch_has_the_ratio_within_about_one(counts):
    word = even_word(counts)
    assert Counter(word.tolist()) == dict(enumerate(counts))
    share = np.array(counts) / sum(counts)
    endless = np.concatenate([word] * 3)
    for length in (4, 16, 31):
        for start in range(len(word)):
            found = np.bincount(endless[start:start + length], minlength=len(counts))
            expected = share * min(length, len(endless) - start)
            assert np.abs(found - expected).max() < 2


def test_each_set_is_drawn_whole_before_any_of_it_comes_again():
    mixture = Mixture([5, 3], [1, 1], seed=4)
    stream = drawn(mixture, 40)
    for number, size in enumerate([5, 3]):
        own = [index for part, index in stream if part == number]
        turns = [own[k:k + size] for k in range(0, len(own) - size + 1, size)]
        assert len(turns) >= 3 and all(sorted(turn) == list(range(size)) for turn in turns)
        assert len({tuple(turn) for turn in turns}) > 1, 'each turn has an order of its own'


def test_processes_share_one_order_without_meeting():
    ranks = [Mixture([40, 20], [2, 1], seed=1, rank=rank, world_size=3) for rank in range(3)]
    streams = [drawn(mixture, 18) for mixture in ranks]
    assert len({tuple(part for part, _ in stream) for stream in streams}) == 1, 'the ratio holds in each'
    everything = Counter(sample for stream in streams for sample in stream)
    assert len(everything) == 54 and set(everything.values()) == {1}


def test_any_place_is_found_at_once():
    whole = drawn(Mixture([7, 11, 2], [3, 2, 1], seed=9), 200)
    other = Mixture([7, 11, 2], [3, 2, 1], seed=9)
    assert drawn(other, 50, start=150) == whole[150:]
    stream = other.stream(37)
    assert [next(stream) for _ in range(20)] == whole[37:57]
    assert drawn(Mixture([7, 11, 2], [3, 2, 1], seed=10), 200) != whole
    assert Mixture([10 ** 6, 10 ** 5], [1, 3])[10 ** 12], 'far places cost nothing'


def test_without_a_ratio_sizes_decide_and_without_shuffling_the_order_stays():
    stream = drawn(Mixture([30, 10], shuffle=False), 40)
    assert Counter(part for part, _ in stream) == {0: 30, 1: 10}
    assert [index for part, index in stream if part == 0] == list(range(30))


@pytest.mark.parametrize('arguments, match', [
    (dict(sizes=[]), r'at least one sample, got sizes \[\]'),
    (dict(sizes=[3, 0]), r'got sizes \[3, 0\]'),
    (dict(sizes=[3, 4], ratio=[1]), r'one number per data set \(2\), got \[1\]'),
    (dict(sizes=[3, 4], ratio=[1, 0]), r'ratio must be positive numbers, .* got \[1, 0\]'),
    (dict(sizes=[3, 4], ratio=[1, float('nan')]), 'ratio must be positive numbers'),
    (dict(sizes=[3], rank=2, world_size=2), 'rank must be 0..1, got 2'),
])
def test_bad_mixtures_are_named(arguments, match):
    with pytest.raises(ValueError, match=match):
        Mixture(**arguments)
