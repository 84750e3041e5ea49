"""tools/inspect_dataset.py on the mixture config: each set gives its own labels only, pictures and report."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from mmengine.config import Config

import meshpose_plugins.integrations.mmpose  # noqa: F401  registers all parts
from meshpose_plugins.cli import inspect_dataset as command
from meshpose_plugins.data.synthetic import SyntheticSettings, make_synthetic
from meshpose_plugins.integrations.mmpose.inspection import labels_of_sample
from mmengine.registry import init_default_scope
from mmpose.registry import DATA_SAMPLERS, DATASETS

CONFIG = Path(__file__).resolve().parents[3] / "configs/mmpose/meshpose_mobilenetv2_lite_mixture_128x96.py"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The mixture config on four synthetic people in each half, and its path."""
    folder = tmp_path_factory.mktemp("mixture")
    config = Config.fromfile(str(CONFIG))
    for part, (name, seed) in zip(config.train_dataloader.dataset.datasets, (("points", 1), ("meshes", 2))):
        settings = SyntheticSettings(seed=seed)
        make_synthetic(folder / name, 4, settings, backgrounds="procedural", progress=False)
        part.data_root = f"{folder / name}/"
    config.val_dataloader.dataset.data_root = f"{folder / 'meshes'}/"
    path = folder / "mixture.py"
    config.dump(str(path))
    return path


def test_each_set_gives_its_own_labels(config):
    loader = Config.fromfile(str(config)).train_dataloader
    init_default_scope("mmpose")
    dataset = DATASETS.build(loader.dataset)
    sampler = DATA_SAMPLERS.build(loader.sampler, default_args=dict(dataset=dataset, seed=0))
    indices = [index for index, _ in zip(sampler, range(8))]
    assert sorted(indices) == list(range(8))
    for index in indices:
        labels = labels_of_sample(dataset[index]["data_samples"])
        points, meshes = index < 4, index >= 4
        assert bool(len(labels.points_xy)) == (labels.person_mask is not None) == points
        assert (labels.vertices is not None) == bool(labels.keypoints_valid.any()) == meshes


def test_the_command_draws_and_reports(config, tmp_path, capsys):
    assert command.main([str(config), "--count", "8", "--out", str(tmp_path)]) == 0
    sheets = sorted(tmp_path.glob("train_*.png"))
    assert len(sheets) == 2 and cv2.imread(str(sheets[0])).std() > 20
    reports = json.loads((tmp_path / "report.json").read_text())
    assert [report["read"]["samples with a mesh"] for report in reports] == [0, 4]
    assert [report["read"]["samples with points"] for report in reports] == [4, 0]
    printed = capsys.readouterr().out
    assert "| read | points used |" in printed
    assert f"2 sheets of pictures and report.json are in {tmp_path}" in printed


def test_the_validation_split_too(config, tmp_path):
    assert command.main([str(config), "--split", "val", "--count", "2", "--out", str(tmp_path)]) == 0
    assert [path.name for path in sorted(tmp_path.glob("*.png"))] == ["val_00.png"]


def test_bad_arguments_are_one_line(config, tmp_path):
    with pytest.raises(SystemExit, match="^inspect_dataset: --count must be at least 1, got 0"):
        command.main([str(config), "--count", "0"])
    with pytest.raises(SystemExit, match="^inspect_dataset: .*nothing/annotations.json: no such annotation"):
        command.main([str(config), "--out", str(tmp_path), "--cfg-options",
                      "train_dataloader.dataset.datasets.0.data_root=nothing/"])
