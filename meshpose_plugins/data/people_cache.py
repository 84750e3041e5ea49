"""The people of an annotation file, read and located once, in an .npz beside it.

Locating millions of points and checking every mask takes minutes; reading them back takes seconds. The file
holds arrays and JSON text only. It belongs to the exact bytes of the annotation file, the template and the
options: whatever does not fit, is broken or of another version is read anew and replaced.
"""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from meshpose_plugins.data.files import write_npz
from meshpose_plugins.data.person import PersonRecord
from meshpose_plugins.data.records import SurfacePoints

if TYPE_CHECKING:
    from meshpose_plugins.templates import MeshTemplate

#: Raised with every change of the format, or of what is read.
CACHE_VERSION = 2
#: Fields of a record that are kept as JSON text.
_TEXT_FIELDS = ('annotation_id', 'image_id', 'file_name', 'image_size', 'area', 'iscrowd', 'segmentation',
                'dp_masks', 'ignore_regions')


def cache_path(json_path: str | Path, template: MeshTemplate) -> Path:
    """Return where the cache of an annotation file lies: beside it, one per template."""
    json_path = Path(json_path)
    return json_path.with_name(f'{json_path.stem}.{template.name}.cache.npz')


def cache_key(data: bytes, template: MeshTemplate, options: dict) -> str:
    """Return what a cache must have been made from, as text.

    Args:
        data: the bytes of the annotation file.
        template: its name and all arrays that decide where a point lies.
        options: of the reader.
    """
    shape = hashlib.blake2b(digest_size=16)
    owners = [template, template.surface] if template.knows('surface') else [template]
    for owner in owners:
        for name in ('vertices', 'faces', 'face_parts', 'face_uv'):
            if vars(owner).get(name) is not None:
                shape.update(np.ascontiguousarray(vars(owner)[name]).tobytes())
    return json.dumps(
        dict(
            version=CACHE_VERSION,
            size=len(data),
            digest=hashlib.blake2b(data, digest_size=16).hexdigest(),
            template=template.name,
            surface=shape.hexdigest(),
            options=options,
        ),
        sort_keys=True,
    )


def save_people(path: Path, key: str, records: Sequence[PersonRecord], header: dict,
                logger: logging.Logger) -> bool:
    """Store people; returns False, with a line in the log, where the folder cannot be written to.

    Args:
        path, key: see :func:`cache_path` and :func:`cache_key`.
        records: the people; their meshes are not stored.
        header: further plain values to give back.
        logger: for that line.
    """
    located = [record.points for record in records if record.points is not None]
    keypoints = [record.keypoints for record in records if record.keypoints is not None]
    people = [[getattr(record, name) for name in _TEXT_FIELDS] for record in records]
    arrays = dict(
        key=np.array(key),
        header=_text(header),
        people=_text(people),
        bbox=np.array([record.bbox for record in records], np.float32).reshape(-1, 4),
        has_keypoints=np.array([record.keypoints is not None for record in records], bool),
        keypoints=np.array(keypoints, np.float32).reshape(-1, 17, 3),
        # -1 for people without DensePose fields, which are other than people with no usable point.
        num_points=np.array([-1 if r.points is None else len(r.points) for r in records], np.int64),
        **{
            name: np.concatenate([getattr(points, name) for points in located] or [np.zeros((0, width))])
            .astype(dtype)
            for name, width, dtype in (
                ('xy', 2, np.float32),
                ('vertex_ids', 3, np.int32),
                ('barycentrics', 3, np.float32),
            )
        },
    )
    try:
        write_npz(path, arrays)
    except OSError as error:
        logger.info('%s: not cached (%s); it will be read anew each time', path, error.strerror or error)
        return False
    return True


def load_people(path: Path, key: str) -> tuple[list[PersonRecord], dict] | None:
    """Read back what :func:`save_people` stored; None if it is absent, broken or made from something else."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if str(archive['key']) != key:
                return None
            arrays = {name: archive[name] for name in archive.files}
        header, people = (json.loads(arrays[name].tobytes()) for name in ('header', 'people'))
        return _records(arrays, people), header
    except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def _text(values) -> np.ndarray:
    return np.frombuffer(json.dumps(values).encode(), np.uint8)


def _records(arrays: dict, people: list) -> list[PersonRecord]:
    counts = arrays['num_points']
    ends = np.cumsum(np.maximum(counts, 0))
    row = np.cumsum(arrays['has_keypoints']) - 1
    if not len(people) == len(counts) == len(arrays['bbox']) == len(row) or (
        len(counts) and ends[-1] != len(arrays['xy'])
    ):
        raise ValueError('fields differ in length')
    records = []
    for place, values in enumerate(people):
        fields = dict(zip(_TEXT_FIELDS, values, strict=True))
        fields['image_size'] = tuple(fields['image_size'])
        record = PersonRecord(bbox=arrays['bbox'][place], **fields)
        if arrays['has_keypoints'][place]:
            record.keypoints = arrays['keypoints'][row[place]]
        if counts[place] >= 0:
            span = slice(ends[place] - counts[place], ends[place])
            record.points = SurfacePoints(*(arrays[k][span] for k in ('xy', 'vertex_ids', 'barycentrics')))
        records.append(record)
    return records
