"""Where the poses of synthetic people come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from meshpose_plugins.bodies import BodyModel
from meshpose_plugins.bodies.motion import sample_pose
from meshpose_plugins.data.synthetic.photos import in_split

#: Motion files with poses.
POSE_SUFFIXES = ('.bvh', '.amc')


class PoseSource:
    """Random poses: of motion files where there are any, else sampled within the joints' limits.

    Args:
        body: the body model.
        recorded: (K, J, 3, 3) poses of files, or None.
        recorded_share: share of poses taken from them.
    """

    def __init__(
        self, body: BodyModel, recorded: np.ndarray | None = None, recorded_share: float = 0.7
    ) -> None:
        self.body = body
        self.recorded = recorded
        self.recorded_share = recorded_share if recorded is not None and len(recorded) else 0.0

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """Return the (J, 3, 3) joint rotations of a random pose."""
        if rng.random() < self.recorded_share:
            return np.array(self.recorded[rng.integers(len(self.recorded))])
        return sample_pose(self.body, rng)


def find_poses(folder: str | Path, split: str) -> list[Path]:
    """List the motion files of a folder that belong to a split, in order of their names.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no motion file (of this split).
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder}: no such folder of poses')
    found = sorted(p for p in folder.rglob('*') if p.suffix.lower() in POSE_SUFFIXES)
    if not found:
        raise ValueError(f'{folder}: no motion files ({", ".join(POSE_SUFFIXES)}) for poses')
    kept = [p for p in found if in_split(p.relative_to(folder).as_posix(), split)]
    if not kept:
        raise ValueError(
            f"{folder}: none of its {len(found)} motion files falls in split '{split}' (about one in ten is "
            f"'val'); give more files, or leave --poses out"
        )
    return kept
