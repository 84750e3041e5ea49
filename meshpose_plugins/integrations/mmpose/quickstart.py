"""The quickstart's main job: look at the shipped model, train it a little on fresh data, measure both."""

from __future__ import annotations

import json
import math
import shutil
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table

from meshpose_plugins.data.coco import read_json
from meshpose_plugins.data.synthetic import SyntheticSettings, make_synthetic
from meshpose_plugins.data.synthetic.writer import SettingsChanged
from meshpose_plugins.deploy.demo import run_demo
from meshpose_plugins.deploy.weights import find_weights
from meshpose_plugins.files import write_atomically
from meshpose_plugins.detection.boxes import xywh_to_xyxy
from meshpose_plugins.integrations.mmpose import time_limit  # noqa: F401 (registers TimeLimitHook)
from meshpose_plugins.integrations.mmpose.inferencer import MeshPoseInferencer
from meshpose_plugins.integrations.mmpose.shipped import load_config

# Metric of MeshPoseMetric, what it is, and whether less is better.
FIGURES = (
    ('mesh/vertex_error_2d', '2-D vertex error, % of the mesh height', True),
    ('mesh/pa_mpvpe', 'PA-MPVPE, mm', True),
    ('mesh/mpvpe', 'MPVPE, mm', True),
    ('mesh/visibility_auc', 'visibility AUC', False),
    ('mesh/uv_error', 'surface point error, % of the box height', True),
)
#: Lies in the quickstart's folder.
MARK = '.quickstart'
#: What else lies there in the end.
CONTENT = {'data', 'demo', 'metrics', 'training', 'trained.safetensors', 'report.json'}
# scikit-image's astronaut, the box of the README's picture: x0, y0, x1, y1 px.
ASTRONAUT_BOX = (16.0, 0.0, 396.0, 512.0)


@dataclass(frozen=True)
class QuickstartSettings:
    """Sizes of the quickstart.

    Args:
        train_seconds: time for training, s.
        train_images: number of fresh training images.
        test_images: number of images the table is computed on.
        learning_rate: its peak; low, because two hundred people teach trained weights little: five times as much
            made them worse on others.
        batch_size: people per iteration.
        workers: processes that make and load data.
        seed: of the synthetic images; no data set of the documentation uses it.
    """

    train_seconds: float = 120.0
    train_images: int = 200
    test_images: int = 100
    learning_rate: float = 2e-5
    batch_size: int = 32
    workers: int = 2
    seed: int = 20240601

    def check(self) -> None:
        """Raise a ValueError that names a size out of range."""
        for name in ('train_seconds', 'learning_rate'):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f'{name} must be a finite number above 0, got {getattr(self, name)}')
        for name, least in (('train_images', 2), ('test_images', 1), ('workers', 0)):
            if getattr(self, name) < least:
                raise ValueError(f'{name} must be at least {least}, got {getattr(self, name)}')


@dataclass
class QuickstartReport:
    """What the quickstart found.

    Args:
        before: metric -> number of the shipped weights on the test images.
        after: the same after training.
        places: what -> where it lies.
        seconds: stage -> time it took.
        iterations: of the training.
    """

    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    places: dict[str, Path] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    iterations: int = 0


def run_quickstart(
    out: str | Path,
    checkpoint: str = 'anny-lite',
    device: str | None = None,
    settings: QuickstartSettings = QuickstartSettings(),
    console: Console | None = None,
) -> QuickstartReport:
    """Do the main job; an earlier run's data in the same folder are used again, its training is replaced.

    Args:
        out: folder for everything.
        checkpoint: shipped name or weights file to start from.
        device: torch device of the demo, None takes the GPU where there is one (MMPose's runner always does).
        settings: sizes.
        console: where to print.

    Returns:
        the report, also written to OUT/report.json.
    """
    out, console, report = Path(out), console or Console(), QuickstartReport()
    find_weights(checkpoint)  # what is wrong is better said before anything is made
    settings.check()
    _claim(out)
    stages = (
        ('synthetic images', lambda: _make_data(out, settings, report)),
        ('demo', lambda: _demo(out, checkpoint, device, report, console)),
        ('metrics before', lambda: report.before.update(_test(out, checkpoint, settings, 'before'))),
        ('training', lambda: _train(out, checkpoint, settings, report)),
        (
            'metrics after',
            lambda: report.after.update(_test(out, report.places['trained model'], settings, 'after')),
        ),
    )
    for number, (name, stage) in enumerate(stages, start=1):
        console.rule(f'[{number}/{len(stages)}] {name}', align='left')
        start = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # the frameworks' remarks about themselves
            stage()
        report.seconds[name] = round(time.monotonic() - start, 1)
    _write_report(out, report)
    print_report(report, console)
    return report


