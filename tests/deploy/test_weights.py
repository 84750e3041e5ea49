"""The weights file: half precision where harmless, what it says about itself, and clear refusals."""

import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from safetensors.torch import load_file

from meshpose_plugins.deploy.device import resolve_device
from meshpose_plugins.deploy.weights import (
    SHIPPED,
    WeightsMetadata,
    checkpoint_weights,
    find_weights,
    load_strictly,
    read_metadata,
    save_weights,
)
from meshpose_plugins.templates import load_template

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = {'anny-lite': ROOT / 'configs/mmpose/meshpose_mobilenetv2_lite_128x96.py'}
METADATA = WeightsMetadata(
    template='anny',
    num_vertices=7,
    config="model = dict(type='X')\n",
    figures={'synthetic-val': {'vertex_error': 2.25}},
    notes={'seed': 3},
)


def small_network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))


def test_round_trip(tmp_path):
    state = small_network().state_dict()
    path = save_weights(tmp_path / 'a.safetensors', state, METADATA)
    loaded = load_file(path)
    assert read_metadata(path) == METADATA and read_metadata(str(path)) == METADATA
    assert set(loaded) == set(state)
    for name, tensor in state.items():
        assert loaded[name].dtype == (torch.float16 if tensor.ndim > 1 else tensor.dtype)
        tolerance = 5e-4 if tensor.ndim > 1 else 0.0
        np.testing.assert_allclose(loaded[name].numpy(), tensor.numpy(), rtol=tolerance)
    assert [p.name for p in tmp_path.iterdir()] == ['a.safetensors']


def test_full_precision_is_exact_and_half_is_smaller(tmp_path):
    state = {'weight': torch.randn(64, 64)}
    half = save_weights(tmp_path / 'half.safetensors', state, METADATA)
    full = save_weights(tmp_path / 'full.safetensors', state, METADATA, half=False)
    assert torch.equal(load_file(full)['weight'], state['weight'])
    assert half.stat().st_size < 0.6 * full.stat().st_size


@pytest.mark.skipif(os.name != 'posix', reason='modes are those of POSIX')
@pytest.mark.parametrize('mask, mode', [(0o022, 0o644), (0o077, 0o600)])
def test_others_may_read_the_file(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        path = save_weights(tmp_path / 'a.safetensors', {'x': torch.ones(1)}, METADATA)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode


def test_values_that_cannot_be_stored(tmp_path):
    with pytest.raises(ValueError, match='big does not fit into float16'):
        save_weights(tmp_path / 'a.safetensors', {'big': torch.full((2, 2), 1e6)}, METADATA)
    with pytest.raises(ValueError, match='bad has values that are not finite'):
        save_weights(tmp_path / 'a.safetensors', {'bad': torch.tensor([float('nan')])}, METADATA)
    with pytest.raises(ValueError, match='.safetensors'):
        save_weights(tmp_path / 'a.pth', {}, METADATA)
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_weights(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / 'a.safetensors'
    path.write_bytes(b'nonsense')
    with pytest.raises(ValueError, match='a.safetensors: not a safetensors file'):
        read_metadata(path)
    save_file({'x': torch.zeros(1)}, str(path))
    with pytest.raises(ValueError, match='metadata field format'):
        read_metadata(path)
    save_file(
        {'x': torch.zeros(1)}, str(path), metadata={'format': 'meshpose_plugins.weights', 'version': '99'}
    )
    with pytest.raises(ValueError, match="version: this library reads 1, got '99'"):
        read_metadata(path)
    save_file(
        {'x': torch.zeros(1)}, str(path), metadata={'format': 'meshpose_plugins.weights', 'version': '1'}
    )
    with pytest.raises(ValueError, match='template'):
        read_metadata(path)


def test_find_weights(tmp_path):
    path = tmp_path / 'x.pth'
    path.touch()
    assert find_weights(path) == path
    with pytest.raises(FileNotFoundError, match=f'nothing.pth does not exist.*{next(iter(SHIPPED))}'):
        find_weights('nothing.pth')


def test_checkpoint_weights():
    weights = checkpoint_weights({'state_dict': {'module.a': torch.ones(1)}, 'ema_state_dict': {}}, 'x.pth')
    assert list(weights) == ['a']
    with pytest.raises(ValueError, match='x.pth: field state_dict'):
        checkpoint_weights({}, 'x.pth')


def test_load_strictly_names_what_does_not_fit():
    network = small_network()
    state = network.state_dict()
    load_strictly(network, {f'module.{name}': tensor for name, tensor in state.items()}, 'x.pth')
    without = {name: tensor for name, tensor in state.items() if name != '0.bias'}
    with pytest.raises(ValueError, match='x.pth does not fit the config: 0.bias is missing'):
        load_strictly(network, without, 'x.pth')
    with pytest.raises(ValueError, match='9.weight is not in the model'):
        load_strictly(network, dict(state, **{'9.weight': torch.ones(1)}), 'x.pth')
    with pytest.raises(ValueError, match=r'0.bias is \(5,\), the config makes it \(4,\)'):
        load_strictly(network, dict(state, **{'0.bias': torch.ones(5)}), 'x.pth')


def test_load_strictly_passes_on_what_torch_refuses():
    class Picky(torch.nn.Linear):
        def _load_from_state_dict(self, *arguments):
            raise RuntimeError('no room for it')

    network = Picky(2, 2)
    with pytest.raises(ValueError, match='x.pth cannot be loaded: no room for it'):
        load_strictly(network, network.state_dict(), 'x.pth')


@pytest.mark.parametrize('name', SHIPPED)
def test_shipped_weights_are_complete(name):
    path, metadata = find_weights(name), read_metadata(name)
    assert path.is_file() and path.stat().st_size <= 12e6
    assert metadata.figures and metadata.notes
    assert metadata.num_vertices == load_template(metadata.template).num_vertices


@pytest.mark.parametrize('name', SHIPPED)
def test_shipped_weights_fit_their_config(name):
    pytest.importorskip('mmpose')
    import meshpose_plugins.integrations.mmpose  # noqa: F401  registers all parts
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmpose.models import build_pose_estimator

    config = Config.fromfile(CONFIGS[name])
    config.model.backbone.init_cfg = None
    init_default_scope('mmpose')
    load_strictly(build_pose_estimator(config.model), load_file(find_weights(name)), name)


def test_resolve_device():
    assert resolve_device('cpu') == 'cpu'
    assert resolve_device(None) == ('cuda' if torch.cuda.is_available() else 'cpu')
    with pytest.raises(ValueError, match="'cuda:99' is not available"):
        resolve_device('cuda:99')
    with pytest.raises(ValueError, match="'gpu'"):
        resolve_device('gpu')
