"""A training loop whose resumption costs nothing."""
from __future__ import annotations

from mmengine.runner import IterBasedTrainLoop
from mmpose.registry import LOOPS


@LOOPS.register_module()
class ResumableIterLoop(IterBasedTrainLoop):
    """MMEngine's loop over iterations, resumed without replaying the data loader.

    The stock loop draws every batch of the past again before it goes on, which takes as long as loading them did. Here
    the sampler starts a new permutation in their place.
    """

    def run(self):
        if self._iter > 0:
            sampler = self.dataloader.sampler
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(self._iter)
            self.dataloader_iterator = _PastIsFree(self.dataloader_iterator, self._iter)
        return super().run()


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
