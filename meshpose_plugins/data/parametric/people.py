"""People given by the parameters of a body model and a camera, whatever file they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

GENDERS = {'n': 'neutral', 'f': 'female', 'm': 'male'}
#: Joints whose 2-D positions may stand for a missing camera: the first 22 of SMPL, SMPL-H and SMPL-X alike.
NUM_BODY_JOINTS = 22


@dataclass
class ParametricPeople:
    """n people of one data set, each with a body model's parameters and a camera; NaN where one is not known.

    Args:
        source: the file.
        body: 'smpl' or 'smplx'.
        image_paths: n paths below the data set's folder of images.
        parameters: name -> (n, ...) as ``SmplBody.pose_parameters`` takes them: betas, body_pose,
            global_orient, hand and face poses; metres and radians.
        transl: (n, 3) metres.
        intrinsics: (n, 3, 3) px.
        extrinsics: (n, 4, 4) from the frame of the parameters to the camera's; identity where they are in it.
        image_sizes: (n, 2) width and height px, 0 where not known.
        bboxes: (n, 4) x, y, width, height px.
        joints2d: (n, 22, 3) x, y px and confidence of the body's joints, confidence 0 where not known.
        keypoints: (n, 17, 3) COCO keypoints x, y px and 0, 1, 2 as in COCO.
        genders: n of 'neutral', 'female', 'male'.

    Raises:
        ValueError: a field has not n entries of its shape (named with file, field and shape).
    """

    source: str
    body: str
    image_paths: list[str]
    parameters: dict[str, np.ndarray]
    transl: np.ndarray | None = None
    intrinsics: np.ndarray | None = None
    extrinsics: np.ndarray | None = None
    image_sizes: np.ndarray | None = None
    bboxes: np.ndarray | None = None
    joints2d: np.ndarray | None = None
    keypoints: np.ndarray | None = None
    genders: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        count = len(self.image_paths)
        defaults = dict(
            transl=np.full((count, 3), np.nan),
            intrinsics=np.full((count, 3, 3), np.nan),
            extrinsics=np.tile(np.eye(4), (count, 1, 1)),
            image_sizes=np.zeros((count, 2)),
            bboxes=np.full((count, 4), np.nan),
            joints2d=np.zeros((count, NUM_BODY_JOINTS, 3)),
            keypoints=np.zeros((count, 17, 3)),
        )
        for name, default in defaults.items():
            value = getattr(self, name)
            value = default if value is None else as_numbers(value, f'{self.source}: {name}')
            if value.shape != default.shape:
                raise ValueError(f'{self.source}: {name} must be {default.shape}, got {value.shape}')
            setattr(self, name, value)
        for name, value in self.parameters.items():
            value = as_numbers(value, f'{self.source}: {name}')
            if value.ndim < 2 or len(value) != count:
                raise ValueError(
                    f'{self.source}: {name} must have one row for each of the {count} images, '
                    f'got {value.shape}'
                )
            self.parameters[name] = value.reshape(count, -1)
        for name in ('betas', 'body_pose', 'global_orient'):
            if name not in self.parameters:
                raise ValueError(f"{self.source}: '{name}' is missing")
        self.genders = [gender_of(gender) for gender in self.genders] or ['neutral'] * count
        if len(self.genders) != count:
            raise ValueError(f'{self.source}: gender must have {count} entries, got {len(self.genders)}')

    def __len__(self) -> int:
        return len(self.image_paths)

    def __getitem__(self, rows: Sequence[int]) -> ParametricPeople:
        """Select people by a list or array of row numbers."""
        rows = np.asarray(rows, np.int64)
        values = {}
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                value = value[rows]
            elif isinstance(value, list):
                value = [value[row] for row in rows]
            elif isinstance(value, dict):
                value = {key: array[rows] for key, array in value.items()}
            values[name] = value
        return ParametricPeople(**values)

    def check_finite(self, dropped: Counter) -> np.ndarray:
        """Return the rows (K,) whose body parameters are finite; count the others by the first bad field."""
        good = np.ones(len(self), bool)
        for name, value in self.parameters.items():
            bad = good & ~np.isfinite(value).all(1)
            if bad.any():
                dropped[f'person: {name} is not finite'] += int(bad.sum())
            good &= ~bad
        return np.flatnonzero(good)


def as_numbers(value: Any, where: str) -> np.ndarray:
    """Return a value as an array of float64.

    Raises:
        ValueError: it holds something else than numbers, or rows of different lengths.
    """
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f'{where} must be an array of numbers, got {str(value)[:80]}') from None


def gender_of(value: Any) -> str:
    """Return 'neutral', 'female' or 'male' for what data sets write: 'm', 'Male', ''; unknown is neutral."""
    return GENDERS.get(str(value).strip().lower()[:1], 'neutral')


def concatenate(sets: Sequence[ParametricPeople]) -> ParametricPeople:
    """Join people of one body model, as from many sequence files.

    Raises:
        ValueError: nothing to join, other body models, or other parameters.
    """
    if not sets:
        raise ValueError('there are no people to join')
    first = sets[0]
    if len(sets) == 1:
        return first
    names = set(first.parameters)
    for other in sets:
        if other.body != first.body or set(other.parameters) != names:
            raise ValueError(
                f'{other.source}: parameters {sorted(other.parameters)} of {other.body!r} do not join with '
                f'{sorted(names)} of {first.body!r} in {first.source}'
            )
    values: dict[str, Any] = dict(source=f'{first.source} and {len(sets) - 1} more', body=first.body)
    for name in (f.name for f in fields(first)):
        value = getattr(first, name)
        if isinstance(value, np.ndarray):
            values[name] = np.concatenate([getattr(other, name) for other in sets])
        elif isinstance(value, list):
            values[name] = sum((getattr(other, name) for other in sets), [])
    values['parameters'] = {name: _join([other.parameters[name] for other in sets]) for name in names}
    return ParametricPeople(**values)


def _join(arrays: list[np.ndarray]) -> np.ndarray:
    """Join rows; shorter ones (fewer shape coefficients) are filled up with zeros."""
    width = max(array.shape[1] for array in arrays)
    return np.concatenate([np.pad(array, ((0, 0), (0, width - array.shape[1]))) for array in arrays])
