"""Resuming through MMEngine's own Runner, with checkpoints that torch loads as plain data."""

from __future__ import annotations

from collections import OrderedDict, deque
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Dataset

from meshpose_plugins.cli import plain_checkpoint
from meshpose_plugins.integrations.mmpose import checkpoint_hook
from meshpose_plugins.integrations.mmpose.checkpoint_hook import make_plain, restore_plain, rewrite_checkpoint

PLAIN = (bool, int, float, str, type(None))


class ToyModel(BaseModel):
    def __init__(self):
        super().__init__()
        self.norm, self.linear = torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 1)

    def forward(self, x, y=None, mode='tensor'):
        predicted = self.linear(self.norm(x))[:, 0]
        return dict(loss=((predicted - y) ** 2).mean()) if mode == 'loss' else [predicted]


class ToyDataset(Dataset):
    # what the metainfo of a pose data set holds
    metainfo = dict(
        dataset_name='toy',
        sigmas=np.linspace(0.1, 0.3, 3, dtype=np.float32),
        flip_pairs=[(0, 1)],
        upper_body_ids={0, 1},
        weight=np.float64(1.5),
    )

    def __len__(self):
        return 8

    def __getitem__(self, index):
        random = np.random.RandomState(index)
        return dict(x=torch.tensor(random.rand(2), dtype=torch.float32), y=torch.tensor(float(random.rand())))


class ToyMetric(BaseMetric):
    default_prefix = 'toy'

    def process(self, data_batch, data_samples):
        self.results.append(float(data_samples[0].sum()))

    def compute_metrics(self, results):
        return dict(score=np.float32(sum(results)))


def make_runner(folder: Path, epochs: int, resume: bool = False, plain: bool = True, **options) -> Runner:
    def loader(shuffle):
        return dict(
            dataset=ToyDataset(),
            batch_size=4,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=shuffle),
            collate_fn=dict(type='default_collate'),
        )

    torch.manual_seed(0)
    hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1, save_best='toy/score', rule='greater'))
    if plain:
        hooks['plain_checkpoint'] = dict(type='PlainCheckpointHook')
    return Runner(
        model=ToyModel(),
        work_dir=str(folder),
        train_dataloader=loader(True),
        val_dataloader=loader(False),
        val_evaluator=Evaluator(ToyMetric()),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=np.float64(0.01))),
        param_scheduler=[dict(type='LinearLR', begin=0, end=6, by_epoch=False, start_factor=0.1)],
        default_hooks=hooks,
        custom_hooks=[dict(type='EMAHook')],
        resume=resume,
        randomness=dict(seed=0),
        experiment_name=f'{folder.parent.name}-{folder.name}-{epochs}-{resume}',
        default_scope='mmengine',
        log_level='WARNING',
        **options,
    )


def assert_plain(value, place=''):
    """Nothing but tensors, numbers, strings and their containers, by exact type."""
    if isinstance(value, dict):
        assert type(value) in (dict, OrderedDict), (place, type(value))
        for key, item in value.items():
            assert isinstance(key, (str, int, float, tuple)), (place, key)
            assert_plain(item, f'{place}.{key}')
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):
            assert_plain(item, f'{place}.{index}')
    else:
        assert type(value) in PLAIN or isinstance(value, torch.Tensor), (place, type(value))


def assert_same(left, right, place=''):
    """The same values of the same types, arrays and tensors bit by bit."""
    assert type(left) is type(right), (place, type(left), type(right))
    if isinstance(left, dict):
        assert list(left) == list(right), place
        for key in left:
            assert_same(left[key], right[key], f'{place}.{key}')
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right), place
        for index, pair in enumerate(zip(left, right)):
            assert_same(*pair, f'{place}.{index}')
    elif isinstance(left, HistoryBuffer):
        assert_same([*left.data, left.max_length], [*right.data, right.max_length], place)
    elif isinstance(left, (np.ndarray, np.generic)):
        assert left.dtype == right.dtype and left.shape == right.shape, place
        np.testing.assert_array_equal(left, right, err_msg=place)
    elif isinstance(left, torch.Tensor):
        assert torch.equal(left, right), place
    else:
        assert left == right or left != left, (place, left, right)


