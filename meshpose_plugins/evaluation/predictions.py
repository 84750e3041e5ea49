"""The predictions file: what a network said about each person, readable by every tool, never pickled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from meshpose_plugins.evaluation.prediction_files import (
    FORMAT,
    VERSION,
    PredictionsError,
    read_json,
    read_npz,
    write_json,
    write_npz,
)
from meshpose_plugins.evaluation.prediction_record import PredictionRecord, record_problems
from meshpose_plugins.files import written_aside

if TYPE_CHECKING:
    from meshpose_plugins.templates import MeshTemplate

__all__ = [
    'FORMAT',
    'VERSION',
    'PredictionRecord',
    'PredictionsError',
    'load_predictions',
    'read_predictions',
    'save_predictions',
    'validate_predictions',
]


def validate_predictions(
    source: str | Path | Sequence[PredictionRecord], template: MeshTemplate | None = None
) -> list[str]:
    """List every problem of a predictions file, or of records that should become one.

    Args:
        source: a predictions file (.npz or .json, or a DensePose results .json), or its records.
        template: the template that all vertices must be of; without it the records of each template must
            agree in V.

    Returns:
        one line per problem, with the record, the field and the value; nothing for a valid file.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not isinstance(source, (str, Path)):
        return _check(list(source), template)[1]
    try:
        return read_predictions(source, template)[1]
    except PredictionsError as error:
        return error.problems


def read_predictions(
    path: str | Path, template: MeshTemplate | None = None
) -> tuple[list[PredictionRecord], list[str]]:
    """Read the good records of a predictions file, and list what is wrong with the others.

    Args:
        path: a predictions file of any version (.npz, .json), or a DensePose results file (.json).
        template: as in :func:`validate_predictions`.

    Returns:
        the valid records in the order of the file, and the problems, which name the records left out.

    Raises:
        FileNotFoundError: there is no such file.
        PredictionsError: it is broken as a whole or of an unknown version.
    """
    path = Path(path)
    reader = _by_ending(path, {'.npz': read_npz, '.json': read_json})
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such predictions file')
    records, problems = reader(path)
    good, found = _check(records, template)
    return good, problems + found


def load_predictions(path: str | Path, template: MeshTemplate | None = None) -> list[PredictionRecord]:
    """Read a predictions file in which everything must be right.

    Args:
        path: as in :func:`read_predictions`.
        template: as in :func:`validate_predictions`.

    Raises:
        FileNotFoundError: there is no such file.
        PredictionsError: (a ValueError) it is broken, of an unknown version or not valid.
    """
    records, problems = read_predictions(path, template)
    if problems:
        raise PredictionsError(str(path), problems)
    return records


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
        ValueError: another ending.
        PredictionsError: (a ValueError) the records are not valid.
    """
    path = Path(path)
    writer = _by_ending(path, {'.npz': write_npz, '.json': write_json})
    problems = validate_predictions(records, template)
    if problems:
        raise PredictionsError(str(path), problems)
    with written_aside(path) as temporary, open(temporary, 'wb') as stream:
        writer(stream, records)
    return path


def _check(
    records: Sequence[PredictionRecord | None], template: MeshTemplate | None
) -> tuple[list[PredictionRecord], list[str]]:
    """Return the valid records and the problems of the others; None stands for a row that is no record."""
    good, problems = [], []
    positions = [position for position, record in enumerate(records) if record is not None]
    records = [records[position] for position in positions]
    for position, record, found in zip(positions, records, record_problems(records, template, positions)):
        name = f'record {position} (image_id {record.image_id!r}, instance_id {record.instance_id!r})'
        problems += [f'{name}: {problem}' for problem in found]
        if not found:
            good.append(record)
    return good, problems


def _by_ending(path: Path, choices: dict):
    """Return the choice for a file's ending."""
    if path.suffix not in choices:
        raise ValueError(f"{path}: a predictions file ends in .npz or .json, not in '{path.suffix}'")
    return choices[path.suffix]
