"""The quickstart's stages on a few images and seconds, twice, and the hook that trains for a given time."""
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('mmpose')

from random_weights import anny_lite, checkpoint, weights  # noqa: F401

from meshpose_plugins.cli import quickstart as command
from meshpose_plugins.deploy.weights import find_weights, read_metadata
from meshpose_plugins.integrations.mmpose import quickstart
from meshpose_plugins.integrations.mmpose.quickstart import (
    CONTENT,
    MARK,
    QuickstartReport,
    QuickstartSettings,
    _claim,
    _make_data,
    run_quickstart,
    training_config,
)
from meshpose_plugins.integrations.mmpose.shipped import load_checkpoint_file
from meshpose_plugins.integrations.mmpose.time_limit import TimeLimitHook

SMALL = QuickstartSettings(train_seconds=1.0, train_images=4, test_images=3, batch_size=4, workers=0)


@pytest.fixture(scope='module')
def finished(weights, tmp_path_factory):
    out = tmp_path_factory.mktemp('quickstart')
    return out, run_quickstart(out, str(weights), 'cpu', SMALL)


def test_report_says_what_was_done_and_where(finished, weights):
    out, report = finished
    assert report.iterations >= 1
    for figures in (report.before, report.after):
        assert {'mesh/vertex_error_2d', 'mesh/pa_mpvpe', 'mesh/mpvpe'} <= set(figures)
    assert all(place.exists() for place in report.places.values()), report.places
    assert {'trained model', 'train images', 'picture of synthetic'} <= set(report.places)
    written = json.loads((out / 'report.json').read_text())
    assert written['before'] == report.before and written['iterations'] == report.iterations


def test_training_changed_the_weights_and_kept_the_config(finished, weights):
    _, report = finished
    before = load_checkpoint_file(weights)['state_dict']
    after = load_checkpoint_file(report.places['trained model'])['state_dict']
    metadata = read_metadata(report.places['trained model'])
    assert metadata.config == read_metadata(weights).config
    assert metadata.notes['iterations'] == report.iterations
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert any('backbone' in name for name in changed) and any('head' in name for name in changed)


def test_again_in_the_same_folder(finished, weights):
    out, first = finished
    stamp = (out / 'data' / 'train' / 'meshes.npz').stat().st_mtime_ns
    again = run_quickstart(out, str(weights), 'cpu', SMALL)
    assert (out / 'data' / 'train' / 'meshes.npz').stat().st_mtime_ns == stamp, 'the images are used again'
    assert again.before == pytest.approx(first.before)
    assert len(list((out / 'training').glob('*.pth'))) == 1


def test_training_config_keeps_the_models_own_hooks(weights, tmp_path):
    config = training_config(tmp_path, weights, SMALL, tmp_path / 'training')
    types = [hook['type'] for hook in config.custom_hooks]
    assert types[0] == 'TimeLimitHook' and 'EMAHook' in types and 'MeshPoseVisualizationHook' not in types
    assert config.load_from == str(weights) and config.param_scheduler is None
    assert config.train_dataloader.dataset.data_root == f'{tmp_path}/data/train/'


@pytest.mark.parametrize('name', ['anny-lite', 'meshpose://anny-lite'])
def test_a_shipped_name_is_found(anny_lite, name, tmp_path):
    assert training_config(tmp_path, name, SMALL, tmp_path).load_from == str(find_weights('anny-lite'))


def test_a_home_directory_is_found(weights, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(weights.parent))
    assert training_config(tmp_path, f'~/{weights.name}', SMALL, tmp_path).load_from == str(weights)


def test_only_data_of_other_settings_are_replaced(tmp_path):
    report, two = QuickstartReport(), replace(SMALL, train_images=2, test_images=1)
    _make_data(tmp_path, replace(two, train_images=1), report)
    _make_data(tmp_path, two, report)
    assert len(list((tmp_path / 'data' / 'train' / 'images').iterdir())) == 2
    settings = tmp_path / 'data' / 'train' / 'settings.json'
    settings.write_text('{"seed": ')
    with pytest.raises(ValueError, match='settings.json: no valid JSON'):
        _make_data(tmp_path, two, report)
    assert len(list((tmp_path / 'data' / 'train' / 'images').iterdir())) == 2


def test_a_folder_of_before_there_was_a_mark_is_used(finished, tmp_path):
    assert {path.name for path in finished[0].iterdir()} == CONTENT | {MARK}
    for name in ('data', 'training'):
        (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match='not of an earlier quickstart'):
        _claim(tmp_path)
    (tmp_path / 'report.json').write_text('{}')
    _claim(tmp_path)
    assert (tmp_path / MARK).is_file()


