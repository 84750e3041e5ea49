"""Parameters and multiply-accumulates per part, against a count by forward hooks."""
from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

import meshpose_plugins.integrations.mmpose  # noqa: F401  registers all parts
from meshpose_plugins.cli.analyze import main
from meshpose_plugins.integrations.mmpose.analysis import analyze
from meshpose_plugins.templates import load_template
from mmpose.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[3] / "configs/mmpose"


def test_reference_has_the_published_size():
    config = Config.fromfile(str(CONFIGS / "meshpose_hrnet-w32_384x288.py"))
    parts = {part.name: part for part in analyze(config, template="meshpose-published")}
    assert list(parts) == ["backbone", "VertexPose", "regression", "network"]  # no upsampler in that template
    assert parts["network"].parameters == pytest.approx(46.3e6, rel=0.01)
    assert parts["network"].macs == pytest.approx(18.3e9, rel=0.01)
    assert parts["VertexPose"].macs == 256 * 518 * 96 * 72
    assert parts["VertexPose"].parameters == 257 * 518


def test_counts_are_those_of_the_layers():
    config = Config.fromfile(str(CONFIGS / "meshpose_mobilenetv2_lite_128x96.py"))
    parts = analyze(config)
    assert [part.name for part in parts] == ["backbone", "neck", "VertexPose", "regression", "network",
                                             "upsampler"]
    network, upsampler = parts[-2:]
    config.model.backbone.init_cfg = None
    model = MODELS.build(config.model).eval()
    macs = []

    def count(layer, inputs, output):
        macs.append(output.numel() * math.prod(layer.weight.shape[1:]))

    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Conv1d, nn.Linear)):
            layer.register_forward_hook(count)
    with torch.no_grad():
        model(torch.zeros(1, 3, 128, 96), None, mode="tensor")
    assert network.macs == sum(macs) == sum(part.macs for part in parts[:-2])
    assert network.parameters == sum(value.numel() for value in model.parameters())
    weights = load_template("anny").upsampler_weights
    assert upsampler.parameters <= weights.size and upsampler.macs == 3 * upsampler.parameters


def test_command(capsys):
    assert main([str(CONFIGS / "meshpose_mobilenetv2_lite_128x96.py")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| part | parameters | multiply-accumulates |"
    assert any(line.startswith("| network | 5.67 M | 0.447 G |") for line in lines)
    with pytest.raises(SystemExit, match="analyze: config absent.py does not exist"):
        main(["absent.py"])