@pytest.fixture(scope='module')
def trainings(tmp_path_factory):
    """Four epochs at a stretch, and two epochs that another process of training resumes for two more."""
    straight = make_runner(tmp_path_factory.mktemp('straight') / 'run', 4)
    straight.train()
    folder = tmp_path_factory.mktemp('resumed') / 'run'
    stopped = make_runner(folder, 2)
    stopped.train()
    resumed = make_runner(folder, 4, resume=True)
    resumed.train()
    return straight, stopped, resumed


def test_a_checkpoint_loads_with_weights_only(trainings):
    for name in ('epoch_1.pth', 'epoch_4.pth'):
        assert_plain(torch.load(Path(trainings[2].work_dir) / name, weights_only=True))


def test_resuming_ends_where_training_at_a_stretch_ends(trainings):
    straight, _, resumed = trainings
    assert (resumed.epoch, resumed.iter) == (4, 8)
    assert_same(dict(resumed.model.state_dict()), dict(straight.model.state_dict()))
    assert_same(resumed.optim_wrapper.state_dict(), straight.optim_wrapper.state_dict())
    assert_same(*[[s.state_dict() for s in runner.param_schedulers] for runner in (resumed, straight)])
    for name in ('train/loss', 'train/lr'):
        assert_same(resumed.message_hub.get_scalar(name), straight.message_hub.get_scalar(name), name)
    # MMEngine saves an epoch before it validates it: the second epoch's score is not in its checkpoint
    scores = [runner.message_hub.get_scalar('val/toy/score').data[0] for runner in (resumed, straight)]
    assert_same(scores[0], scores[1][[0, 2, 3]])
    ema = [torch.load(Path(r.work_dir) / 'epoch_4.pth', weights_only=True) for r in (resumed, straight)]
    assert_same(*[dict(checkpoint['ema_state_dict']) for checkpoint in ema])


def test_loading_gives_back_the_objects_that_were_saved(trainings):
    straight = trainings[0]
    checkpoint = torch.load(Path(straight.work_dir) / 'epoch_4.pth', weights_only=True)
    restore_plain(checkpoint)
    assert_same(checkpoint['meta']['dataset_meta'], ToyDataset.metainfo)
    saved = straight.message_hub.log_scalars['train/loss']
    assert_same(checkpoint['message_hub']['log_scalars']['train/loss'], saved)
    assert checkpoint['state_dict']._metadata['norm']['version'] == 2  # batch norm's own format version
    assert checkpoint_hook.FORMAT_KEY not in checkpoint


def test_resuming_finds_the_same_dataset_metainfo(trainings):
    resumed = trainings[2]  # runs begun in one second share a log file: name the one that must be there
    paths = list(Path(resumed.work_dir).glob('*/*.log'))
    assert resumed.timestamp in [path.stem for path in paths]
    logs = [path.read_text() for path in paths]
    assert not any('dataset metainfo from the resumed checkpoint is different' in log for log in logs)


def test_saving_leaves_the_running_training_alone(trainings):
    stopped = trainings[1]
    assert isinstance(stopped.message_hub.log_scalars['train/loss'], HistoryBuffer)
    assert isinstance(stopped.optim_wrapper.param_groups[0]['initial_lr'], np.float64)
    assert isinstance(ToyDataset.metainfo['sigmas'], np.ndarray)


def test_without_the_hook_mmengine_cannot_resume_what_it_saved(tmp_path):
    """The reason for all of this; where this fails, the stock packages have learnt it and the hook can go."""
    if tuple(map(int, torch.__version__.split('.')[:2])) < (2, 6):
        pytest.skip('torch before 2.6 unpickles by default')
    make_runner(tmp_path / 'run', 1, plain=False).train()
    with pytest.raises(ValueError, match='epoch_1.pth: torch refuses.*numpy.*meshpose plain-checkpoint'):
        make_runner(tmp_path / 'run', 2, resume=True).train()