def test_only_a_folder_of_its_own_is_used(weights, tmp_path):
    (tmp_path / 'training').mkdir()
    (tmp_path / 'training' / 'mine.pth').write_text('precious')
    with pytest.raises(ValueError, match='is not empty and not of an earlier quickstart'):
        run_quickstart(tmp_path, str(weights), 'cpu', SMALL)
    with pytest.raises(ValueError, match='mine.pth: is not empty and not of'):
        run_quickstart(tmp_path / 'training' / 'mine.pth', str(weights), 'cpu', SMALL)
    assert [path.name for path in tmp_path.rglob('*')] == ['training', 'mine.pth']


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(train_seconds=-5), 'train_seconds must be a finite number above 0, got -5'),
        (dict(learning_rate=float('nan')), 'learning_rate must be'),
        (dict(train_images=1), 'train_images must be at least 2, got 1'),
        (dict(workers=-1), 'workers must be at least 0'),
    ],
)
def test_sizes_out_of_range_are_named_before_anything_is_made(weights, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        run_quickstart(tmp_path / 'out', str(weights), 'cpu', replace(SMALL, **changes))
    assert not (tmp_path / 'out').exists()


def test_a_failure_is_one_line_and_an_exit_code(tmp_path, capsys):
    arguments = ['--checkpoint', 'gone.safetensors', '--out', str(tmp_path / 'out'), '--workers', '1']
    with pytest.raises(SystemExit) as stop:
        command.main([*arguments, '--test-images', '1', '--train-images', '2'])
    assert not (tmp_path / 'out').exists(), 'it is said before anything is made'
    assert stop.value.code == 2
    assert 'quickstart: checkpoint gone.safetensors does not exist' in capsys.readouterr().err


def test_settings_reach_the_job(monkeypatch):
    seen = {}
    monkeypatch.setattr(quickstart, 'run_quickstart', lambda *arguments: seen.update(arguments=arguments))
    assert command.main(['--train-seconds', '7', '--train-images', '9', '--out', 'x']) == 0
    out, checkpoint_, device, settings = seen['arguments']
    assert (out, checkpoint_, device) == ('x', 'anny-lite', 'auto')
    assert (settings.train_seconds, settings.train_images) == (7, 9)


class FakeRunner:
    """What TimeLimitHook touches of a runner."""

    def __init__(self):
        self.iter = 0
        self.train_loop = SimpleNamespace(_max_iters=10**9)
        parameter = torch.nn.Parameter(torch.zeros(1))
        self.optim_wrapper = torch.optim.SGD([dict(params=[parameter], lr=2.0)], lr=1.0)


def test_time_limit_ends_the_training_and_shapes_the_learning_rate(monkeypatch):
    now = [100.0]
    monkeypatch.setattr('meshpose_plugins.integrations.mmpose.time_limit.time.monotonic', lambda: now[0])
    hook, runner, rates = TimeLimitHook(10.0, warmup=0.1, progress=False), FakeRunner(), []
    hook.before_train(runner)
    while runner.iter < runner.train_loop._max_iters:
        hook.before_train_iter(runner, runner.iter)
        rates.append(runner.optim_wrapper.param_groups[0]['lr'])
        now[0] += 0.5
        hook.after_train_iter(runner, runner.iter, outputs={'loss': torch.tensor(1.0)})
        runner.iter += 1
    hook.after_train(runner)
    assert runner.iter == 20, 'ten seconds of half a second each'
    assert rates[0] == pytest.approx(0.02) and max(rates) == pytest.approx(2.0) == rates[2]
    assert all(a > b for a, b in zip(rates[2:], rates[3:])) and rates[-1] < 0.05


@pytest.mark.parametrize('share_of_the_first, ends', [(0.5, False), (1.0, True)])
def test_time_limit_goes_by_the_first_processs_clock(monkeypatch, share_of_the_first, ends):
    def broadcast(data, src):
        assert src == 0
        data.fill_(share_of_the_first)

    monkeypatch.setattr('meshpose_plugins.integrations.mmpose.time_limit.broadcast', broadcast)
    seconds = 1e9 if ends else 1e-9  # this process's own clock says the opposite
    hook, runner = TimeLimitHook(seconds, progress=False), FakeRunner()
    hook.before_train(runner)
    hook.after_train_iter(runner, 0, outputs={'loss': torch.tensor(1.0)})
    assert (runner.train_loop._max_iters == 1) == ends
    hook.before_train_iter(runner, 1)
    assert runner.optim_wrapper.param_groups[0]['lr'] == pytest.approx(2.0 * hook.factor(share_of_the_first))


@pytest.mark.parametrize('arguments', [dict(seconds=0), dict(seconds=-1), dict(seconds=5, warmup=1)])
def test_time_limit_refuses(arguments):
    with pytest.raises(ValueError, match='TimeLimitHook: (seconds|warmup) must be'):
        TimeLimitHook(**arguments)
