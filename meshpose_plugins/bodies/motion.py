"""Poses for synthetic people: from motion files, or sampled within joint limits."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

import numpy as np

from . import load_body
from .amc import amc_poses, read_amc, read_asf
from .base import BodyModel
from .bvh import bvh_poses, read_bvh
from .pose_sampling import sample_pose
from .pose_transfer import PoseTransfer, has_makehuman_rig

__all__ = ["load_poses", "read_amc", "read_asf", "read_bvh", "sample_pose"]

logger = logging.getLogger(__name__)
_CHUNK = 1000  # poses carried to another rig at once, to bound memory


def load_poses(folder: Union[str, Path], body: BodyModel, frame_step: int = 1,
               files: Optional[Sequence[Path]] = None) -> np.ndarray:
    """All poses of the .bvh and .amc files below a folder.

    A file that cannot be used is left out; a warning lists these files with their reasons.

    Args:
        folder: folder with .bvh files (MakeHuman's rig), or .amc files beside their .asf skeleton:
            '01_02.amc' goes with '01_02.asf', '01.asf' or the only .asf of its folder.
        body: the body to pose; one of another rig takes the poses of 'anny', joint by joint.
        frame_step: take every so many frames of each file.
        files: read only these of them; None reads all.

    Returns:
        (K, J, 3, 3) float32 rotations for `body.pose`, files in the order of their names; no turn about the
        vertical.

    Raises:
        FileNotFoundError: if the folder does not exist or has no motion file.
        ValueError: if none of its files can be used, or frame_step is less than one.
    """
    if not has_makehuman_rig(body):
        source = load_body("anny")
        transfer, poses = PoseTransfer(source, body), load_poses(folder, source, frame_step, files)
        starts = range(0, len(poses), _CHUNK)
        return np.concatenate([transfer(poses[start : start + _CHUNK]) for start in starts])
    folder = Path(folder)
    if frame_step < 1:
        raise ValueError(f"frame_step must be at least 1, got {frame_step}")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of motion files")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".bvh", ".amc"))
    if files is not None:
        chosen = {Path(path) for path in files}
        if not chosen <= set(paths):
            absent = min(map(str, chosen - set(paths)))
            raise FileNotFoundError(f"{absent}: no motion file of the folder {folder}")
        paths = sorted(chosen)
    if not paths:
        raise FileNotFoundError(f"{folder}: no .bvh or .amc file in this folder")
    poses: List[np.ndarray] = []
    problems: List[str] = []
    for path in paths:
        try:
            poses.append(_file_poses(path, body)[::frame_step])
        except (OSError, ValueError) as error:
            problems.append(str(error))
    if problems:
        logger.warning(
            "%d of %d motion files left out:\n  %s", len(problems), len(paths), "\n  ".join(problems)
        )
    if not poses:
        raise ValueError(
            f"{folder}: none of {len(paths)} motion files can be used:\n  " + "\n  ".join(problems)
        )
    return np.concatenate(poses)


def _file_poses(path: Path, body: BodyModel) -> np.ndarray:
    if path.suffix.lower() == ".bvh":
        return bvh_poses(read_bvh(path), body)
    skeleton = read_asf(_skeleton_path(path))
    return amc_poses(skeleton, read_amc(path, skeleton), body)


def _skeleton_path(path: Path) -> Path:
    """The skeleton of a motion file: same stem, the stem before '_', or the only one of the folder."""
    found: Dict[str, Path] = {
        item.stem: item for item in path.parent.iterdir() if item.suffix.lower() == ".asf"
    }
    for stem in (path.stem, path.stem.split("_")[0]):
        if stem in found:
            return found[stem]
    if len(found) == 1:
        return next(iter(found.values()))
    raise FileNotFoundError(f"{path}: no skeleton; put {path.stem.split('_')[0]}.asf beside it")
