"""Ablations: every variant builds what it says; a few runs, their report, and what happens the second time."""
from __future__ import annotations

import copy
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

import meshpose_plugins.integrations.mmpose  # noqa: F401  registers all parts
from meshpose_plugins.cli import ablate as command
from meshpose_plugins.data.synthetic import SyntheticSettings, make_synthetic
from meshpose_plugins.integrations.mmpose.ablation import (
    VARIANTS,
    AblationRun,
    add_densepose_metric,
    config_of_test,
)
from meshpose_plugins.integrations.mmpose.ablation_report import markdown, values
from mmpose.registry import DATASETS, METRICS, MODELS

ROOT = Path(__file__).resolve().parents[3]
CONFIG = ROOT / command.DEFAULT_CONFIG
# What every variant must not have among the types of its losses.
ABSENT = {
    'full': set(),
    'regression_only': {'BarycentricLoss', 'UVConsistencyLoss', 'VisibilityLoss', 'SilhouetteLoss',
                        'VertexHeatmapLoss'},
    'vertexpose_only': {'VisibilityLoss'},
    'no_visibility': {'VisibilityLoss'},
    'no_barycentric': {'BarycentricLoss'},
    'no_uv': {'UVConsistencyLoss'},
    'no_silhouette': {'SilhouetteLoss'},
    'half_points_only': set(),
    'points_only': set(),
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('ablation')


@pytest.fixture(scope='module')
def base(folder):
    """The full light config on 8 people."""
    make_synthetic(folder / 'people', 8, SyntheticSettings(seed=3), backgrounds='procedural', progress=False)
    config = Config.fromfile(str(CONFIG))
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = f"{folder / 'people'}/"
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
    path = folder / 'tiny.py'
    config.dump(str(path))
    return path


def run_of(variant, folder, base):
    return AblationRun(variant, 0, 4, folder / 'x').config(Config.fromfile(str(base)))


@pytest.mark.parametrize('variant', VARIANTS)
def test_variant_is_what_it_says(variant, folder, base):
    original = Config.fromfile(str(base)).model.head.losses
    config = run_of(variant, folder, base)
    types = {loss.type for loss in config.model.head.losses.values()}
    expected = {loss.type for loss in original.values()} - ABSENT[variant]
    assert types == expected
    init_default_scope('mmpose')
    MODELS.build(config.model)
    people = DATASETS.build(config.train_dataloader.dataset)
    meshes = [people[k]['data_samples'].gt_instance_labels.vertices_valid.all().item() for k in range(8)]
    with_mesh = {'points_only': 0, 'half_points_only': 4}.get(variant, 8)
    assert len(people) == 8 and sum(meshes) == with_mesh


def test_the_first_variant_of_a_process_may_need_the_data_set(folder, base):
    """In a process of its own, where nothing has chosen MMPose's registries yet."""
    code = (
        "from mmengine.config import Config; import meshpose_plugins.integrations.mmpose\n"
        "from meshpose_plugins.integrations.mmpose.ablation import AblationRun; from pathlib import Path\n"
        f"config = AblationRun('half_points_only', 0, 4, Path('x')).config(Config.fromfile({str(base)!r}))\n"
        "print(len(config.train_dataloader.dataset.datasets))")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=folder,
                          env=dict(os.environ, PYTHONPATH=str(ROOT)))
    assert done.stdout.strip().endswith('2'), done.stderr[-2000:]


def test_a_variant_leaves_the_base_alone(folder, base):
    config = Config.fromfile(str(base))
    before = copy.deepcopy(config.to_dict())
    for variant in VARIANTS:
        AblationRun(variant, 1, 4, folder / 'x').config(config)
    assert config.to_dict() == before


def test_truncated_crops_keep_two_thirds_and_are_the_same_every_time(folder, base):
    config = run_of('full', folder, base)
    init_default_scope('mmpose')
    whole, *cut = [DATASETS.build(config_of_test(config, name).test_dataloader.dataset)
                   for name in ('whole', 'truncated', 'truncated')]
    sides = set()
    for k in range(8):
        samples = [people[k]['data_samples'].metainfo for people in (whole, *cut)]
        assert samples[1]['input_scale'] == pytest.approx(samples[0]['input_scale'] * 2 / 3, rel=1e-4)
        assert samples[1]['input_center'] == pytest.approx(samples[2]['input_center'])
        sides.add(tuple((samples[1]['input_center'] - samples[0]['input_center']).round(3) != 0))
    assert len(sides) > 1, 'not always the same side'


@pytest.fixture(scope='module')
def finished(folder, base):
    arguments = [str(base), '--out', str(folder / 'out'), '--iterations', '2', '--seeds', '0', '1',
                 '--variants', 'full', 'regression_only']
    assert command.main(arguments) == 0
    return arguments, folder / 'out'


def test_report_has_every_run(finished):
    _, out = finished
    rows = list(csv.DictReader((out / 'ablation.csv').open()))
    assert [(row['variant'], row['seed'], row['crops']) for row in rows] == [
        (variant, seed, crops) for seed in '01' for variant in ('full', 'regression_only')
        for crops in ('whole', 'truncated')]
    assert all(float(row['mesh/vertex_error_2d']) > 0 for row in rows)
    assert len({row['mesh/vertex_error_2d'] for row in rows}) == 8, 'runs, seeds and crops differ'
    table = (out / 'ablation.md').read_text()
    assert table.count('| everything |') == 2 and 'mean of 2 seeds' in table
    assert (out / 'ablation.png').read_bytes()[:4] == b'\x89PNG'


def test_a_finished_run_is_not_done_again(finished, capsys):
    arguments, out = finished
    stamps = {path: path.stat().st_mtime_ns for path in out.glob('runs/*/*.pth')}
    assert command.main(arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in out.glob('runs/*/*.pth')} == stamps
    assert 'ablation.md' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='trained with another config'):
        command.main([*arguments, '--cfg-options', 'optim_wrapper.optimizer.lr=0.5'])


def test_another_metric_needs_no_training(finished):
    arguments, out = finished
    stamps = {path: path.stat().st_mtime_ns for path in out.glob('runs/*/*.pth')}
    command.main([*arguments, '--cfg-options', 'test_evaluator.type=MeshMetric'])
    assert {path: path.stat().st_mtime_ns for path in out.glob('runs/*/*.pth')} == stamps
    result = json.loads((out / 'runs' / 'full_seed0' / 'result.json').read_text())
    assert result['whole'] and all(name.startswith('mesh3d/') for name in result['whole'])


def test_densepose_metric_joins_the_others(base):
    config = Config.fromfile(str(base))
    add_densepose_metric(config)
    mesh, densepose = config.test_evaluator
    assert mesh.type == 'MeshPoseMetric' and Path(densepose.ann_file).is_file()
    assert list(METRICS.build(densepose).protocols) == ['P1']


def test_table_gives_mean_and_half_the_range():
    results = [dict(variant='full', seed=seed, iterations=1,
                    whole={'mesh/pa_mpvpe': value}, truncated={}) for seed, value in enumerate((90.0, 110.0))]
    assert values(results, 'full', 'whole', 'mesh/pa_mpvpe') == [90.0, 110.0]
    assert '| everything | 100.0 ± 10.0 |' in markdown(results)


def test_bad_arguments_are_named(base, folder):
    with pytest.raises(SystemExit, match='--variants: nothing: unknown; there are full, '):
        command.main([str(base), '--out', str(folder / 'bad'), '--variants', 'nothing'])
    with pytest.raises(SystemExit, match='--iterations must be at least 1, got 0'):
        command.main([str(base), '--iterations', '0'])
    assert command.main(['--list']) == 0
