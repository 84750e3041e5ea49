"""Mesh errors: constructed values, invariances, and agreement with plain references."""

import numpy as np
import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from meshpose_plugins.evaluation import (
    align_similarity,
    mpvpe,
    pa_mpvpe,
    pooled_visibility_auc,
    uv_error,
    vertex_error_2d,
    visibility_auc,
    visibility_classes,
)


def random_rotation(rng):
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return rotation * np.sign(np.linalg.det(rotation))


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_vertex_error_is_percent_of_the_true_height(rng):
    true = rng.uniform(0, 100, (40, 3))
    true[0, 1], true[1, 1] = -20.0, 180.0
    predicted = true.copy()
    predicted[:, 0] += 3.0
    predicted[:, 1] += 4.0
    predicted[:, 2] += 1000.0
    assert vertex_error_2d(predicted, true) == pytest.approx(100 * 5 / 200)
    # Twice as large a picture leaves the percentage as it is.
    assert vertex_error_2d(2 * predicted, 2 * true) == pytest.approx(100 * 5 / 200)


def test_vertex_error_takes_batches_and_marks_meshes_without_height(rng):
    true = rng.uniform(0, 100, (2, 3, 40, 2))
    true[1, 2, :, 1] = 5.0
    errors = vertex_error_2d(true + 1.0, true)
    assert errors.shape == (2, 3)
    assert np.isnan(errors[1, 2]) and np.isfinite(errors).sum() == 5
    assert errors[0, 1] == pytest.approx(vertex_error_2d(true[0, 1] + 1.0, true[0, 1]))


@pytest.mark.parametrize('error', [vertex_error_2d, align_similarity, pa_mpvpe])
def test_other_shapes_are_named(error):
    with pytest.raises(ValueError, match=r'\(5, 3\) and \(6, 3\)'):
        error(np.zeros((5, 3)), np.zeros((6, 3)))
    with pytest.raises(ValueError, match=r'\(5, 4\)'):
        error(np.zeros((5, 4)), np.zeros((5, 4)))


def test_alignment_equals_roma(rng):
    for _ in range(20):
        source, target = rng.normal(size=(2, 30, 3))
        rotation, translation, scale = roma.rigid_points_registration(
            torch.as_tensor(source), torch.as_tensor(target), compute_scaling=True
        )
        expected = scale * torch.as_tensor(source) @ rotation.T + translation
        np.testing.assert_allclose(align_similarity(source, target), expected, atol=1e-10)


def test_alignment_is_the_best_similarity(rng):
    source, target = rng.normal(size=(2, 12, 3))
    best = ((align_similarity(source, target) - target) ** 2).sum()
    for _ in range(200):
        moved = rng.uniform(0.1, 2) * source @ random_rotation(rng).T + rng.normal(size=3)
        assert ((moved - target) ** 2).sum() >= best


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(0.01, 500))
def test_pa_mpvpe_ignores_similarities_only(seed, scale):
    rng = np.random.default_rng(seed)
    true, predicted = rng.normal(size=(2, 25, 3))
    moved = scale * predicted @ random_rotation(rng).T + 10 * rng.normal(size=3)
    assert pa_mpvpe(moved, true) == pytest.approx(pa_mpvpe(predicted, true), rel=1e-6)
    assert pa_mpvpe(scale * true @ random_rotation(rng).T + 3, true) == pytest.approx(0, abs=1e-6)
    mirrored = true * [-1, 1, 1]
    assert pa_mpvpe(mirrored, true) > 1


def test_pa_mpvpe_is_in_millimetres_and_takes_batches(rng):
    true = rng.normal(size=(4, 500, 3))
    noise = rng.normal(size=(4, 500, 3))
    noise /= np.linalg.norm(noise, axis=-1, keepdims=True)
    errors = pa_mpvpe(true + 0.01 * noise, true)
    assert errors.shape == (4,)
    np.testing.assert_allclose(errors, 10.0, rtol=0.02)
    for row in range(4):
        assert errors[row] == pytest.approx(pa_mpvpe((true + 0.01 * noise)[row], true[row]))


def test_pa_mpvpe_grows_with_the_noise(rng):
    true, noise = rng.normal(size=(2, 200, 3))
    errors = [pa_mpvpe(true + size * noise, true) for size in (0, 0.01, 0.03, 0.1, 0.3)]
    assert errors == sorted(errors) and errors[0] == pytest.approx(0, abs=1e-9)


def test_alignment_of_degenerate_points(rng):
    target = rng.normal(size=(10, 3))
    collapsed = align_similarity(np.full((10, 3), 7.0), target)
    np.testing.assert_allclose(collapsed, np.broadcast_to(target.mean(0), (10, 3)))
    line = np.linspace(0, 1, 10)[:, None] * [1.0, 2.0, 3.0]
    flat = rng.normal(size=(10, 3)) * [1, 1, 0]
    for source in (line, flat):
        turned = 3 * source @ random_rotation(rng).T + 1
        np.testing.assert_allclose(align_similarity(turned, source), source, atol=1e-9)
    assert np.isfinite(align_similarity(target, np.zeros((10, 3)))).all()


