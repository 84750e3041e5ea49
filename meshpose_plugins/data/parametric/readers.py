"""Readers of HumanData, 3DPW and BEDLAM files; pickled parts are read without executing anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from meshpose_plugins.bodies.base import COCO_KEYPOINT_NAMES
from meshpose_plugins.bodies.safe_pickle import as_plain, load_arrays
from meshpose_plugins.bodies.smpl_files import read_npz
from meshpose_plugins.data.parametric.people import (
    NUM_BODY_JOINTS,
    ParametricPeople,
    as_numbers,
    concatenate,
)

#: Keypoints of the HumanData convention, of which the first 22 are the body's joints.
HUMAN_DATA_KEYPOINTS = 190
#: Where that convention has COCO's keypoints.
HUMAN_DATA_COCO = dict(
    nose=55, right_eye=56, left_eye=57, right_ear=58, left_ear=59, left_shoulder=16, right_shoulder=17,
    left_elbow=18, right_elbow=19, left_wrist=20, right_wrist=21, left_hip=1, right_hip=2, left_knee=4,
    right_knee=5, left_ankle=7, right_ankle=8,
)
#: Joints of each part of a pose that is one long vector (BEDLAM), in order.
_POSE_PARTS = {
    24: dict(global_orient=1, body_pose=23),
    22: dict(global_orient=1, body_pose=21),
    55: dict(global_orient=1, body_pose=21, jaw_pose=1, leye_pose=1, reye_pose=1, left_hand_pose=15,
             right_hand_pose=15),
}


def read_people(path: str | Path, kind: str) -> ParametricPeople:
    """Read a data set of body parameters.

    Args:
        path: the file; for '3dpw' also the folder of a split's sequence files.
        kind: a key of FORMATS.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: an unknown kind, or a broken file (named with the field and what it holds).
    """
    if kind not in FORMATS:
        raise ValueError(f'the format must be one of {", ".join(FORMATS)}, got {kind!r}')
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f'{path}: no such file')
    return FORMATS[kind](path)


def read_human_data(path: Path) -> ParametricPeople:
    """Read a HumanData .npz (MMHuman3D, SMPLer-X), which also carries Human3.6M and MPI-INF-3DHP.

    Read are ``image_path``, ``smpl`` or ``smplx``, ``bbox_xywh``, ``keypoints2d`` (compressed or not), the
    gender, focal length, principal point and image size of ``meta``, and ``cam_param``.
    """
    values = _npz(path)
    bodies = [name for name in ('smplx', 'smpl') if isinstance(values.get(name), dict)]
    if not bodies:
        raise ValueError(f"{path}: a table 'smpl' or 'smplx' of body parameters is missing")
    parameters = dict(values.get(bodies[0]))
    paths = [str(item) for item in np.ravel(_need(values, 'image_path', path))]
    count = len(paths)
    length = values.get('__data_len__')
    if length is not None and int(length) not in (-1, count):
        raise ValueError(f"{path}: '__data_len__' is {int(length)}, image_path has {count} entries")
    meta = values.get('meta')
    meta = meta if isinstance(meta, dict) else {}
    keypoints = _human_data_keypoints(values, count, path)
    boxes = values.get('bbox_xywh')
    intrinsics, sizes = _human_data_cameras(values, meta, count, path)
    return ParametricPeople(
        source=str(path),
        body=bodies[0],
        image_paths=paths,
        transl=parameters.pop('transl', None),
        parameters={k: v for k, v in parameters.items() if v is not None},
        intrinsics=intrinsics,
        image_sizes=sizes,
        bboxes=None if boxes is None else as_numbers(boxes, f'{path}: bbox_xywh').reshape(count, -1)[:, :4],
        joints2d=keypoints[:, :NUM_BODY_JOINTS],
        keypoints=_coco_keypoints(keypoints),
        genders=[str(gender) for gender in np.ravel(meta.get('gender', []))],
    )


def read_3dpw(path: Path) -> ParametricPeople:
    """Read a 3DPW sequence file (.pkl), or all of a folder; frames whose camera is not valid are left out."""
    files = sorted(path.rglob('*.pkl')) if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f'{path}: holds no sequence files (.pkl)')
    return concatenate([people for file in files for people in _read_sequence(file)])


def _read_sequence(path: Path) -> list[ParametricPeople]:
    values = as_plain(load_arrays(path), str(path))
    sequence = str(_need(values, 'sequence', path))
    poses, betas = (_need(values, name, path) for name in ('poses', 'betas'))
    trans, valid = (_need(values, name, path) for name in ('trans', 'campose_valid'))
    cameras = as_numbers(_need(values, 'cam_poses', path), f'{path}: cam_poses')
    intrinsics = as_numbers(_need(values, 'cam_intrinsics', path), f'{path}: cam_intrinsics')
    genders = list(values.get('genders', values.get('gender', [])))
    if not len(poses) == len(betas) == len(trans) == len(valid):
        raise ValueError(f'{path}: poses, betas, trans and campose_valid are of different numbers of people')
    people = []
    for actor in range(len(poses)):
        pose = as_numbers(poses[actor], f'{path}: poses[{actor}]')
        frames = np.flatnonzero(np.asarray(valid[actor]).astype(bool))
        if not len(pose) == len(trans[actor]) == len(valid[actor]) == len(cameras):
            raise ValueError(
                f'{path}: poses, trans, campose_valid and cam_poses of actor {actor} differ in length'
            )
        shape = as_numbers(betas[actor], f'{path}: betas[{actor}]').ravel()[:10]
        people.append(
            ParametricPeople(
                source=str(path),
                body='smpl',
                image_paths=[f'{sequence}/image_{frame:05d}.jpg' for frame in frames],
                parameters=dict(
                    betas=np.tile(shape, (len(frames), 1)),
                    global_orient=pose[frames, :3],
                    body_pose=pose[frames, 3:72],
                ),
                transl=np.asarray(trans[actor], np.float64)[frames],
                intrinsics=np.tile(intrinsics, (len(frames), 1, 1)),
                extrinsics=cameras[frames],
                genders=[str(genders[actor])] * len(frames) if actor < len(genders) else [],
            )
        )
    return people


def read_bedlam(path: Path) -> ParametricPeople:
    """Read a BEDLAM .npz of training labels: ``imgname, center, scale, pose_cam, shape, trans_cam, cam_int,
    cam_ext`` and, where there is one, ``gender``. The body's place is trans_cam plus the camera's."""
    values = _npz(path)
    paths = [str(item) for item in np.ravel(_need(values, 'imgname', path))]
    pose = as_numbers(_need(values, 'pose_cam', path), f'{path}: pose_cam')
    pose = pose.reshape(len(paths), -1)
    joints = pose.shape[1] // 3
    if joints not in _POSE_PARTS or pose.shape[1] % 3:
        raise ValueError(
            f'{path}: pose_cam must have 3 numbers for each of {", ".join(map(str, sorted(_POSE_PARTS)))} '
            f'joints, got {pose.shape}'
        )
    parameters, first = {'betas': _need(values, 'shape', path)}, 0
    for name, length in _POSE_PARTS[joints].items():
        parameters[name] = pose[:, 3 * first:3 * (first + length)]
        first += length
    camera = as_numbers(_need(values, 'cam_ext', path), f'{path}: cam_ext')
    transl = as_numbers(_need(values, 'trans_cam', path), f'{path}: trans_cam')
    boxes = None
    if values.get('center') is not None and values.get('scale') is not None:
        # A square whose side is 200 times scale.
        side = 200 * as_numbers(values.get('scale'), f'{path}: scale').reshape(-1, 1)
        center = as_numbers(values.get('center'), f'{path}: center')
        boxes = np.concatenate([center - side / 2, side, side], axis=1)
    return ParametricPeople(
        source=str(path),
        body='smpl' if joints == 24 else 'smplx',
        image_paths=paths,
        parameters=parameters,
        transl=transl + camera[:, :3, 3],
        intrinsics=_need(values, 'cam_int', path),
        bboxes=boxes,
        genders=[str(gender) for gender in np.ravel(values.get('gender', []))],
    )


def _human_data_keypoints(values: dict, count: int, path: Path) -> np.ndarray:
    """Return keypoints2d as (n, 190, 3); zeros where the file has none."""
    keypoints = values.get('keypoints2d')
    result = np.zeros((count, HUMAN_DATA_KEYPOINTS, 3))
    if keypoints is None:
        return result
    keypoints = as_numbers(keypoints, f'{path}: keypoints2d')
    mask = values.get('keypoints2d_mask')
    mask = np.ones(HUMAN_DATA_KEYPOINTS, bool) if mask is None else np.asarray(mask).ravel() > 0
    compressed = bool(values.get('__keypoints_compressed__'))
    held = int(mask.sum()) if compressed else HUMAN_DATA_KEYPOINTS
    if len(mask) != HUMAN_DATA_KEYPOINTS or keypoints.shape != (count, held, 3):
        raise ValueError(
            f'{path}: keypoints2d must be {(count, held, 3)} beside keypoints2d_mask of {len(mask)}, '
            f'got {keypoints.shape}'
        )
    if compressed:
        result[:, mask] = keypoints
    else:
        result[:, mask] = keypoints[:, mask]
    result[~np.isfinite(result).all(-1)] = 0
    return result


def _coco_keypoints(keypoints: np.ndarray) -> np.ndarray:
    places = [HUMAN_DATA_COCO[name] for name in COCO_KEYPOINT_NAMES]
    coco = keypoints[:, places].copy()
    coco[..., 2] = np.where(coco[..., 2] > 0, 2, 0)
    return coco


def _human_data_cameras(values: dict, meta: dict, count: int, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return intrinsics (n, 3, 3) and image sizes (n, 2) from ``meta`` or ``cam_param``."""
    intrinsics, sizes = np.full((count, 3, 3), np.nan), np.zeros((count, 2))
    if {'focal_length', 'principal_point'} <= set(meta):
        focal = as_numbers(meta['focal_length'], f'{path}: meta.focal_length').reshape(count, -1)
        intrinsics[:] = np.eye(3)
        intrinsics[:, 0, 0], intrinsics[:, 1, 1] = focal[:, 0], focal[:, -1]
        intrinsics[:, :2, 2] = as_numbers(meta['principal_point'], f'{path}: meta.principal_point')
    if {'height', 'width'} <= set(meta):
        for column, name in enumerate(('width', 'height')):
            sizes[:, column] = as_numbers(meta[name], f'{path}: meta.{name}').ravel()
    cameras = values.get('cam_param')
    for row, camera in enumerate(cameras if isinstance(cameras, (list, np.ndarray)) else []):
        if row < count and isinstance(camera, dict):
            matrix = as_numbers(camera.get('in_mat', np.nan), f'{path}: cam_param[{row}].in_mat')
            if matrix.shape == (3, 3):
                intrinsics[row] = matrix
            sizes[row] = camera.get('W') or 0, camera.get('H') or 0
    return intrinsics, sizes


def _npz(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file')
    return {name: as_plain(value, f"{path}: field '{name}'") for name, value in read_npz(path).items()}


def _need(values: dict, name: str, path: Path) -> Any:
    value = values.get(name)
    if value is None:
        found = ', '.join(sorted(map(str, values)))[:200]
        raise ValueError(f"{path}: '{name}' is missing; the file has {found}")
    return value


FORMATS: dict[str, Callable[[Path], ParametricPeople]] = {
    'humandata': read_human_data,
    '3dpw': read_3dpw,
    'bedlam': read_bedlam,
}
