"""The reference backbone starts from MMPose's HRNet checkpoints, and says how much of it they fill."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

import meshpose_plugins.integrations.mmpose  # noqa: F401  registers all parts
from meshpose_plugins.integrations.mmpose import estimator
from mmpose.registry import MODELS

CONFIG = Path(__file__).resolve().parents[3] / "configs/mmpose/meshpose_hrnet-w32_384x288.py"
COCO = "mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-384x288.py"
#: Tensors of the last fusion: a 1x1 convolution and the six of a norm, for each of four branches.
FUSION = {f"stage4.2.fuse_layers.0.{branch}.{leaf}" for branch in range(4) for leaf in (
    "0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked")}


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    """A checkpoint of MMPose's own HRNet-W32 estimator with random weights: its path and tensors."""
    init_default_scope("mmpose")
    config = Config.fromstring(f"_base_ = ['{COCO}']", ".py").model
    config.backbone.pop("init_cfg")
    state = MODELS.build(config).state_dict()
    path = tmp_path_factory.mktemp("coco") / "hrnet.pth"
    torch.save(dict(meta={}, state_dict=state), path)
    yield path, state
    path.unlink()


@pytest.fixture
def initialise(monkeypatch):
    """Initialises an estimator with the reference backbone from a checkpoint; returns it and what it logs."""
    lines = []
    monkeypatch.setattr(estimator, "print_log", lambda line, logger: lines.append(line))

    def run(checkpoint, prefix):
        backbone = Config.fromfile(str(CONFIG)).model.backbone
        if checkpoint is not None:
            backbone.init_cfg = dict(type="Pretrained", checkpoint=str(checkpoint), prefix=prefix)
        head = dict(type="HeatmapHead", in_channels=256, out_channels=1, deconv_out_channels=None)
        model = MODELS.build(dict(type="MeshPoseEstimator", backbone=backbone, head=head))
        model.init_weights()
        return model, lines

    return run


def test_all_but_the_last_fusion_starts_from_coco(coco, initialise):
    path, theirs = coco
    model, lines = initialise(path, "backbone.")
    own = model.backbone.state_dict()
    for name in set(own) - FUSION:
        assert torch.equal(own[name], theirs[f"backbone.{name}"]), name
    # Only the batch counters of the three branches that have a norm there have the same shape.
    assert lines == [
        f"backbone: loaded {len(own) - 24 + 3} of {len(own)} tensors from {path}; "
        "6 missing in it (stage4.2.fuse_layers.0.0.0.weight, stage4.2.fuse_layers.0.0.1.weight, "
        "stage4.2.fuse_layers.0.0.1.bias, ...); "
        "15 of another shape (stage4.2.fuse_layers.0.1.0.weight, stage4.2.fuse_layers.0.1.1.weight, "
        "stage4.2.fuse_layers.0.1.1.bias, ...); 0 of it unexpected"]


def test_wrong_prefix(coco, initialise):
    with pytest.raises(ValueError, match="no tensor of .* with the prefix 'encoder.' fits the backbone; the file "
                                         "has backbone.conv1.weight, .*: change prefix or checkpoint"):
        initialise(coco[0], "encoder.")


def test_no_checkpoint_no_report(initialise):
    assert initialise(None, "")[1] == []