def _claim(out: Path) -> None:
    """Mark a folder as the quickstart's own: what an earlier run left there is replaced, nothing else ever."""
    mark = out / MARK
    if out.exists() and not mark.is_file():
        found = {path.name for path in out.iterdir()} if out.is_dir() else None
        unmarked = found is not None and found <= CONTENT and 'report.json' in found  # before there was a mark
        if found != set() and not unmarked:
            raise ValueError(
                f'{out}: is not empty and not of an earlier quickstart: give another folder (--out)'
            )
    write_atomically(mark, b'This folder belongs to the quickstart, which replaces what lies in it.\n')


def _make_data(out: Path, settings: QuickstartSettings, report: QuickstartReport) -> None:
    """Fresh training and test images; folders that were begun with other settings are made anew."""
    for name, count, split in (
        ('train', settings.train_images, 'train'),
        ('test', settings.test_images, 'val'),
    ):
        folder = out / 'data' / name
        choices = SyntheticSettings(seed=settings.seed, split=split)
        workers = max(settings.workers, 1)
        try:
            make_synthetic(folder, count, choices, workers=workers)
        except SettingsChanged:
            shutil.rmtree(folder)
            make_synthetic(folder, count, choices, workers=workers)
        report.places[f'{name} images'] = folder


def _demo(out: Path, checkpoint: str, device: str | None, report: QuickstartReport, console: Console) -> None:
    """The shipped model on a photograph, where scikit-image brings one, and on a synthetic picture."""
    import cv2

    inferencer = MeshPoseInferencer(checkpoint, device=device)
    pictures = {'synthetic': _whole_person(out / 'data' / 'test')}
    try:
        from skimage.data import astronaut
    except ImportError:
        console.print('scikit-image is not installed, its photograph is left out: pip install scikit-image')
    else:
        photograph = out / 'data' / 'astronaut.png'
        cv2.imwrite(str(photograph), astronaut()[..., ::-1])
        pictures = {'astronaut': (photograph, np.asarray([ASTRONAUT_BOX], np.float32)), **pictures}
    for name, (path, boxes) in pictures.items():
        summary = run_demo(inferencer, path, out / 'demo' / name, inferencer.detector, boxes=boxes)
        if summary.failures:
            raise ValueError(next(iter(summary.failures.values())))
        report.places[f'picture of {name}'] = summary.out / 'overlays' / f'{path.stem}.jpg'
        report.places[f'3-D viewer of {name}'] = summary.out / 'viewers' / f'{path.stem}.html'


def _whole_person(folder: Path) -> tuple[Path, np.ndarray]:
    """The first picture of a data set that shows most of a person, and the person's box as (1, 4) corners."""
    content = read_json(folder / 'annotations.json')
    person = max(content['annotations'], key=lambda annotation: annotation['num_keypoints'])
    names = {image['id']: image['file_name'] for image in content['images']}
    box = xywh_to_xyxy(person['bbox'], f'annotation id {person["id"]}')
    return folder / names[person['image_id']], box[None]


