"""Ablations: the same training with one idea of the method taken away at a time."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from meshpose_plugins.files import read_json_file, write_atomically
from mmpose.registry import DATASETS

#: The test set as it is, and with crops that cut off a third of every body.
TEST_SETS = ('whole', 'truncated')
#: What DensePose annotates.
POINT_LABELS = ['points', 'masks']
#: Keys of a config that a training depends on.
TRAINING_KEYS = ('model', 'train_cfg', 'train_dataloader', 'optim_wrapper', 'param_scheduler', 'custom_hooks',
                 'randomness', 'load_from')
#: Files of a run: its figures, and the digest of its training's config.
RESULT, TRAINING = 'result.json', 'training.json'


@dataclass(frozen=True)
class Variant:
    """One training of an ablation.

    Args:
        title: what is different, for tables.
        change: changes the config in place.
    """

    title: str
    change: Callable[[Config], None]


def _drop_losses(*types: str) -> Callable[[Config], None]:
    """A change that takes all loss terms of some types out of the head."""
    def change(config: Config) -> None:
        losses = config.model.head.losses
        for name in [name for name, loss in losses.items() if loss.type in types]:
            losses.pop(name)
    return change


def _regression_only(config: Config) -> None:
    """Pooled features to a mesh, and mesh losses alone, as human mesh recovery does it."""
    config.model.head.fusion.mode = 'regressed'
    config.model.head.regression.pop('lift_channels', None)  # it reads what VertexPose found
    keep = ('VertexLoss', 'EdgeLengthLoss', 'FaceNormalLoss', 'JointLoss')
    losses = config.model.head.losses
    for name in [name for name, loss in losses.items()
                 if loss.type not in keep or loss.get('which') == 'vertexpose']:
        losses.pop(name)


def _vertexpose_only(config: Config) -> None:
    """Heatmaps alone give x and y, also where the crop cuts the body off; z stays the regression's."""
    config.model.head.fusion.mode = 'vertexpose'
    _drop_losses('VisibilityLoss')(config)


def _points_only(config: Config) -> None:
    """All people have annotated points and masks, and none a mesh or keypoints."""
    config.train_dataloader.dataset.labels = POINT_LABELS


def _half_points_only(config: Config) -> None:
    """Every other person has annotated points and a mask, and no mesh or keypoints."""
    dataset = config.train_dataloader.dataset
    init_default_scope(config.default_scope)  # no runner may have done so yet
    people = range(len(DATASETS.build(dataset)))
    config.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[
        dict(dataset, indices=list(people[0::2])),
        dict(dataset, indices=list(people[1::2]), labels=POINT_LABELS)])


VARIANTS = {
    'full': Variant('everything', lambda config: None),
    'regression_only': Variant('regression only (human mesh recovery)', _regression_only),
    'vertexpose_only': Variant('VertexPose only', _vertexpose_only),
    'no_visibility': Variant('fusion without visibility loss', _drop_losses('VisibilityLoss')),
    'no_barycentric': Variant('without barycentric loss', _drop_losses('BarycentricLoss')),
    'no_uv': Variant('without UV consistency loss', _drop_losses('UVConsistencyLoss')),
    'no_silhouette': Variant('without silhouette loss', _drop_losses('SilhouetteLoss')),
    'half_points_only': Variant('half of the people with points only', _half_points_only),
    'points_only': Variant('all people with points only, no mesh', _points_only),
}