def test_mpvpe_scales_but_does_not_turn(rng):
    true = rng.normal(size=(50, 3))
    root = np.full(50, 1 / 50)
    assert mpvpe(37 * true + [5, 6, 7], true, root) == pytest.approx(0, abs=1e-9)
    turned = true @ random_rotation(rng).T
    assert mpvpe(turned, true, root) > 100
    assert mpvpe(turned, true, root) >= pa_mpvpe(turned, true)
    # A prediction turned inside out is not helped by a negative scale.
    assert mpvpe(-true, true, root) == pytest.approx(
        1000 * np.linalg.norm(true - true.mean(0), axis=1).mean()
    )
    assert np.isfinite(mpvpe(np.zeros((50, 3)), true, root))


def test_mpvpe_uses_the_root_joint(rng):
    true = rng.normal(size=(50, 3))
    root = np.zeros(50)
    root[4] = 1.0
    predicted = true.copy()
    predicted[4] += 0.1
    # The root alone moved, so everything else is off by it.
    assert mpvpe(predicted, true, root) > 10 * mpvpe(predicted, true, np.full(50, 1 / 50))
    with pytest.raises(ValueError, match=r'root_weights must be \(50,\), got \(49,\)'):
        mpvpe(predicted, true, root[:49])


def test_uv_error_measures_the_same_surface_point():
    vertices = np.array([[0.0, 0.0, 5.0], [30.0, 0.0, 5.0], [0.0, 60.0, 9.0]])
    barycentrics = np.array([[1 / 3, 1 / 3, 1 / 3], [1.0, 0.0, 0.0]])
    ids = np.array([[0, 1, 2], [2, 1, 0]])
    pixels = np.array([[10.0, 20.0], [0.0, 60.0]])
    assert uv_error(vertices, pixels, ids, barycentrics, 200) == pytest.approx(0, abs=1e-9)
    assert uv_error(vertices, pixels + [6, 8], ids, barycentrics, 200) == pytest.approx(5)
    moved = pixels + [[6, 8], [100, 100]]
    assert uv_error(vertices, moved, ids, barycentrics, 200, [True, False]) == pytest.approx(5)
    assert np.isnan(uv_error(vertices, pixels, ids, barycentrics, 200, [False, False]))
    assert np.isnan(uv_error(vertices, pixels, ids, barycentrics, 0))
    with pytest.raises(ValueError, match=r'barycentrics must be \(2, 3\)'):
        uv_error(vertices, pixels, ids, barycentrics[:1], 200)


def test_visibility_classes_leave_out_hidden_vertices():
    vertices = np.array([[10, 10, 0], [10, 10, 0], [-1, 10, 0], [10, 99.4, 0], [10, 99.6, 0], [-0.5, 5, 0]])
    positive, negative = visibility_classes(vertices, np.array([1, 0, 0, 1, 1, 1]), width=50, height=100)
    assert positive.tolist() == [True, False, False, True, False, True]
    assert negative.tolist() == [False, False, True, False, True, False]


def test_auc_of_perfect_constant_and_reversed_scores():
    positive = np.array([True, True, False, False, False])
    negative = np.array([False, False, True, True, False])
    assert visibility_auc([0.9, 0.8, 0.1, 0.2, 0.5], positive, negative) == 1.0
    assert visibility_auc([0.1, 0.2, 0.9, 0.8, 0.5], positive, negative) == 0.0
    assert visibility_auc(np.full(5, 0.5), positive, negative) == 0.5
    assert np.isnan(visibility_auc(np.ones(5), positive, np.zeros(5, bool)))
    with pytest.raises(ValueError, match='both positive and negative'):
        visibility_auc(np.ones(5), positive, positive)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), levels=st.integers(1, 20))
def test_auc_equals_the_count_of_ordered_pairs(seed, levels):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, 60) / levels
    kind = rng.integers(0, 3, 60)
    kind[:2] = 0, 1
    high, low = scores[kind == 0][:, None], scores[kind == 1][None]
    expected = ((high > low) + 0.5 * (high == low)).mean()
    assert visibility_auc(scores, kind == 0, kind == 1) == pytest.approx(expected)
    assert visibility_auc(np.exp(3 * scores), kind == 0, kind == 1) == pytest.approx(expected)


def test_pooled_auc_ranks_all_people_together():
    people = [
        (np.array([0.9, 0.2]), np.array([0.1])),
        (np.array([]), np.array([0.5, 0.2])),
        (np.array([0.4]), np.array([])),
    ]
    scores = np.array([0.9, 0.2, 0.4, 0.1, 0.5, 0.2])
    positive = np.array([True, True, True, False, False, False])
    assert pooled_visibility_auc(people) == visibility_auc(scores, positive, ~positive)
    assert np.isnan(pooled_visibility_auc([])) and np.isnan(pooled_visibility_auc(people[2:]))
