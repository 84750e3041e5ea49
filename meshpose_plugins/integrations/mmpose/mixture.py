"""Several data sets in one batch by ratio: the sampler of MMPose configs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from mmengine.dist import get_dist_info
from mmpose.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from meshpose_plugins.data.mixture import Mixture


@DATA_SAMPLERS.register_module()
class MixtureSampler(Sampler):
    """Draw from the parts of MMEngine's ``ConcatDataset`` by ratio, in an order that a resumed run continues.

    Every batch has the ratio within about one sample; each set is drawn whole before any of it comes again.
    All processes share one order. With ``epoch_length`` the sampler ends after so many samples, as
    EpochBasedTrainLoop needs it (which sets the epoch, also when it resumes); without, it never ends, as for
    loops over iterations: ResumableIterLoop then tells it where to go on.

    Args:
        dataset: the ConcatDataset; a single data set works too. MMEngine gives it.
        ratio: how often each part is drawn, e.g. ``[2, 1]``; None: in proportion to their sizes.
        epoch_length: samples per epoch of all processes together, or None for no end.
        seed: of the order; None (and MMEngine, with ``diff_rank_seed``) means 0.
        shuffle: False draws each part in its own order.

    Raises:
        ValueError: the ratio does not fit the parts, a part is empty, or epoch_length is below 1.
    """

    def __init__(
        self,
        dataset,
        ratio: Sequence[float] | None = None,
        epoch_length: int | None = None,
        seed: int | None = None,
        shuffle: bool = True,
    ) -> None:
        rank, world_size = get_dist_info()
        parts = getattr(dataset, 'datasets', None)
        sizes = [len(dataset)] if parts is None else [len(part) for part in parts]
        if epoch_length is not None and epoch_length < 1:
            raise ValueError(f'MixtureSampler: epoch_length must be at least 1 or None, got {epoch_length}')
        try:
            self.mixture = Mixture(sizes, ratio, seed or 0, shuffle, rank, world_size)
        except ValueError as error:
            raise ValueError(f'MixtureSampler: {error}') from None
        self.starts = np.cumsum([0, *sizes])[:-1].tolist()
        self.length = None if epoch_length is None else -(-epoch_length // world_size)
        self.epoch = 0
        self.start: int | None = None

    def __iter__(self) -> Iterator[int]:
        """Yield indices of the ConcatDataset for this process."""
        position, self.start = self.start, None
        if position is None:
            position = 0 if self.length is None else self.epoch * self.length
        remaining = None if self.length is None else self.length - position % self.length
        places = self.mixture.stream(position)
        while remaining is None or remaining > 0:
            part, index = next(places)
            yield self.starts[part] + index
            remaining = None if remaining is None else remaining - 1

    def __len__(self) -> int:
        """Samples of this process per epoch; of an endless sampler, as many as the data sets have."""
        total = sum(self.mixture.sizes)
        return -(-total // self.mixture.world_size) if self.length is None else self.length

    @property
    def seed(self) -> int:
        """The seed of the order."""
        return self.mixture.seed

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose samples come next; an endless sampler has none."""
        self.epoch = epoch

    def go_on(self, batches: int, batch_size: int, drop_last: bool = False) -> int:
        """Let the next iteration begin where a run stood after so many batches.

        Args:
            batches: of this process, from the run's beginning.
            batch_size: of each.
            drop_last: whether an epoch's last batch is left out if it is not full.

        Returns:
            the epoch of the next batch, 0 without epochs.
        """
        if self.length is None:
            self.start = batches * batch_size
            return 0
        per_epoch = self.length // batch_size if drop_last else -(-self.length // batch_size)
        if per_epoch == 0:
            raise ValueError(
                f'MixtureSampler: epoch_length leaves {self.length} samples per process and epoch, fewer '
                f'than batch_size={batch_size}: make it longer'
            )
        self.epoch, done = divmod(batches, per_epoch)
        self.start = self.epoch * self.length + done * batch_size
        return self.epoch
