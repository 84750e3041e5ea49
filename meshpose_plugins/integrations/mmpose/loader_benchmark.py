"""How long a config's data loader takes, against the training step that waits for it."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS

from meshpose_plugins.data.densepose import DensePoseCoco
from meshpose_plugins.templates import load_template


@dataclass
class LoaderTimings:
    """Medians on one process.

    Args:
        step: ms of a training step (forward, losses, backward, optimiser) of one batch.
        batch: ms of loading that batch in one process.
        transforms: data set and pipeline step -> ms per sample.
        reading: annotation file -> seconds to read it, and to read it again from its cache.
    """

    step: float
    batch: float
    transforms: dict[str, float] = field(default_factory=dict)
    reading: dict[str, tuple[float, float]] = field(default_factory=dict)


def benchmark_loader(config: Config, repeats: int = 5, samples: int = 100) -> LoaderTimings:
    """Time the data sets of a config in this process, and its training step on what they gave.

    Args:
        config: of a training; its data have to be there.
        repeats: batches, of which the medians are taken.
        samples: samples of each data set through whose pipelines the time of each step is measured.
    """
    init_default_scope(config.get('default_scope', 'mmpose'))
    np.random.seed(0)
    loader = config.train_dataloader
    dataset = DATASETS.build(loader.dataset)
    dataset.full_init()
    parts = getattr(dataset, 'datasets', [dataset])
    starts = np.cumsum([0, *(len(part) for part in parts)])[:-1]
    size, times, batch = loader.batch_size, [], None
    for turn in range(repeats + 1):
        # Every data set has the same share here: the sampler's ratio changes little of the time.
        chosen = [k % len(parts) for k in range(size)]
        indices = [starts[c] + (turn * size + k) % len(parts[c]) for k, c in enumerate(chosen)]
        start = time.perf_counter()
        batch = pseudo_collate([dataset[int(index)] for index in indices])
        times.append(time.perf_counter() - start)
    result = LoaderTimings(_step_time(config, batch, repeats), 1e3 * statistics.median(times[1:]))
    for part in parts:
        name = Path(part.ann_file).parent.name
        for label, value in _transform_times(part, samples).items():
            result.transforms[f'{name}: {label}'] = value
        result.reading[part.ann_file] = _reading_times(part)
    return result


def _step_time(config: Config, batch: dict, repeats: int) -> float:
    model = MODELS.build(config.model).train()
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        model.train_step(batch, optimizer)
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times[1:])


def _transform_times(part, samples: int) -> dict[str, float]:
    """Return ms per sample of getting the record and of every pipeline step."""
    totals: dict[str, float] = {}
    for index in range(samples):
        start = time.perf_counter()
        results = part.get_data_info(index % len(part))
        totals['record'] = totals.get('record', 0.0) + time.perf_counter() - start
        for transform in part.pipeline.transforms:
            name, start = type(transform).__name__, time.perf_counter()
            results = transform(results)
            totals[name] = totals.get(name, 0.0) + time.perf_counter() - start
    return {name: 1e3 * value / samples for name, value in totals.items()}


def _reading_times(part) -> tuple[float, float]:
    """Return seconds of reading the annotation file anew and from its cache (NaN where there is none)."""
    template, times = load_template(part.template), []
    for cache in (False, True, True):
        start = time.perf_counter()
        reader = DensePoseCoco(part.ann_file, template, None, part.densepose_surface, 'skip', cache=cache)
        times.append(time.perf_counter() - start)
    return times[0], times[2] if reader.from_cache else float('nan')
