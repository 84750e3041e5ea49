"""The two forms of the predictions file, .npz and .json: records to arrays or rows and back, no pickles."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from meshpose_plugins.evaluation.densepose_results import decode_iuv, encode_iuv, parse_results
from meshpose_plugins.evaluation.prediction_record import PredictionRecord
from meshpose_plugins.files import read_json_file

FORMAT = 'meshpose_predictions'
#: Version of the file format, stored in each file. Version 1, which had no maps and no full bodies, is read.
VERSION = 2
READABLE_VERSIONS = (1, 2)
#: Arrays of the .npz with all people's rows one after the other -> the name of their numbers of rows.
_RAGGED = {'vertices': 'vertex_counts', 'visibility': 'visibility_counts', 'vertices_camera': 'camera_counts'}
#: Arrays of the .npz with one entry per person -> the record's field.
_COLUMNS = {
    'image_ids': 'image_id',
    'instance_ids': 'instance_id',
    'boxes': 'box',
    'scores': 'score',
    'templates': 'template',
    'vertex_sets': 'vertex_set',
}
#: Arrays of the .npz -> what they may hold and their numbers of dimensions.
_INTEGERS, _NUMBERS, _TEXT = ('iu', 'integers'), ('iuf', 'numbers'), ('U', 'strings')
_IDS = ('iuU', 'integers or strings')
_ARRAYS = {
    'image_ids': (_IDS, (1,)),
    'instance_ids': (_IDS, (1,)),
    'boxes': (_NUMBERS, (2,)),
    'scores': (_NUMBERS, (1,)),
    'templates': (_TEXT, (0, 1)),
    'vertex_sets': (_TEXT, (0, 1)),
    'vertices': (_NUMBERS, (2, 3)),
    'visibility': (_NUMBERS, (1, 2)),
    'vertices_camera': (_NUMBERS, (2, 3)),
    'vertex_counts': (_INTEGERS, (1,)),
    'visibility_counts': (_INTEGERS, (1,)),
    'camera_counts': (_INTEGERS, (1,)),
    'iuv': (_NUMBERS, (2,)),
    'iuv_sizes': (_INTEGERS, (2,)),
}
_ROW_FIELDS = tuple(field.name for field in fields(PredictionRecord) if field.name != 'iuv') + ('iuv_png',)


class PredictionsError(ValueError):
    """A predictions file with problems; all of them are in ``problems``."""

    def __init__(self, where: str, problems: Sequence[str], shown: int = 5) -> None:
        self.problems = list(problems)
        more = len(self.problems) - shown
        lines = [f'{where}: {problem}' for problem in self.problems[:shown]]
        super().__init__('\n'.join(lines + ([f'... and {more} more problems'] if more > 0 else [])))


def write_npz(stream, records: Sequence[PredictionRecord]) -> None:
    """Write valid records; people's vertices stand one after the other, so that templates may be mixed."""
    content = dict(
        format=FORMAT,
        version=VERSION,
        image_ids=_id_array([record.image_id for record in records]),
        boxes=np.array([_or_nan(record.box) for record in records], np.float64).reshape(-1, 4),
        scores=np.array([record.score for record in records], np.float64),
        templates=np.array([record.template for record in records], np.str_),
        vertex_sets=np.array([record.vertex_set for record in records], np.str_),
    )
    ids = [record.instance_id for record in records]
    if any(value is not None for value in ids):
        content['instance_ids'] = _id_array(ids)
    for name, counts in _RAGGED.items():
        empty = np.zeros((0,) if name == 'visibility' else (0, 3), np.float32)
        arrays = [empty if getattr(record, name) is None else getattr(record, name) for record in records]
        content[name] = np.concatenate([empty, *arrays])
        content[counts] = np.array([len(array) for array in arrays], np.int64)
    maps = [record.iuv if record.iuv is not None else np.zeros((0, 0, 3), np.uint8) for record in records]
    if any(iuv.size for iuv in maps):
        content['iuv'] = np.concatenate([iuv.reshape(-1, 3) for iuv in maps])
        content['iuv_sizes'] = np.array([iuv.shape[:2] for iuv in maps], np.int64)
    np.savez_compressed(stream, **content)


