"""The benchmark command: runs, reports agreement, and would notice disagreement."""

import numpy as np
import pytest
import trimesh

from meshpose_plugins.cli.benchmark_rendering import main
from meshpose_plugins.rendering import benchmark as module


def test_benchmark_reports_agreement_and_times():
    ball = trimesh.creation.icosphere(subdivisions=2)
    xyz = module.fit_to_picture(ball.vertices, 40, 30)
    assert xyz[:, :2].min() >= 0 and (xyz.max(axis=0)[:2] <= [29, 39]).all()
    rows = module.benchmark(xyz, np.asarray(ball.faces), 40, 30, repeats=2)
    assert len(rows) == 4 and all(row.agrees and row.numba_ms > 0 and row.ratio > 0 for row in rows)
    with pytest.raises(ValueError, match="repeats must be at least 1, got 0"):
        module.benchmark(xyz, np.asarray(ball.faces), 40, 30, repeats=0)


def test_fit_to_picture_stands_upright_and_faces_the_camera():
    head, foot, nose = module.fit_to_picture(
        np.array([[0, 0, 1.7], [0, 0, 0], [0, -0.1, 1.6]]) + [[1e-3, 0, 0], [0, 0, 0], [0, 0, 0]], 200, 100
    )
    assert head[1] < foot[1] and nose[2] < head[2]


def test_command_prints_a_table_and_fails_on_disagreement(capsys, monkeypatch):
    assert main(["--repeats", "1", "--height", "64", "--width", "48"]) == 0
    assert "rasterize" in capsys.readouterr().out
    rows = [module.Timing("shade", 1.0, 2.0, agrees=False)]
    monkeypatch.setattr(module, "benchmark", lambda *args: rows)
    assert main([]) == 1
    assert "NO" in capsys.readouterr().out
