"""The light model with random weights, as the training would leave it and as it would be shipped."""
from pathlib import Path

import pytest

CONFIG = Path(__file__).parents[3] / 'configs' / 'mmpose' / 'meshpose_mobilenetv2_lite_128x96.py'


def make_checkpoint(path, **changes):
    """Write a training checkpoint with random weights; `changes` are config options."""
    import torch
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmpose.models import build_pose_estimator

    config = Config.fromfile(CONFIG)
    config.merge_from_dict(changes)
    init_default_scope('mmpose')
    torch.manual_seed(0)
    model = build_pose_estimator(config.model)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=config.pretty_text)), path)
    return path


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A training checkpoint."""
    pytest.importorskip('mmpose')
    import meshpose_plugins.integrations.mmpose  # noqa: F401

    return make_checkpoint(tmp_path_factory.mktemp('checkpoint') / 'last.pth')


@pytest.fixture(scope='module')
def weights(checkpoint):
    """A weights file."""
    from meshpose_plugins.integrations.mmpose.publish import publish_weights

    return publish_weights(checkpoint, checkpoint.with_name('lite.safetensors'))


@pytest.fixture
def anny_lite(weights, monkeypatch):
    """Let 'anny-lite' be the random weights where the shipped ones are not there."""
    from meshpose_plugins.deploy import weights as room

    if not (room.ASSETS / room.SHIPPED['anny-lite']).is_file():
        monkeypatch.setattr(room, 'ASSETS', weights.parent)
        monkeypatch.setitem(room.SHIPPED, 'anny-lite', weights.name)
