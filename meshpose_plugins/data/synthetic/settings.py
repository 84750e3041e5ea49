"""What a synthetic data set is made of: every choice that its bytes depend on."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

SPLITS = ('train', 'val')
#: Version of the samples: a new one whenever a setting and k give another sample than before.
#: A resume of another version's folder is refused.
GENERATOR_VERSION = 3


@dataclass(frozen=True)
class SyntheticSettings:
    """Settings of one synthetic data set; sample k depends on nothing but these and k.

    Args:
        seed: seed of the set.
        split: 'train' or 'val'; the two have independent random streams and disjoint pose and background
            files.
        width, height: image size in px.
        truncation: share of images whose frame cuts the body.
        occluders: share of images with objects in front of the body.
        second_person: share of images with another person beside, behind or in front.
        pose_files: share of poses taken from pose files where there are any; the rest is sampled by joint
            limits.
        loose_clothes: share of people whose clothes and hair stand off the body.
        template: name (or path) of the template; its body is the one that is drawn.
        model_path: file or folder of that body's model, for bodies that do not ship ('smpl', 'mhr', ...).

    Raises:
        ValueError: a value is out of range (named with the value).
    """

    seed: int = 0
    split: str = 'train'
    width: int = 192
    height: int = 256
    truncation: float = 0.3
    occluders: float = 0.35
    second_person: float = 0.2
    pose_files: float = 0.7
    loose_clothes: float = 0.6
    template: str = 'anny'
    model_path: str | None = None

    def __post_init__(self) -> None:
        if self.model_path is not None:
            object.__setattr__(self, 'model_path', str(self.model_path))
        if self.split not in SPLITS:
            raise ValueError(f'split must be one of {SPLITS}, got {self.split!r}')
        if self.seed < 0:
            raise ValueError(f'seed must not be negative, got {self.seed}')
        for name in ('width', 'height'):
            if not 32 <= getattr(self, name) <= 4096:
                raise ValueError(f'{name} must be 32..4096 px, got {getattr(self, name)}')
        for name in ('truncation', 'occluders', 'second_person', 'pose_files', 'loose_clothes'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} is a share and must be 0..1, got {getattr(self, name)}')

    def to_dict(self) -> dict:
        """Return the settings as JSON-ready values, with the generator's version; without the local path."""
        values = {name: value for name, value in asdict(self).items() if name != 'model_path'}
        return {**values, 'generator_version': GENERATOR_VERSION}

    def random(self, index: int) -> np.random.Generator:
        """Return the random stream of sample ``index``."""
        entropy = (
            [self.seed, index] if self.split == 'train' else [self.seed, index, SPLITS.index(self.split)]
        )
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