def read_npz(path: Path) -> tuple[list[PredictionRecord | None], list[str]]:
    """Read records whose values are not checked yet; the list of problems is empty.

    Raises:
        PredictionsError: the file is broken, of an unknown version, or its arrays don't fit each other.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            content = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise PredictionsError(str(path), [f'no readable .npz file: {error}']) from None
    _check_header(path, {name: value.item() for name, value in content.items() if value.ndim == 0})
    problems = _array_problems(content)
    if problems:
        raise PredictionsError(str(path), problems)
    count = len(content['image_ids'])
    columns = {
        field: _column(content[name], name, count, problems)
        for name, field in _COLUMNS.items()
        if name in content
    }
    for name, counts in _RAGGED.items():
        if name in content:
            columns[name] = _split(content, name, counts, count, problems)
    if 'iuv' in content:
        columns['iuv'] = _split_maps(content, count, problems)
    if problems:
        raise PredictionsError(str(path), problems)
    try:
        return [PredictionRecord(**dict(zip(columns, row))) for row in zip(*columns.values())], []
    except (TypeError, ValueError) as error:
        raise PredictionsError(str(path), [f'a field has values of another kind: {error}']) from None


def _array_problems(content: dict) -> list[str]:
    """List the arrays that are missing, unknown, or hold what they must not hold."""
    known = {'format', 'version', *_ARRAYS}
    problems = [f"field '{name}' is unknown" for name in content if name not in known]
    if 'image_ids' not in content:
        problems.append("field 'image_ids' is missing")
    if 'vertices' not in content and 'iuv' not in content:
        problems.append("neither field 'vertices' nor field 'iuv' is there")
    for name, ((kinds, meaning), dimensions) in _ARRAYS.items():
        array = content.get(name)
        if array is not None and (array.dtype.kind not in kinds or array.ndim not in dimensions):
            expected = ' or '.join(map(str, dimensions))
            problems.append(
                f'{name} must hold {meaning} in {expected} dimensions, got {array.dtype} of shape '
                f'{array.shape}'
            )
    return problems


def _column(array: np.ndarray, name: str, count: int, problems: list[str]) -> list:
    """Return one value per person; a single string stands for all people."""
    if array.ndim == 0:
        return [array.item()] * count
    if len(array) != count:
        problems.append(f'{name} has {len(array)} entries, image_ids has {count}')
    if name == 'boxes':
        # Four NaN are a person without a box.
        return [None if box.size and np.isnan(box).all() else box for box in array]
    return array.tolist()


def _split(content: dict, name: str, counts_name: str, count: int, problems: list[str]) -> list:
    """Return each person's rows of an array that is (people, V, ...) or has all rows one after the other."""
    array = content[name]
    counts = content.get(counts_name, content.get('vertex_counts'))
    if counts is None:
        if len(array) != count:
            problems.append(
                f'{name} has {len(array)} entries, image_ids has {count} ({counts_name} is not there)'
            )
        return list(array)
    if len(counts) != count or (counts < 0).any():
        problems.append(f'{counts_name} must hold {count} numbers of vertices, got shape {counts.shape}')
        return []
    if len(array) != counts.sum():
        problems.append(f'{name} has {len(array)} entries, {counts_name} asks for {counts.sum()}')
    parts = np.split(array, np.cumsum(counts)[:-1]) if count else []
    return [part if size else None for part, size in zip(parts, counts)]


def _split_maps(content: dict, count: int, problems: list[str]) -> list:
    """Return each person's map (h, w, 3) from all their pixels one after the other."""
    flat, sizes = content['iuv'], content.get('iuv_sizes')
    if sizes is None or sizes.shape != (count, 2) or (sizes < 0).any():
        found = 'nothing' if sizes is None else f'shape {sizes.shape}'
        problems.append(f'iuv_sizes must be ({count}, 2) heights and widths, got {found}')
        return []
    areas = sizes.prod(1)
    if flat.shape[1] != 3 or len(flat) != areas.sum():
        problems.append(f'iuv must be ({areas.sum()}, 3), all pixels one after the other, got {flat.shape}')
        return []
    parts = np.split(flat, np.cumsum(areas)[:-1]) if count else []
    return [part.reshape(*size, 3) if area else None for part, size, area in zip(parts, sizes, areas)]