def test_a_foreign_checkpoint_is_rewritten_once_and_then_resumes(tmp_path, capsys):
    make_runner(tmp_path / 'run', 1, plain=False).train()
    foreign = tmp_path / 'run' / 'epoch_1.pth'
    assert plain_checkpoint.main([str(foreign), str(foreign)]) == 0
    assert 'loads with weights_only=True' in capsys.readouterr().out
    assert not list(foreign.parent.glob('*.tmp'))
    runner = make_runner(tmp_path / 'run', 2, resume=True)
    runner.train()
    assert (runner.epoch, runner.iter) == (2, 4)
    assert len(runner.message_hub.get_scalar('train/loss').data[0]) == 4


def test_the_run_log_names_what_was_absorbed_once(trainings, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_hook.compat, 'notices', lambda: ('a notice',))
    said = []
    runner = type('Runner', (), dict(logger=type('Logger', (), dict(info=said.append))))
    checkpoint_hook.PlainCheckpointHook().before_run(runner)
    assert said[0] == 'a notice' and len(said) == 2


def test_what_has_no_plain_form_is_kept_and_named():
    class Strange:
        pass

    strange = Strange()
    checkpoint = dict(meta=dict(a=[1, strange]), path=Path('a/b'), ids=deque([np.int64(3)]))
    assert make_plain(checkpoint) == [f'meta.a.1: {__name__}.{Strange.__qualname__}']
    assert checkpoint['meta']['a'][1] is strange
    assert checkpoint['path'] == 'a/b' and checkpoint['ids'] == [3]


def test_a_checkpoint_of_others_passes_untouched():
    tensor = torch.ones(2)
    checkpoint = dict(state_dict=OrderedDict(a=tensor), meta=dict(epoch=3))
    restore_plain(checkpoint)
    assert list(checkpoint) == ['state_dict', 'meta'] and checkpoint['state_dict']['a'] is tensor


def test_a_later_format_is_refused():
    with pytest.raises(ValueError, match=r"checkpoint\['plain_format'\] has version 99"):
        restore_plain(dict(plain_format=dict(version=99, types={})))


def test_rewriting_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.pth'):
        rewrite_checkpoint(tmp_path / 'nothing.pth', tmp_path / 'plain.pth')
    torch.save([1], tmp_path / 'list.pth')
    with pytest.raises(ValueError, match='list.pth: expected a dictionary.*got list'):
        rewrite_checkpoint(tmp_path / 'list.pth', tmp_path / 'plain.pth')
    with pytest.raises(SystemExit):
        plain_checkpoint.main([str(tmp_path / 'nothing.pth'), str(tmp_path / 'plain.pth')])


numbers = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(),
    st.text('aé/', max_size=5),
    st.binary(max_size=5),
    st.sets(st.integers(0, 9), max_size=3),
    st.floats(width=32).map(np.float32),
    st.integers(0, 100).map(np.int16),
    st.booleans().map(np.bool_),
    st.lists(st.floats(width=16), max_size=4).map(lambda values: np.array(values, np.float16)),
    st.lists(st.text('ab', max_size=3), min_size=1, max_size=3).map(np.array),
    st.tuples(st.integers(0, 2), st.integers(0, 2)).map(lambda shape: np.zeros(shape, np.uint8)),
    st.lists(st.floats(-1, 1), max_size=4).map(lambda values: HistoryBuffer(values, [1] * len(values), 9)),
)
keys = st.one_of(st.text('abc', max_size=3), st.integers(0, 3))
trees = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(keys, inner, max_size=3),
        st.dictionaries(keys, inner, max_size=3).map(OrderedDict),
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text('abc', max_size=2), trees, max_size=3))
def test_plain_and_back_is_the_identity(tmp_path_factory, tree):
    path = tmp_path_factory.getbasetemp() / 'tree.pth'
    checkpoint = dict(tree)
    assert make_plain(checkpoint) == []
    assert_plain(checkpoint)
    torch.save(checkpoint, path)
    loaded = torch.load(path, weights_only=True)
    restore_plain(loaded)
    assert_same(loaded, tree)
