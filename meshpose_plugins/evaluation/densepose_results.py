"""The results file of the DensePose challenge: one detection with an IUV map per entry of a JSON list."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from meshpose_plugins.evaluation.prediction_record import PredictionRecord, iuv_problems
from meshpose_plugins.files import read_json_file
from meshpose_plugins.templates.parts import NUM_PARTS

#: The names under which files keep the map's PNG in base64: the challenge's, and the short one.
MAP_FIELDS = ('uv_data', 'iuv_png')


@dataclass
class DensePoseResult:
    """One detection of a DensePose results file, exactly as the file says it.

    Args:
        position: place in the file, from 0.
        image_id: id of the image in its annotation file.
        bbox: (4,) float64 x, y, width, height in image px.
        score: confidence.
        iuv: (int(height), int(width), 3) uint8, first pixel at the truncated x, y: part, U * 255, V * 255.
        category_id: 1, person.
    """

    position: int
    image_id: int | str
    bbox: np.ndarray
    score: float
    iuv: np.ndarray
    category_id: int = 1

    def record(self) -> PredictionRecord:
        """Return the same as a record of a predictions file; its instance id is the place, from 1."""
        x, y, width, height = self.bbox
        box = [x, y, x + width, y + height]
        return PredictionRecord(self.image_id, self.position + 1, box, self.score, iuv=self.iuv)


def encode_iuv(iuv: np.ndarray) -> str:
    """Return a map (h, w, 3) uint8 as base64 of a PNG whose red, green, blue are I, U, V."""
    return base64.b64encode(cv2.imencode('.png', np.ascontiguousarray(iuv[..., ::-1]))[1]).decode('ascii')


def decode_iuv(text: str) -> np.ndarray:
    """Return the map (h, w, 3) uint8 of a PNG in base64.

    Raises:
        ValueError: it is no base64, no PNG, or no 8-bit colour picture.
    """
    if not isinstance(text, str):
        raise ValueError(f'expected a PNG in base64, got {type(text).__name__}')
    try:
        content = base64.b64decode(''.join(text.split()), validate=True)  # files break the lines
    except (binascii.Error, ValueError) as error:
        raise ValueError(f'no base64: {error}') from None
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
    if picture is None:
        raise ValueError('no PNG that can be decoded')
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(f'expected a PNG of 3 channels of 8 bits, got {picture.shape} {picture.dtype}')
    return np.ascontiguousarray(picture[..., ::-1])


def quantise_iuv(i: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Pack parts 0 to 24 and chart coordinates in [0, 1], each (h, w), into a map of bytes.

    U and V are truncated to byte / 255, as DensePose's own writer does.

    Raises:
        ValueError: a value is out of its range.
    """
    i, u, v = np.asarray(i), np.asarray(u), np.asarray(v)
    for name, array, highest in (('I', i, NUM_PARTS), ('U', u, 1), ('V', v, 1)):
        if not ((array >= 0) & (array <= highest)).all():
            raise ValueError(f'{name} must lie in [0, {highest}], got {array.min()} to {array.max()}')
    if (i != np.floor(i)).any():
        raise ValueError('I must be whole part numbers: a rendered colour I / 255 must be multiplied by 255')
    return np.stack([i, u * 255.0, v * 255.0], axis=-1).astype(np.uint8)


def load_densepose_results(path: str | Path) -> tuple[list[DensePoseResult], list[str]]:
    """Read a DensePose results file as it is; :func:`load_predictions` gives the same as records.

    Args:
        path: a JSON list of detections.

    Returns:
        the good detections in the order of the file, and what is wrong with the others.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no JSON list.
    """
    rows = read_json_file(path, 'DensePose results file')
    if not isinstance(rows, list):
        raise ValueError(f'{path}: a DensePose results file holds a list, got {type(rows).__name__}')
    return parse_results(rows)


def parse_results(rows: list) -> tuple[list[DensePoseResult], list[str]]:
    """Read the entries of a DensePose results file.

    Args:
        rows: the JSON list.

    Returns:
        the good detections, in the order of the file, and what is wrong with the others.
    """
    results, problems = [], []
    for position, row in enumerate(rows):
        try:
            found = _row_problems(row)
            if not found:
                results.append(_parse_row(position, row))
        except (TypeError, ValueError) as error:
            found = [str(error)]
        image_id = row.get('image_id') if isinstance(row, dict) else None
        problems += [f'record {position} (image_id {image_id!r}): {problem}' for problem in found]
    return results, problems


def _row_problems(row) -> list[str]:
    if not isinstance(row, dict):
        return [f'expected an object, got {type(row).__name__}']
    problems = [f"field '{name}' is missing" for name in ('image_id', 'bbox', 'score') if name not in row]
    if not any(name in row for name in MAP_FIELDS):
        problems.append(f"field '{MAP_FIELDS[0]}' or '{MAP_FIELDS[1]}' is missing")
    return problems


def _parse_row(position: int, row: dict) -> DensePoseResult:
    bbox, score = np.asarray(row['bbox'], np.float64), float(row['score'])
    image_id = row['image_id']
    if isinstance(image_id, bool) or not isinstance(image_id, (int, str)):
        raise ValueError(f'image_id must be an integer or a string, got {image_id!r}')
    if bbox.shape != (4,) or not np.isfinite(bbox).all() or (bbox[2:] < 0).any():
        raise ValueError(f'bbox must be x, y, width, height, got {row["bbox"]}')
    if not np.isfinite(score):
        raise ValueError(f'score is {score}')
    name = next(name for name in MAP_FIELDS if name in row)
    try:
        iuv = decode_iuv(row[name])
    except ValueError as error:
        raise ValueError(f'{name}: {error}') from None
    size = (max(int(bbox[3]), 1), max(int(bbox[2]), 1))
    if iuv.shape[:2] != size:
        raise ValueError(
            f'{name} is {iuv.shape[1]} x {iuv.shape[0]} px, the box asks for {size[1]} x {size[0]}'
        )
    if 'uv_shape' in row and list(row['uv_shape']) != [3, *iuv.shape[:2]]:
        raise ValueError(f'uv_shape is {row["uv_shape"]}, {name} holds {[3, *iuv.shape[:2]]}')
    wrong = iuv_problems(iuv)
    if wrong:
        raise ValueError('; '.join(wrong))
    return DensePoseResult(position, image_id, bbox, score, iuv, row.get('category_id', 1))
