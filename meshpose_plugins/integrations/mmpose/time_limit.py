"""Training for a given time instead of a given number of iterations."""

from __future__ import annotations

import math
import time

import torch
from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmpose.registry import HOOKS
from rich.progress import Progress, TextColumn, TimeRemainingColumn


@HOOKS.register_module()
class TimeLimitHook(Hook):
    """End an iteration-based training after a given time, with half a cosine of the learning rate over it.

    At the end the loop's last iteration is declared, so that the last checkpoint and validation happen
    as ever.
    Of several processes the first one's clock counts, so that all stop at the same iteration and take the
    same learning rates.
    Leave `param_scheduler` out of the config: the share of the time that has passed drives the learning rate.

    Args:
        seconds: time for training, s; starting up and validation come on top.
        warmup: share of the time in which the learning rate rises.
        progress: whether to show a progress bar.
    """

    priority = 'HIGH'  # before the hooks that ask whether this is the last iteration

    def __init__(self, seconds: float, warmup: float = 0.05, progress: bool = True) -> None:
        if not seconds > 0:
            raise ValueError(f'TimeLimitHook: seconds must be positive, got {seconds!r}')
        if not 0 <= warmup < 1:
            raise ValueError(f'TimeLimitHook: warmup must be in [0, 1), got {warmup!r}')
        self.seconds = float(seconds)
        self.warmup = warmup
        self.progress = Progress(
            TextColumn('training'),
            *Progress.get_default_columns()[1:3],
            TimeRemainingColumn(),
            TextColumn('{task.fields[state]}'),
            disable=not progress,
        )

    def before_train(self, runner) -> None:
        """Start the clock."""
        self._start, self._share = time.monotonic(), 0.0
        self._rates = [group['lr'] for group in runner.optim_wrapper.param_groups]
        self._task = self.progress.add_task('', total=self.seconds, state='')
        self.progress.start()

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Set the learning rate by the time that has passed."""
        factor = self.factor(self._share)
        for group, rate in zip(runner.optim_wrapper.param_groups, self._rates):
            group['lr'] = rate * factor

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Declare this iteration the last one when the time is over."""
        loss = float(outputs['loss'].detach()) if outputs and 'loss' in outputs else math.nan
        self.progress.update(
            self._task,
            completed=min(time.monotonic() - self._start, self.seconds),
            state=f'iteration {runner.iter + 1}, loss {loss:.3f}',
        )
        self._share = self._shared_clock()
        if self._share >= 1:
            runner.train_loop._max_iters = runner.iter + 1

    def after_train(self, runner) -> None:
        """Take the progress bar away."""
        self.progress.stop()

    def factor(self, share: float) -> float:
        """The learning rate's factor when a share (0 to 1) of the time has passed."""
        if share < self.warmup:
            return max(share / self.warmup, 0.01)
        return 0.5 * (1 + math.cos(math.pi * min((share - self.warmup) / (1 - self.warmup), 1.0)))

    def _shared_clock(self) -> float:
        """The share of the time that has passed by the first process's clock."""
        share = torch.tensor([(time.monotonic() - self._start) / self.seconds], dtype=torch.float64)
        broadcast(share, src=0)
        return share.item()
