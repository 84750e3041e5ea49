"""The benchmark measures what it says: the same silhouette as the reference, and every loss of a config."""
from pathlib import Path

import pytest

from meshpose_plugins.cli import benchmark_losses
from meshpose_plugins.losses.benchmark import benchmark_silhouette, turned_people
from meshpose_plugins.templates import load_template

CONFIG = Path(__file__).resolve().parents[2] / "configs/mmpose/meshpose_mobilenetv2_lite_full_128x96.py"


def test_people_fill_the_picture_and_differ():
    xy = turned_people(load_template("anny").vertices, 24, 18, 3)
    assert xy.shape == (3, 499, 2) and xy.amin() >= -0.5 and xy[..., 1].amax() <= 23.5
    assert (xy[0] - xy[1]).abs().max() > 1


def test_the_silhouette_is_that_of_the_reference():
    rows = benchmark_silhouette("anny", 24, 18, people=2, repeats=1)
    assert rows.difference < 1e-5 and len(rows.timings) == 3 and min(rows.timings.values()) > 0
    with pytest.raises(ValueError, match="people and repeats must be at least 1, got 0 and 1"):
        benchmark_silhouette("anny", 24, 18, people=0, repeats=1)


def test_the_command_prints_every_loss_of_a_config(capsys):
    pytest.importorskip("mmpose")
    from mmengine.config import Config
    assert benchmark_losses.main(["--height", "24", "--width", "18", "--people", "2", "--repeats", "1",
                                  "--config", str(CONFIG)]) == 0
    printed = capsys.readouterr().out
    import meshpose_plugins.integrations.mmpose  # noqa: F401  before the config of MMPose's base files
    for name in Config.fromfile(str(CONFIG)).model.head.losses:
        assert name in printed
