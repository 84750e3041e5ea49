"""The head's weights in both frameworks: one file, the same vertices."""

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('detectron2')
pytest.importorskip('mmpose')

from detectron2.checkpoint import DetectionCheckpointer
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_checkpoint
from small_models import build, tiny_config

import meshpose_plugins.integrations.mmpose  # noqa: F401
from meshpose_plugins.deploy.head_weights import (
    convert_head_weights,
    head_weights,
    load_head_weights,
    read_state_dict,
)
from mmpose.registry import MODELS


@pytest.fixture(scope='module')
def detectron2_model():
    return build(tiny_config()).eval()


@pytest.fixture(scope='module')
def mmpose_model(detectron2_model):
    """A top-down model whose head is of the same size: 8 channels, heatmaps of 14 px at stride 4."""
    init_default_scope('mmpose')
    node = tiny_config().MODEL.ROI_MESHPOSE_HEAD
    torch.manual_seed(5)
    model = torch.nn.Module()
    model.head = MODELS.build(
        dict(
            type='MeshPoseHead',
            in_channels=8,
            input_size=(56, 56),
            deconv_out_channels=None,
            vertexpose=dict(type='VertexPoseBranch', gain=node.GAIN),
            regression=dict(
                type='RegressionBranch',
                hidden_channels=node.REGRESSION.HIDDEN_CHANNELS,
                num_bins=node.REGRESSION.NUM_BINS,
                pool_size=node.REGRESSION.POOL_SIZE,
                reduce_channels=node.REGRESSION.REDUCE_CHANNELS,
                lift_channels=node.REGRESSION.LIFT_CHANNELS,
            ),
        )
    )
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


FEATURE = torch.randn(3, 8, 14, 14, generator=torch.Generator().manual_seed(0))


def vertices(model):
    with torch.no_grad():
        head = model.head if hasattr(model, 'head') else model.roi_heads.meshpose_predictor
        return (head([FEATURE]) if hasattr(model, 'head') else head(FEATURE)).xyz_crop


def test_from_mmpose_to_detectron2(mmpose_model, detectron2_model, tmp_path):
    torch.save(dict(state_dict=mmpose_model.state_dict(), meta={}), tmp_path / 'mmpose.pth')
    assert (vertices(mmpose_model) - vertices(detectron2_model)).abs().max() > 1
    path = convert_head_weights(tmp_path / 'mmpose.pth', tmp_path / 'd2.pth', 'detectron2')
    before = {name: value.clone() for name, value in detectron2_model.state_dict().items()}
    DetectionCheckpointer(detectron2_model).load(str(path))
    torch.testing.assert_close(vertices(detectron2_model), vertices(mmpose_model), atol=1e-4, rtol=0)
    changed = {
        name for name, value in detectron2_model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed and all(name.startswith('roi_heads.meshpose_predictor.network.') for name in changed)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_from_detectron2_to_mmpose(mmpose_model, detectron2_model, tmp_path, suffix):
    for parameter in detectron2_model.roi_heads.meshpose_predictor.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    torch.save(dict(model=detectron2_model.state_dict(), iteration=3), tmp_path / 'd2.pth')
    path = convert_head_weights(tmp_path / 'd2.pth', tmp_path / f'mmpose{suffix}', 'mmpose')
    load_checkpoint(mmpose_model, str(path), map_location='cpu')
    torch.testing.assert_close(vertices(mmpose_model), vertices(detectron2_model), atol=1e-4, rtol=0)


def test_loading_without_a_file(mmpose_model, detectron2_model):
    for parameter in mmpose_model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    weights = head_weights({f'module.{name}': value for name, value in mmpose_model.state_dict().items()})
    load_head_weights(detectron2_model.roi_heads.meshpose_predictor, weights, 'here')
    torch.testing.assert_close(vertices(detectron2_model), vertices(mmpose_model), atol=1e-4, rtol=0)


def test_what_does_not_fit_is_named(mmpose_model, detectron2_model, tmp_path):
    weights = head_weights(mmpose_model.state_dict())
    predictor = detectron2_model.roi_heads.meshpose_predictor
    with pytest.raises(ValueError, match='x.pth does not fit.*vertexpose.conv.bias is missing'):
        load_head_weights(
            predictor, {k: v for k, v in weights.items() if k != 'network.vertexpose.conv.bias'}, 'x.pth'
        )
    other = dict(weights, template_id=torch.zeros_like(weights['template_id']) + 65)
    with pytest.raises(ValueError, match='wrong template'):
        load_head_weights(predictor, other, 'x.pth')
    with pytest.raises(ValueError, match='x.pth: no MeshPose head'):
        head_weights({'backbone.conv.weight': torch.zeros(1)}, 'x.pth')
    torch.save({'model': {}}, tmp_path / 'empty.pth')
    (tmp_path / 'broken.pth').write_bytes(b'nothing')
    with pytest.raises(ValueError, match='empty.pth: no tensors'):
        read_state_dict(tmp_path / 'empty.pth')
    with pytest.raises(ValueError, match='broken.pth cannot be read'):
        read_state_dict(tmp_path / 'broken.pth')
    with pytest.raises(FileNotFoundError, match='gone.pth'):
        read_state_dict(tmp_path / 'gone.pth')
    with pytest.raises(ValueError, match="expected one of mmpose, detectron2, got 'keras'"):
        convert_head_weights('a', 'b.pth', 'keras')
    with pytest.raises(ValueError, match='for detectron2 ends in .pth'):
        convert_head_weights('a', 'b.safetensors', 'detectron2')


def test_the_command_converts_and_names_errors(detectron2_model, tmp_path, capsys):
    from meshpose_plugins.cli.head_weights import main

    torch.save(dict(model=detectron2_model.state_dict()), tmp_path / 'd2.pth')
    assert main([str(tmp_path / 'd2.pth'), str(tmp_path / 'out.safetensors'), '--to', 'mmpose']) == 0
    assert 'load it with load_from=' in capsys.readouterr().out
    written = read_state_dict(tmp_path / 'out.safetensors')
    assert head_weights(written).keys() == head_weights(detectron2_model.state_dict()).keys()
    with pytest.raises(SystemExit, match='^head_weights: .*gone.pth does not exist'):
        main([str(tmp_path / 'gone.pth'), 'out.pth', '--to', 'detectron2'])
