"""A training loop whose resumption costs nothing."""
from __future__ import annotations

import copy

from mmengine.dist import sync_random_seed
from mmengine.runner import IterBasedTrainLoop
from mmpose.registry import LOOPS


@LOOPS.register_module()
class ResumableIterLoop(IterBasedTrainLoop):
    """MMEngine's loop over iterations, resumed without replaying the data loader.

    The stock loop draws every batch of the past again before it goes on, which takes as long as loading them
    did. Here a MixtureSampler goes on at its place at once; with other samplers the data come in a new order
    instead, that of the seed plus the iterations done. Arguments: IterBasedTrainLoop's.
    """

    def __init__(self, runner, dataloader, *args, **kwargs) -> None:
        self.dataloader_cfg = copy.deepcopy(dataloader) if isinstance(dataloader, dict) else None
        super().__init__(runner, dataloader, *args, **kwargs)

    def run(self):
        """Train up to ``max_iters``; returns the model."""
        if self._iter > 0:
            if self.dataloader_cfg is not None:
                self.dataloader = self._dataloader_from_here()
            epoch = self._place_sampler()
            endless = type(self.dataloader_iterator)(self.dataloader)
            endless._epoch = epoch
            self.dataloader_iterator = _PastIsFree(endless, self._iter)
        return super().run()

    def _place_sampler(self) -> int:
        """Put a sampler that knows its order to where the run stood; returns the epoch there."""
        sampler = _sampler_of(self.dataloader)
        if not hasattr(sampler, "go_on"):
            return 0
        batches = self.dataloader.batch_sampler
        return sampler.go_on(self._iter, batches.batch_size, batches.drop_last)

    def _dataloader_from_here(self):
        """The data loader anew; its workers' random numbers, and an order that knows no place, depend on the
        iterations done."""
        config = copy.deepcopy(self.dataloader_cfg)
        diff_rank_seed = self.runner._randomness_cfg.get("diff_rank_seed", False)
        sampler = _sampler_of(getattr(self, "dataloader", None))
        if hasattr(sampler, "go_on"):
            # The run's seed, which resuming may have restored after the sampler was made.
            config["sampler"].setdefault("seed", sampler.seed if diff_rank_seed else self.runner.seed)
        elif diff_rank_seed and isinstance(config.get("sampler"), dict):
            # The processes differ in runner.seed, but their samplers have to share one seed.
            config["sampler"].setdefault("seed", sync_random_seed() + self._iter)
        seed = self.runner.seed + self._iter
        return self.runner.build_dataloader(config, seed=seed, diff_rank_seed=diff_rank_seed)


def _sampler_of(dataloader):
    """The sampler of a data loader, None without one."""
    return getattr(getattr(dataloader, "batch_sampler", None), "sampler", None)


class _PastIsFree:
    """An iterator whose first ``past`` steps draw nothing."""

    def __init__(self, iterator, past: int) -> None:
        self.iterator, self.past = iterator, past

    def __iter__(self):
        return self

    def __next__(self):
        if self.past:
            self.past -= 1
            return None
        return next(self.iterator)
