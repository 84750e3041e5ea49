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
            vertices_valid=torch.ones(1, num_vertices, dtype=torch.bool),
            keypoints_crop=torch.rand(1, 17, 2) * size, keypoints_valid=torch.ones(1, 17, dtype=torch.bool),
            person_mask=torch.rand(1, height, width), person_mask_valid=torch.ones(1, dtype=torch.bool),
            ignore_mask=torch.zeros(1, height, width))
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


VARIANTS = {
    "regression": {
        "head.fusion.mode": "regressed", "head.regression.lift_channels": None,
        "head.losses.uv.vertexpose_weight": 0.0, "head.losses.uv.fused_weight": 1.0,
        **{f"head.losses.{name}.loss_weight": 0.0
           for name in ("barycentric", "heatmap", "vertexpose", "visibility")}},
    "vertexpose": {"head.fusion.mode": "vertexpose", "head.losses.visibility.loss_weight": 0.0},
    **{f"without {name}": {f"head.losses.{name}.loss_weight": 0.0}
       for name in ("visibility", "barycentric", "uv", "silhouette")}}


@pytest.mark.parametrize("name", VARIANTS)
def test_ablations_are_a_few_lines_and_every_parameter_has_a_gradient(name):
    config = Config.fromfile(str(next(path for path in CONFIGS if "lite_full" in path.name)))
    config.merge_from_dict({f"model.{key}": value for key, value in VARIANTS[name].items()})
    init_default_scope(config.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(config.model).train()
    samples = labelled_samples(2, model.head.template.num_vertices, 96, 128)
    losses = model.loss(torch.randn(2, 3, 128, 96), samples)
    off = {key.split(".")[2] for key, value in VARIANTS[name].items() if key.endswith("loss_weight")}
    assert {key.removeprefix("loss_") for key, value in losses.items() if value == 0} == off
    sum(losses.values()).backward()
    gradients = {key: value.grad for key, value in model.named_parameters()}
    assert not [key for key, gradient in gradients.items() if gradient is None]
    trains_heatmaps = bool(gradients["head.network.vertexpose.conv.weight"].any())
    assert trains_heatmaps == (name != "regression")


def test_light_model_fits_the_package():
    config = Config.fromfile(str(next(path for path in CONFIGS if "lite" in path.name)))
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model)
    half = sum(value.numel() * (2 if value.ndim > 1 else 4) for value in model.state_dict().values())
    assert half < 12e6
