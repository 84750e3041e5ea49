"""The predictions file: what a network said about each person, readable by every tool, never pickled."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np

if TYPE_CHECKING:
    from meshpose_plugins.templates import MeshTemplate

FORMAT = 'meshpose_predictions'
#: Version of the file format, stored in each file.
VERSION = 1
#: Arrays of the .npz: one entry per person, and all people's vertices one after the other.
_PER_RECORD = ('image_ids', 'instance_ids', 'boxes', 'scores', 'templates', 'vertex_counts')
_PER_VERTEX = ('vertices', 'visibility')


@dataclass
class PredictionRecord:
    """One predicted person.

    Args:
        image_id: id of the image in its annotation file, or the image's name.
        instance_id: id of the person, unique in its image: the annotation's where there is one.
        box: (4,) x1, y1, x2, y2 of the person in image px.
        score: confidence of the person.
        template: name of the template whose vertices these are.
        vertices: (V, 3) float32; x, y in image px, z in image px relative to the root joint, away from the
            camera.
        visibility: (V,) float32 in [0, 1].
    """

    image_id: int | str
    instance_id: int | str
    box: np.ndarray
    score: float
    template: str
    vertices: np.ndarray
    visibility: np.ndarray

    def __post_init__(self) -> None:
        self.box = np.asarray(self.box, np.float32)
        self.score = float(self.score)
        self.vertices = np.asarray(self.vertices, np.float32)
        self.visibility = np.asarray(self.visibility, np.float32)


def validate_predictions(
    records: Sequence[PredictionRecord], template: MeshTemplate | None = None, where: str = 'predictions'
) -> None:
    """Raise if records do not make a valid predictions file.

    Args:
        records: the people, of any number of images.
        template: the template that all of them must be of; without it each template's records must agree in
            V.
        where: what error messages call the records (the file).

    Raises:
        ValueError: the first problem, with the record, the field and the value.
    """
    counts = {} if template is None else {template.name: template.num_vertices}
    seen: set = set()
    for position, record in enumerate(records):
        name = (
            f'{where}: record {position} (image_id {record.image_id!r}, instance_id {record.instance_id!r})'
        )
        _check_ids(record, name)
        if (record.image_id, record.instance_id) in seen:
            raise ValueError(f'{name}: this pair of ids appears twice')
        seen.add((record.image_id, record.instance_id))
        if template is not None and record.template != template.name:
            raise ValueError(f"{name}: template is '{record.template}', expected '{template.name}'")
        _check_arrays(record, name, counts.setdefault(record.template, len(record.vertices)))
    for field in ('image_id', 'instance_id'):
        if len({isinstance(getattr(record, field), str) for record in records}) > 1:
            raise ValueError(f'{where}: {field} must be an integer in all records or a string in all records')


def _check_ids(record: PredictionRecord, name: str) -> None:
    for field in ('image_id', 'instance_id'):
        value = getattr(record, field)
        if isinstance(value, bool) or not isinstance(value, (int, np.integer, str)):
            raise ValueError(f'{name}: {field} must be an integer or a string, got {value!r}')
    if not isinstance(record.template, str) or not record.template:
        raise ValueError(f'{name}: template must be the name of a template, got {record.template!r}')


def _check_arrays(record: PredictionRecord, name: str, count: int) -> None:
    for field, shape in (('box', (4,)), ('vertices', (count, 3)), ('visibility', (count,))):
        array = getattr(record, field)
        if array.shape != shape:
            reason = f" (template '{record.template}' has {count} vertices)" if field != 'box' else ''
            raise ValueError(f'{name}: {field} must be {shape}{reason}, got {array.shape}')
        if not np.isfinite(array).all():
            first = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise ValueError(f'{name}: {field}{list(first)} is {array[first]}')
    if not np.isfinite(record.score):
        raise ValueError(f'{name}: score is {record.score}')
    if (record.box[2:] < record.box[:2]).any():
        raise ValueError(
            f'{name}: box must be x1, y1, x2, y2 with x1 <= x2 and y1 <= y2, got {record.box.tolist()}'
        )
    if (record.visibility < 0).any() or (record.visibility > 1).any():
        worst = record.visibility[np.argmax(np.abs(record.visibility - 0.5))]
        raise ValueError(f'{name}: visibility must lie in [0, 1], got {worst}')


def save_predictions(
    path: str | Path, records: Sequence[PredictionRecord], template: MeshTemplate | None = None
) -> Path:
    """Write a predictions file, by way of a temporary name, so that a file that is there is complete.

    Args:
        path: where to; the ending ``.npz`` (compact, exact) or ``.json`` (readable) chooses the format.
        records: the people.
        template: as in :func:`validate_predictions`.

    Returns:
        the path.

    Raises:
        ValueError: another ending, or records that are not valid.
    """
    path = Path(path)
    writer = {'.npz': _write_npz, '.json': _write_json}.get(path.suffix)
    if writer is None:
        raise ValueError(f"{path}: a predictions file ends in .npz or .json, not in '{path.suffix}'")
    validate_predictions(records, template, str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{uuid4().hex}')
    try:
        with open(temporary, 'wb') as stream:
            writer(stream, records)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def load_predictions(path: str | Path, template: MeshTemplate | None = None) -> list[PredictionRecord]:
    """Read and validate a predictions file.

    Args:
        path: an .npz or .json file that :func:`save_predictions` wrote.
        template: the template that the predictions must be of, or None for any.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is broken, of an unknown version or not valid.
    """
    path = Path(path)
    reader = {'.npz': _read_npz, '.json': _read_json}.get(path.suffix)
    if reader is None:
        raise ValueError(f"{path}: a predictions file ends in .npz or .json, not in '{path.suffix}'")
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such predictions file')
    records = reader(path)
    validate_predictions(records, template, str(path))
    return records


def _write_npz(stream, records: Sequence[PredictionRecord]) -> None:
    """Write all people's vertices one after the other, with their numbers, so that templates may be mixed."""
    counts = [len(record.vertices) for record in records]
    np.savez_compressed(
        stream,
        format=FORMAT,
        version=VERSION,
        image_ids=_id_array([record.image_id for record in records]),
        instance_ids=_id_array([record.instance_id for record in records]),
        boxes=np.array([record.box for record in records], np.float32).reshape(-1, 4),
        scores=np.array([record.score for record in records], np.float64),
        templates=np.array([record.template for record in records], np.str_),
        vertex_counts=np.array(counts, np.int64),
        vertices=np.concatenate([np.zeros((0, 3), np.float32)] + [record.vertices for record in records]),
        visibility=np.concatenate([np.zeros(0, np.float32)] + [record.visibility for record in records]),
    )


