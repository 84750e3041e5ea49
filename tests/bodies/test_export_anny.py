"""The parts of the body export that need no anny: the shape basis, the keypoint weights, the command line."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from meshpose_plugins.bodies.anny_export import (
    SHAPE_ANCHORS,
    _refit,
    _shape_basis,
    _sparse_regressor,
    export_anny,
)
from meshpose_plugins.cli.export_anny import DEFAULT_PATH, main


def rest_states(rank, rng):
    """Bodies of 40 vertices and 3 joints whose shapes at the anchors span `rank` dimensions."""
    corners = int(np.prod([len(values) for values in SHAPE_ANCHORS.values()]))
    coefficients = rng.normal(size=(corners, rank))

    def linear(*shape):
        return rng.normal(size=shape) + np.tensordot(coefficients, rng.normal(size=(rank,) + shape), 1)

    return {"vertices": linear(40, 3), "heads": linear(3, 3), "orientations": linear(3, 3, 3)}


def test_basis_of_full_rank_reproduces_the_rest_states():
    rng = np.random.default_rng(0)
    rest = rest_states(6, rng)
    data = _shape_basis(rest, 6, 6, rng)
    basis = data["vertex_basis"] * data["vertex_basis_scale"][:, None, None].astype(np.float64)
    rebuilt = data["mean_vertices"] + np.tensordot(data["shape_grid"], basis, 1)
    span = np.abs(rest["vertices"]).max()
    np.testing.assert_allclose(rebuilt, rest["vertices"], atol=1e-3 * span)
    heads = data["mean_heads"] + np.tensordot(data["shape_grid"], data["head_basis"], 1)
    np.testing.assert_allclose(heads, rest["heads"], atol=1e-4 * span)


def test_more_components_leave_less_error():
    rng = np.random.default_rng(1)
    rest = rest_states(12, rng)
    errors = []
    for rank in (2, 6, 12):
        data = _shape_basis(rest, rank, 12, np.random.default_rng(2))
        basis = data["vertex_basis"] * data["vertex_basis_scale"][:, None, None].astype(np.float64)
        rebuilt = data["mean_vertices"] + np.tensordot(data["shape_grid"][:, :rank], basis, 1)
        errors.append(np.abs(rebuilt - rest["vertices"]).mean())
    assert errors[0] > errors[1] > errors[2]


def test_refit_hits_the_target_with_weights_that_sum_to_one():
    rng = np.random.default_rng(3)
    vertices = rng.normal(size=(20, 30, 3))
    truth = rng.random(30)
    truth /= truth.sum()
    start = truth + 0.02 * rng.random(30)
    weights = _refit(start / start.sum(), vertices, np.einsum("n,bnd->bd", truth, vertices), ridge=1e-6)
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(
        np.einsum("n,bnd->bd", weights, vertices), np.einsum("n,bnd->bd", truth, vertices), atol=5e-3
    )


def test_sparse_regressor_counts_per_keypoint():
    regressor = np.zeros((17, 5), np.float32)
    regressor[0, [1, 3]] = 0.5
    regressor[16, 4] = 1
    data = _sparse_regressor(regressor)
    assert data["keypoint_counts"].tolist() == [2] + [0] * 15 + [1]
    assert data["keypoint_vertices"].tolist() == [1, 3, 4]
    assert data["keypoint_weights"].tolist() == [0.5, 0.5, 1.0]


def test_missing_anny_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "anny", None)
    with pytest.raises(ImportError, match="pip install anny"):
        export_anny(tmp_path / "anny.npz")
    assert not list(tmp_path.iterdir())


def test_shipped_file_is_small_and_the_default_of_the_command(capsys):
    assert DEFAULT_PATH.is_file() and DEFAULT_PATH.stat().st_size < 3e6
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "--rank" in capsys.readouterr().out
