"""Every config in configs/mmpose: build, forward, losses, backward, one optimiser step."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

import meshpose_plugins.integrations.mmpose  # noqa: F401  registers all parts
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

CONFIGS = sorted((Path(__file__).resolve().parents[3] / "configs/mmpose").glob("*.py"))


def labelled_samples(batch: int, num_vertices: int, width: int, height: int) -> list:
    samples = []
    for _ in range(batch):
        sample, size = PoseDataSample(), torch.tensor([width - 1.0, height - 1.0])
        sample.gt_instance_labels = InstanceData(
            points_xy=torch.rand(1, 20, 2) * size,
            point_vertex_ids=torch.randint(0, num_vertices, (1, 20, 3)),
            point_barycentrics=torch.full((1, 20, 3), 1 / 3), point_valid=torch.ones(1, 20, dtype=torch.bool),
            vertices_crop=torch.randn(1, num_vertices, 3) * width / 2,
            vertices_valid=torch.ones(1, num_vertices, dtype=torch.bool))
        samples.append(sample)
    return samples


def test_there_are_configs():
    names = " ".join(path.name for path in CONFIGS)
    for backbone in ("resnet18", "mobilenetv3", "cspnext-tiny", "hrnet-w32_384x288", "hrnet-w32_published",
                     "lite"):
        assert backbone in names


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_trains_one_step(path):
    config = Config.fromfile(str(path))
    assert config.custom_imports["imports"] == ["meshpose_plugins.integrations.mmpose"]
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model).train()
    width, height = config.model.head.input_size
    assert (width, height) == tuple(config.input_size)
    count = model.head.template.num_vertices
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = model.loss(torch.randn(2, 3, height, width), labelled_samples(2, count, width, height))
    assert set(losses) == {f"loss_{name}" for name in config.model.head.losses}
    assert all(torch.isfinite(value) and value > 0 for value in losses.values())
    before = model.head.network.vertexpose.conv.weight.detach().clone()
    sum(losses.values()).backward()
    unused = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not unused, "several processes would stall on parameters without gradients"
    optimizer.step()
    assert not torch.equal(before, model.head.network.vertexpose.conv.weight)
    with torch.no_grad():
        output = model.eval()(torch.randn(1, 3, height, width), None, mode="tensor")
    assert output.heatmaps.shape == (1, count, height // 4, width // 4)


def test_light_model_fits_the_package():
    config = Config.fromfile(str(next(path for path in CONFIGS if "lite" in path.name)))
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model)
    half = sum(value.numel() * (2 if value.ndim > 1 else 4) for value in model.state_dict().values())
    assert half < 12e6