def _read_npz(path: Path) -> list[PredictionRecord]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            content = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f'{path}: no readable .npz file: {error}') from None
    header = {name: value.item() for name, value in content.items() if value.ndim == 0}
    _check_header(path, header, content, _PER_RECORD + _PER_VERTEX)
    counts = content['vertex_counts']
    lengths = {name: len(counts) for name in _PER_RECORD} | {name: counts.sum() for name in _PER_VERTEX}
    for name, length in lengths.items():
        if len(content[name]) != length:
            found = len(content[name])
            raise ValueError(f'{path}: {name} has {found} entries, vertex_counts asks for {length}')
    ends = np.cumsum(counts)[:-1]
    columns = [
        content['image_ids'].tolist(),
        content['instance_ids'].tolist(),
        content['boxes'],
        content['scores'].tolist(),
        content['templates'].tolist(),
        np.split(content['vertices'], ends),
        np.split(content['visibility'], ends),
    ]
    return [PredictionRecord(*row) for row in zip(*columns)]


def _write_json(stream, records: Sequence[PredictionRecord]) -> None:
    rows = [
        dict(
            image_id=_plain(record.image_id),
            instance_id=_plain(record.instance_id),
            box=_numbers(record.box),
            score=record.score,
            template=record.template,
            vertices=_numbers(record.vertices),
            visibility=_numbers(record.visibility),
        )
        for record in records
    ]
    text = json.dumps(dict(format=FORMAT, version=VERSION, records=rows), allow_nan=False)
    stream.write(text.encode('utf-8'))


def _read_json(path: Path) -> list[PredictionRecord]:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'{path}: no valid JSON: {error}') from None
    if not isinstance(content, dict):
        raise ValueError(f'{path}: a predictions file holds an object, got {type(content).__name__}')
    _check_header(path, content, content, ('records',))
    if not isinstance(content['records'], list):
        raise ValueError(f"{path}: records must be a list, got {type(content['records']).__name__}")
    records = []
    for position, row in enumerate(content['records']):
        try:
            records.append(PredictionRecord(**row))
        except (TypeError, ValueError) as error:
            raise ValueError(f'{path}: record {position}: {error}') from None
    return records


def _check_header(path: Path, header: dict, content: dict, fields: Sequence[str]) -> None:
    if header.get('format') != FORMAT:
        raise ValueError(
            f"{path}: no predictions file: format is {header.get('format')!r}, expected '{FORMAT}'"
        )
    if header.get('version') != VERSION:
        raise ValueError(
            f"{path}: version {header.get('version')!r} is not known, this library reads {VERSION}; update "
            'meshpose_plugins or write the file again'
        )
    for name in fields:
        if name not in content:
            raise ValueError(f"{path}: field '{name}' is missing")


def _id_array(ids: list) -> np.ndarray:
    """Return ids, which are all integers or all strings, as an array that needs no pickle."""
    return np.array(ids, np.str_ if ids and isinstance(ids[0], str) else np.int64)


def _plain(value: int | str) -> int | str:
    return value if isinstance(value, str) else int(value)


def _numbers(array: np.ndarray) -> list:
    """Return float32 values as the shortest decimals that read back as the same float32."""
    return [_numbers(row) for row in array] if array.ndim > 1 else [float(str(value)) for value in array]