def write_json(stream, records: Sequence[PredictionRecord]) -> None:
    """Write records that are valid as rows that leave out what a record does not have."""
    rows = []
    for record in records:
        row = dict(image_id=_plain(record.image_id), score=record.score, template=record.template)
        if record.instance_id is not None:
            row['instance_id'] = _plain(record.instance_id)
        if record.box is not None:
            row['box'] = record.box.tolist()
        if record.vertices is not None:
            row['vertex_set'] = record.vertex_set
        for name in _RAGGED:
            if getattr(record, name) is not None:
                row[name] = _numbers(getattr(record, name))
        if record.iuv is not None:
            row['iuv_png'] = encode_iuv(record.iuv)
        rows.append(row)
    text = json.dumps(dict(format=FORMAT, version=VERSION, records=rows), allow_nan=False)
    stream.write(text.encode('utf-8'))


def read_json(path: Path) -> tuple[list[PredictionRecord | None], list[str]]:
    """Read records whose values are not checked yet, of our file or of a DensePose results file.

    A row that makes no record becomes None, and the problems say why.

    Raises:
        PredictionsError: the file is broken or of an unknown version.
    """
    try:
        content = read_json_file(path)
    except ValueError as error:
        raise PredictionsError(str(path), [str(error).removeprefix(f'{path}: ')]) from None
    if isinstance(content, list):
        results, problems = parse_results(content)
        records = [None] * len(content)
        for result in results:
            records[result.position] = result.record()
        return records, problems
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise PredictionsError(
            str(path), [f'a predictions file holds an object, a DensePose one a list, got {kind}']
        )
    _check_header(path, content)
    rows = content.get('records')
    if not isinstance(rows, list):
        found = 'is missing' if 'records' not in content else f'must be a list, got {type(rows).__name__}'
        raise PredictionsError(str(path), [f"field 'records' {found}"])
    records, problems = [], []
    for position, row in enumerate(rows):
        try:
            records.append(_parse_row(row))
        except (TypeError, ValueError) as error:
            ids = ''
            if isinstance(row, dict):
                ids = f" (image_id {row.get('image_id')!r}, instance_id {row.get('instance_id')!r})"
            records.append(None)
            problems.append(f'record {position}{ids}: {error}')
    return records, problems


def _parse_row(row) -> PredictionRecord:
    if not isinstance(row, dict):
        raise ValueError(f'expected an object, got {type(row).__name__}')
    problems = [f"field '{name}' is unknown" for name in row if name not in _ROW_FIELDS]
    if 'image_id' not in row:
        problems.append("field 'image_id' is missing")
    if problems:
        raise ValueError('; '.join(problems))
    values = dict(row)
    if 'iuv_png' in row:
        values['iuv'] = decode_iuv(values.pop('iuv_png'))
    return PredictionRecord(**values)


def _check_header(path: Path, header: dict) -> None:
    if header.get('format') != FORMAT:
        found = header.get('format')
        raise PredictionsError(str(path), [f"no predictions file: format is {found!r}, expected '{FORMAT}'"])
    if header.get('version') not in READABLE_VERSIONS:
        raise PredictionsError(
            str(path),
            [
                f"version {header.get('version')!r} is not known, this library reads "
                f'{", ".join(map(str, READABLE_VERSIONS))}; update meshpose_plugins or write the file again'
            ],
        )


def _id_array(ids: list) -> np.ndarray:
    """Return ids, which are all integers or all strings, as an array that needs no pickle."""
    return np.array(ids, np.str_ if ids and isinstance(ids[0], str) else np.int64)


def _or_nan(box: np.ndarray | None) -> np.ndarray:
    return np.full(4, np.nan) if box is None else box


def _plain(value: int | str) -> int | str:
    return value if isinstance(value, str) else int(value)


def _numbers(array: np.ndarray) -> list:
    """Return float32 values as the shortest decimals that read back as the same float32."""
    return [_numbers(row) for row in array] if array.ndim > 1 else [float(str(value)) for value in array]