def base_config(out: Path, checkpoint: str | Path, settings: QuickstartSettings, work_dir: Path) -> Config:
    """The model's own config, on the quickstart's data.

    Args:
        out: the quickstart's folder.
        checkpoint: weights to load, which carry the config.
        settings: sizes.
        work_dir: folder for logs and checkpoints.

    Returns:
        a config for MMPose's runner.
    """
    config = load_config(checkpoint).copy()
    for loader, name in (
        (config.train_dataloader, 'train'),
        (config.val_dataloader, 'test'),
        (config.test_dataloader, 'test'),
    ):
        loader.dataset.data_root = str(out / 'data' / name) + '/'
        loader.dataset.data_prefix = dict(img='')  # file names of make_synthetic begin with images/
        loader.batch_size = min(settings.batch_size, settings.train_images)
        loader.num_workers = settings.workers
        loader.persistent_workers = settings.workers > 0
    config.load_from = str(find_weights(checkpoint))
    config.work_dir = str(work_dir)
    # Runners of one process would share a visualizer of the same name, and its folder.
    config.visualizer.name = f'{work_dir.name}_{time.time_ns()}'
    config.log_level = 'ERROR'
    return config


def _test(out: Path, checkpoint: str | Path, settings: QuickstartSettings, name: str) -> dict[str, float]:
    """The metrics of some weights on the test images, by MMPose's runner."""
    work_dir = out / 'metrics' / name
    shutil.rmtree(work_dir, ignore_errors=True)
    config = base_config(out, checkpoint, settings, work_dir)
    config.custom_hooks = []
    return {key: float(value) for key, value in Runner.from_cfg(config).test().items()}


def training_config(
    out: Path, checkpoint: str | Path, settings: QuickstartSettings, work_dir: Path
) -> Config:
    """The config of the short training: the model's own, with a time limit and a low learning rate."""
    config = base_config(out, checkpoint, settings, work_dir)
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    config.train_cfg = dict(by_epoch=False, max_iters=10**9)
    config.param_scheduler = None
    config.optim_wrapper.optimizer.lr = settings.learning_rate
    config.default_hooks.checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=-1, save_last=True)
    config.default_hooks.logger.interval = 10
    config.custom_hooks = [dict(type='TimeLimitHook', seconds=settings.train_seconds)] + [
        hook
        for hook in config.custom_hooks
        if hook.type not in ('MeshPoseVisualizationHook', 'TimeLimitHook')
    ]
    return config


def _train(out: Path, checkpoint: str, settings: QuickstartSettings, report: QuickstartReport) -> None:
    """Train for the given time, and write the result as a weights file."""
    from meshpose_plugins.integrations.mmpose.publish import publish_weights

    work_dir = out / 'training'
    shutil.rmtree(work_dir, ignore_errors=True)
    runner = Runner.from_cfg(training_config(out, checkpoint, settings, work_dir))
    runner.train()
    report.iterations = runner.iter
    last = (work_dir / 'last_checkpoint').read_text().strip()
    report.places['training log and checkpoint'] = work_dir
    report.places['trained model'] = publish_weights(
        last,
        out / 'trained.safetensors',
        config=checkpoint,
        notes=dict(
            made_by='quickstart', start=str(checkpoint), iterations=runner.iter, images=settings.train_images
        ),
    )


def _write_report(out: Path, report: QuickstartReport) -> None:
    report.places['report'] = out / 'report.json'
    content = dict(
        before=report.before,
        after=report.after,
        iterations=report.iterations,
        seconds=report.seconds,
        places={what: str(place) for what, place in report.places.items()},
    )
    write_atomically(report.places['report'], json.dumps(content, indent=2).encode())


def print_report(report: QuickstartReport, console: Console) -> None:
    """Print the metrics before and after, and where everything lies."""
    table = Table(
        title=f'On fresh test images, before and after {report.iterations} iterations of training'
    )
    for column in ('metric', 'before', 'after', 'change'):
        table.add_column(column, justify='left' if column == 'metric' else 'right')
    for key, title, less_is_better in FIGURES:
        if key in report.before and key in report.after:
            before, after = report.before[key], report.after[key]
            better = (after < before) == less_is_better
            color = 'green' if better else 'yellow'
            table.add_row(title, f'{before:.3f}', f'{after:.3f}', f'[{color}]{after - before:+.3f}[/{color}]')
    console.print(table)
    for what, place in report.places.items():
        console.print(f'{what}: {place}', soft_wrap=True, highlight=False)
    console.print(f'{sum(report.seconds.values()):.0f} s in all')