@dataclass(frozen=True)
class AblationRun:
    """One variant with one seed, trained and tested in a folder of its own.

    Args:
        variant: a key of VARIANTS.
        seed: of everything random.
        iterations: of training.
        folder: for logs, the checkpoint and the result.
    """

    variant: str
    seed: int
    iterations: int
    folder: Path

    def config(self, base: Config) -> Config:
        """The base config changed to this run: its schedule ends with it, and nothing is validated."""
        config = copy.deepcopy(base)
        VARIANTS[self.variant].change(config)
        config.randomness = dict(config.get('randomness', {}), seed=self.seed)
        config.train_cfg.max_iters = self.iterations
        _fit_schedule(config.param_scheduler, self.iterations)
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
        config.default_hooks.checkpoint = dict(
            type='CheckpointHook', by_epoch=False, interval=max(self.iterations // 4, 1), max_keep_ckpts=1,
            save_last=True)
        # Stages are counted in iterations of a long training: all parts learn from the first one on.
        config.custom_hooks = [
            hook for hook in config.custom_hooks
            if hook.type not in ('MeshPoseVisualizationHook', 'StagedTraining', 'LossWeightSchedule')]
        config.work_dir = str(self.folder)
        config.resume = True
        # Runners of one process would share a visualizer of the same name, and its folder.
        config.visualizer.name = f'{self.folder.name}_{time.time_ns()}'
        return config

    def result(self, base: Config) -> dict:
        """Train (or go on with) this run and test it; what is finished with this config is not done again.

        Args:
            base: the config that the variant changes.

        Returns:
            ``variant``, ``seed``, ``iterations``, and the metrics of every test set.

        Raises:
            ValueError: the folder's training is one of another config.
        """
        config = self.config(base)
        training, everything = _digest(config, TRAINING_KEYS), _digest(config)
        self._check_training(training)
        path = self.folder / RESULT
        found = read_json_file(path) if path.is_file() else {}
        if found.get('config') == everything:
            return found
        checkpoint = self.folder / f'iter_{self.iterations}.pth'
        if not checkpoint.is_file():
            Runner.from_cfg(config).train()
        tests = {name: _test(config_of_test(config, name), str(checkpoint)) for name in TEST_SETS}
        found = dict(variant=self.variant, seed=self.seed, iterations=self.iterations, **tests,
                     config=everything)
        write_atomically(path, (json.dumps(found, indent=1) + '\n').encode())
        return found

    def _check_training(self, digest: str) -> None:
        """Note the training's config in a new folder, compare it in an old one."""
        path = self.folder / TRAINING
        if not path.is_file():
            write_atomically(path, json.dumps(dict(config=digest)).encode())
        elif read_json_file(path)['config'] != digest:
            raise ValueError(
                f'{path}: was trained with another config; give another --out, or remove {self.folder}')


def _fit_schedule(schedules: list[dict], iterations: int) -> None:
    """Let a warm-up take a tenth of the iterations at most, and what follows it end with them."""
    warm_up = max(iterations // 10, 1)
    for schedule in schedules:
        if schedule.get('begin', 0) == 0 and len(schedules) > 1:
            schedule['end'] = min(schedule['end'], warm_up)
        else:
            schedule['begin'] = min(schedule.get('begin', 0), warm_up)
            schedule.pop('end', None)


def config_of_test(config: Config, test_set: str) -> Config:
    """The config of a test: the run's own, for 'truncated' with crops that keep two thirds of every box."""
    config = copy.deepcopy(config)
    config.custom_hooks, config.resume = [], False
    config.work_dir = str(Path(config.work_dir) / f'test_{test_set}')
    config.visualizer.name = f'test_{time.time_ns()}'
    if test_set == 'truncated':
        pipeline = config.test_dataloader.dataset.pipeline
        place = 1 + [step.type for step in pipeline].index('GetBBoxCenterScale')
        pipeline.insert(place, dict(type='RandomTruncation', prob=1.0, keep=(2 / 3, 2 / 3),
                                    side_weights=(1, 1, 1, 1), by_sample=True))
    return config


def add_densepose_metric(config: Config) -> None:
    """Let the tests also give AP of GPS and GPSm under protocol P1, beside what the config measures."""
    evaluators = config.test_evaluator
    dataset = config.test_dataloader.dataset
    config.test_evaluator = [*(evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]), dict(
        type='DensePoseMetric', ann_file=str(Path(dataset.get('data_root', '')) / dataset.ann_file),
        protocols=['P1'], template=config.model.head.template)]


def _test(config: Config, checkpoint: str) -> dict[str, float]:
    config.load_from = checkpoint
    return {name: float(value) for name, value in Runner.from_cfg(config).test().items()}


def _digest(config: Config, keys: Sequence[str] | None = None) -> str:
    """A short hash of a config, or of some keys of it, without the folder and the name of its visualizer."""
    content = config.to_dict()
    content.pop('work_dir'), content['visualizer'].pop('name')
    content = {key: value for key, value in content.items() if keys is None or key in keys}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def run_ablation(base: Config, variants: Sequence[str], seeds: Iterable[int], iterations: int, out: Path,
                 report: Callable[[list[dict]], None] = lambda results: None) -> list[dict]:
    """Train and test every variant with every seed, one after the other; what is finished is not done again.

    Args:
        base: config whose ``train_dataloader`` and ``test_dataloader`` name the data.
        variants: keys of VARIANTS.
        seeds: every seed's variants come before the next seed's.
        iterations: of every training.
        out: folder; a run lies in ``out/runs/<variant>_seed<seed>``.
        report: called with all results so far after every run.

    Returns:
        the results, see :meth:`AblationRun.result`.

    Raises:
        ValueError: an unknown variant, or a finished run of another config in the folder.
    """
    unknown = [name for name in variants if name not in VARIANTS]
    if unknown:
        raise ValueError(f'--variants: {", ".join(unknown)}: unknown; there are {", ".join(VARIANTS)}')
    results = []
    for seed in seeds:
        for variant in variants:
            folder = out / 'runs' / f'{variant}_seed{seed}'
            results.append(AblationRun(variant, seed, iterations, folder).result(base))
            report(results)
    return results
