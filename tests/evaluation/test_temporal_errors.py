"""Accelerations and jitter: plain references, units, gaps, and motions whose errors are known."""

import numpy as np
import pytest

from meshpose_plugins.evaluation import TemporalEvaluation, acceleration_error, jitter, per_second
from meshpose_plugins.evaluation.temporal_errors import differences


@pytest.fixture
def motion():
    return np.random.default_rng(0).normal(size=(12, 5, 3)).cumsum(0) * 10


def test_acceleration_error_equals_a_plain_loop(motion):
    other = motion + np.random.default_rng(1).normal(size=motion.shape)
    expected = []
    for t in range(1, 11):
        first = motion[t + 1] - 2 * motion[t] + motion[t - 1]
        second = other[t + 1] - 2 * other[t] + other[t - 1]
        expected += [np.sqrt(((a - b) ** 2).sum()) for a, b in zip(first, second)]
    assert acceleration_error(other, motion) == pytest.approx(np.mean(expected))


def test_jitter_equals_a_plain_loop(motion):
    expected = []
    for t in range(9):
        jerk = motion[t + 3] - 3 * motion[t + 2] + 3 * motion[t + 1] - motion[t]
        expected += [np.sqrt((j**2).sum()) for j in jerk]
    assert jitter(motion) == pytest.approx(np.mean(expected))


def test_linear_and_constant_errors_are_no_acceleration(motion):
    time = np.arange(12)[:, None, None]
    assert acceleration_error(motion + 7 + 3 * time, motion) == pytest.approx(0, abs=1e-9)
    assert acceleration_error(motion + 0.5 * 4 * time**2 * [1, 0, 0], motion) == pytest.approx(4)
    assert jitter(1 + 2 * time + 5 * time**2 * np.ones((1, 5, 3))) == pytest.approx(0, abs=1e-9)
    assert jitter(time**3 / 6 * np.array([[[0, 2.0, 0]]])) == pytest.approx(2)


def test_units_per_second():
    # A fall under gravity at 30 frames per second.
    fps = 30.0
    time = np.arange(40)[:, None, None] / fps
    fall = 1000 * 0.5 * 9.81 * time**2 * np.array([[[0.0, 1.0, 0.0]]])
    error = acceleration_error(fall, np.zeros_like(fall))
    assert per_second(error, 2, fps) == pytest.approx(9.81)
    assert per_second(jitter(1000 * time**3 * np.ones((1, 1, 3)) / np.sqrt(3)), 3, fps) == pytest.approx(6)
    with pytest.raises(ValueError, match='fps must be positive, got 0'):
        per_second(1.0, 2, 0)


def test_gaps_are_left_out(motion):
    frames = np.array([0, 1, 2, 3, 4, 5, 20, 21, 22, 23, 24, 25])
    jumped = motion.copy()
    jumped[6:] += 1000
    expected = np.concatenate([differences(motion[:6], 2), differences(motion[6:], 2)])
    np.testing.assert_allclose(differences(jumped, 2, frames), expected)
    assert jitter(jumped, frames) < jitter(jumped) / 10
    np.testing.assert_allclose(differences(motion, 2, 3 * np.arange(12)), differences(motion, 2))
    with pytest.raises(ValueError, match='frames must rise, got 4 before 4'):
        differences(motion[:3], 2, np.array([3, 4, 4]))
    with pytest.raises(ValueError, match=r'frames must be \(12,\), got \(3,\)'):
        differences(motion, 2, np.arange(3))


def test_short_sequences_have_no_figure(motion):
    assert np.isnan(acceleration_error(motion[:2], motion[:2])) and np.isnan(jitter(motion[:3]))
    assert np.isfinite(acceleration_error(motion[:3], motion[:3])) and np.isfinite(jitter(motion[:4]))
    assert np.isnan(jitter(motion[:0])) and np.isnan(jitter(motion[:4], np.array([0, 1, 5, 6])))


def test_bad_sequences_are_named(motion):
    with pytest.raises(ValueError, match=r'\(12, 5, 3\) and \(12, 4, 3\)'):
        acceleration_error(motion, motion[:, :4])
    with pytest.raises(ValueError, match=r'expected points \(T, N, 3\), got \(12, 5\)'):
        jitter(motion[..., 0])
    motion[4, 2, 1] = np.nan
    with pytest.raises(ValueError, match='must be finite'):
        jitter(motion)


def test_a_sequence_is_judged_without_its_root_and_scale():
    rng = np.random.default_rng(2)
    true = rng.normal(size=(15, 6, 3)).cumsum(0) * 0.02 + rng.normal(size=(6, 3))
    walk = 0.5 * np.arange(15)[:, None] ** 2 * [3.0, 1.0, 0.0]
    predicted = 90 * true + walk[:, None]
    evaluation = TemporalEvaluation(fps=25)
    figures = evaluation.sequence(predicted, true, predicted[:, 0], true[:, 0])
    assert figures['acceleration_error'] == pytest.approx(0, abs=1e-6)
    assert figures['jitter'] == pytest.approx(figures['true_jitter'])
    shaken = predicted + 5 * rng.normal(size=predicted.shape)
    worse = evaluation.sequence(shaken, true, shaken[:, 0], true[:, 0])
    assert worse['acceleration_error'] > 10 and worse['jitter'] > figures['jitter']
    assert worse['accelerations'] == 13 and worse['jerks'] == 12
    metres = TemporalEvaluation(scale='none').sequence(predicted / 90, true, predicted[:, 0] / 90, true[:, 0])
    assert metres['jitter'] == pytest.approx(figures['jitter'])


def test_means_count_frames():
    evaluation = TemporalEvaluation(fps=10)
    long = dict(acceleration_error=2.0, jitter=4.0, true_jitter=1.0, accelerations=30, jerks=10)
    short = dict(acceleration_error=6.0, jitter=8.0, true_jitter=2.0, accelerations=10, jerks=0)
    means = evaluation.summarise([long, short])
    assert means['acceleration_error'] == pytest.approx(3) and means['jitter'] == 4
    assert means['acceleration_error_m_s2'] == pytest.approx(3 * 100 / 1000)
    assert means['jitter_m_s3'] == pytest.approx(4 * 1000 / 1000)
    assert evaluation.summarise([]) == {} and 'fps 10' in evaluation.rules['per_second']
    assert 'jitter_m_s3' not in TemporalEvaluation().summarise([long])
    with pytest.raises(ValueError, match='fps must be positive, got -1'):
        TemporalEvaluation(fps=-1)
