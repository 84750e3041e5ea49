"""Runs that write down which samples they drew: one whole, one stopped half way, one that resumes it.

Used by test_mixture_sampler.py, in its process and, through torch.distributed.run, in two.
"""
from __future__ import annotations

import itertools
import json
import os
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.dist import get_rank
from mmengine.model import BaseModel
from mmengine.runner import Runner

import meshpose_plugins.integrations.mmpose  # noqa: F401  registers all parts
from meshpose_plugins.integrations.mmpose import commands
from mmpose.registry import DATASETS, MODELS

ITERATIONS, STOP, BATCH = 12, 5, 4
NAMES = itertools.count()


@DATASETS.register_module(force=True)
class NumberedDataset(BaseDataset):
    """Samples that are numbers from ``first`` on."""

    def __init__(self, first: int, count: int) -> None:
        self.numbers = range(first, first + count)
        super().__init__()

    def load_data_list(self) -> list:
        return [dict(number=number) for number in self.numbers]


@MODELS.register_module(force=True)
class NotingModel(BaseModel):
    """Notes the numbers of each batch in ``drawn``."""

    drawn: list = []

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, number, mode="loss", **_):
        self.drawn.append([int(value) for value in number])
        return dict(loss=(self.weight - 1).square().sum())


def config(folder: Path, iterations: int, workers: int = 0, epoch_length=None, by_epoch: bool = False,
           resume: bool = False) -> Config:
    """A run of some iterations (3 per epoch with ``by_epoch``)."""
    loop = dict(by_epoch=True, max_epochs=iterations // 3) if by_epoch else dict(
        type="ResumableIterLoop", max_iters=iterations)
    interval = 1 if by_epoch else STOP
    return Config(dict(
        default_scope="mmpose", work_dir=str(folder), resume=resume,
        model=dict(type="NotingModel"),
        train_dataloader=dict(
            batch_size=BATCH, num_workers=workers,
            sampler=dict(type="MixtureSampler", ratio=[3, 1], epoch_length=epoch_length),
            dataset=dict(type="ConcatDataset", datasets=[
                dict(type="NumberedDataset", first=0, count=21),
                dict(type="NumberedDataset", first=100, count=10)])),
        train_cfg=loop, optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
        default_hooks=dict(
            checkpoint=dict(type="CheckpointHook", by_epoch=by_epoch, interval=interval),
            plain_checkpoint=dict(type="PlainCheckpointHook")),
        custom_imports=dict(imports=["meshpose_plugins.integrations.mmpose"], allow_failed_imports=False),
        env_cfg=dict(cudnn_benchmark=False), randomness=dict(seed=7), log_level="ERROR"))


def run(*arguments, launcher: str = "none", **options) -> list:
    """Do one run; returns the batches of numbers that this process drew."""
    cfg = config(*arguments, **options)
    commands.set_launcher(cfg, launcher, int(os.environ.get("LOCAL_RANK", 0)))
    cfg.experiment_name = f"mixture_{next(NAMES)}"  # MMEngine wants another name for each run of a process
    NotingModel.drawn.clear()
    Runner.from_cfg(cfg).train()
    return [list(batch) for batch in NotingModel.drawn]


def three_runs(folder: Path, launcher: str = "none", stop: int = STOP, **options) -> dict:
    """A whole run, one that stops early, and the resumed rest."""
    return dict(
        whole=run(folder / "whole", ITERATIONS, launcher=launcher, **options),
        begun=run(folder / "parts", stop, launcher=launcher, **options),
        resumed=run(folder / "parts", ITERATIONS, launcher=launcher, resume=True, **options))


if __name__ == "__main__":
    torch.set_num_threads(1)
    result = three_runs(Path(sys.argv[1]), launcher="pytorch", workers=1)
    Path(sys.argv[1], f"rank{get_rank()}.json").write_text(json.dumps(result))
    torch.distributed.destroy_process_group()
