"""Predictions as the detections that a protocol compares: box, score and a map drawn when needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from meshpose_plugins.evaluation.densepose.ground_truth import (
    LARGEST_BOX,
    AnnotatedPerson,
    GroundTruth,
)
from meshpose_plugins.evaluation.densepose.iuv import draw_iuv, move_iuv
from meshpose_plugins.evaluation.densepose.problems import Problems
from meshpose_plugins.evaluation.densepose_results import DensePoseResult, parse_results
from meshpose_plugins.evaluation.prediction_record import PredictionRecord, body_vertices, record_problems
from meshpose_plugins.evaluation.predictions import read_predictions
from meshpose_plugins.files import read_json_file
from meshpose_plugins.templates import MeshTemplate, load_template

#: Decimals to which the size of a box x1, y1, x2, y2 is taken, so that 215 stays 215 and not 214.9999.
SIZE_DECIMALS = 6


@dataclass
class Detection:
    """One prediction.

    Attributes:
        position: place among the predictions, from 0.
        image_id: as in the annotations.
        annotation_id: the annotation for which it was made, or None.
        box: (4,) float64 x, y, width, height in image px.
        score: decides the order.
        area: px, decides whether an unmatched detection counts for an area range.
        draw: gives the map (h, w, 3) uint8 of a box.
    """

    position: int
    image_id: Any
    annotation_id: Any
    box: np.ndarray
    score: float
    area: float
    draw: Callable[[np.ndarray], np.ndarray]

    def iuv(self) -> np.ndarray:
        """The map (h, w, 3) uint8 of its own box."""
        return self.draw(self.box)

    def at(self, person: AnnotatedPerson) -> Detection:
        """The same prediction in the box of the annotated person, with score 1."""
        return replace(self, box=person.box, score=1.0, area=float(person.box[2] * person.box[3]))


def read_detections(
    predictions: str | Path | Sequence[PredictionRecord | DensePoseResult],
    truth: GroundTruth,
    problems: Problems,
    template: MeshTemplate | None = None,
) -> list[Detection]:
    """Turn predictions into detections; those that are no use are noted as problems and left out.

    Args:
        predictions: a predictions file, a DensePose results file, or the records of either.
        truth: the annotations for which they were made.
        problems: takes what is left out and why.
        template: the template that meshes must be of; by default the one that each record names.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is broken as a whole.
    """
    reader = _Reader(truth, problems, template)
    for position, prediction in _entries(predictions, problems):
        reader.add(position, prediction)
    return reader.detections


def _entries(predictions, problems: Problems) -> list[tuple[int, PredictionRecord | DensePoseResult]]:
    """The valid predictions with their places."""
    if isinstance(predictions, (str, Path)):
        results = _results_file(Path(predictions), problems)
        if results is not None:
            return results
        records, found = read_predictions(predictions)
        for text in found:
            problems.add('invalid prediction', text)
        return list(enumerate(records))
    if all(isinstance(prediction, DensePoseResult) for prediction in predictions):
        return [(result.position, result) for result in predictions]
    entries = list(enumerate(predictions))
    wrong = record_problems(predictions, None, range(len(entries)))
    for (position, record), found in zip(entries, wrong):
        for text in found:
            problems.add('invalid prediction', f'{_name(position, record)}: {text}')
    return [entry for entry, found in zip(entries, wrong) if not found]


def _results_file(path: Path, problems: Problems) -> list[tuple[int, DensePoseResult]] | None:
    """The detections of a DensePose results file, boxes to the digit; None for any other file."""
    if path.suffix != '.json' or not path.is_file():
        return None
    with open(path, 'rb') as stream:
        if stream.read(64).lstrip()[:1] != b'[':
            return None
    rows = read_json_file(path)
    results, found = parse_results(rows)
    for text in found:
        problems.add('invalid prediction', text)
    return [(result.position, result) for result in results]


def _name(position: int, prediction: PredictionRecord | DensePoseResult) -> str:
    instance = f', instance_id {prediction.instance_id!r}' if hasattr(prediction, 'instance_id') else ''
    return f'record {position} (image_id {prediction.image_id!r}{instance})'


class _Reader:
    """Collects detections of known images and known bodies."""

    def __init__(self, truth: GroundTruth, problems: Problems, template: MeshTemplate | None) -> None:
        self.truth, self.problems, self.template = truth, problems, template
        self.detections: list[Detection] = []
        self._templates: dict[str, MeshTemplate | str] = {}
        # Records may name an image by its file.
        self._ids_of_files = {image.file_name: image.image_id for image in truth.images.values()}

    def add(self, position: int, prediction: PredictionRecord | DensePoseResult) -> None:
        name = _name(position, prediction)
        image_id = prediction.image_id
        if image_id not in self.truth.images:
            image_id = self._ids_of_files.get(image_id)
        if image_id is None:
            self.problems.add('prediction for an image that the annotations do not have', name)
            return
        if isinstance(prediction, DensePoseResult):
            self._add_result(position, name, prediction, image_id)
        else:
            self._add_record(position, name, prediction, image_id)

    def _add_result(self, position: int, name: str, result: DensePoseResult, image_id) -> None:
        if result.category_id != 1:
            self.problems.add('prediction of another category than person', f'{name}: {result.category_id}')
            return
        self._append(position, image_id, None, result.bbox, result.score, _MapDrawer(result.iuv, result.bbox))

    def _add_record(self, position: int, name: str, record: PredictionRecord, image_id) -> None:
        box = None
        if record.box is not None:
            size = np.round(record.box[2:] - record.box[:2], SIZE_DECIMALS)
            box = np.concatenate([record.box[:2], size])
        if record.iuv is not None:
            draw = _MapDrawer(record.iuv, box)
            self._append(position, image_id, record.instance_id, box, record.score, draw)
            return
        template = self._find_template(record.template)
        wrong = template if isinstance(template, str) else self._mesh_problem(record, template)
        if wrong:
            self.problems.add('prediction of a mesh that cannot be drawn', f'{name}: {wrong}')
            return
        if box is None:
            xy = body_vertices(record, template)[:, :2].astype(np.float64)
            box = np.concatenate([xy.min(0), np.ptp(xy, axis=0)])
        if box[2:].max() > LARGEST_BOX:
            self.problems.add('prediction with a box that is too large', f'{name}: {box.tolist()}')
            return
        draw = _MeshDrawer(record, template)
        self._append(position, image_id, record.instance_id, box, record.score, draw)

    def _append(self, position: int, image_id, annotation_id, box, score: float, draw: Callable) -> None:
        area = float(box[2] * box[3])
        self.detections.append(Detection(position, image_id, annotation_id, box, score, area, draw))

    def _find_template(self, name: str) -> MeshTemplate | str:
        """The template of a name, or what is wrong with the name."""
        if self.template is not None and name in ('', self.template.name):
            return self.template
        if name not in self._templates:
            try:
                self._templates[name] = load_template(name)
            except (FileNotFoundError, ValueError) as error:
                self._templates[name] = str(error)
        return self._templates[name]

    def _mesh_problem(self, record: PredictionRecord, template: MeshTemplate) -> str:
        count = template.num_vertices if record.vertex_set == 'template' else template.num_body_vertices
        if len(record.vertices) != count:
            return f"template '{template.name}' has {count} vertices, got {len(record.vertices)}"
        if template.body != self.truth.surface:
            return (
                f"template '{template.name}' lies on the body '{template.body}', the annotations' charts on "
                f"'{self.truth.surface}'"
            )
        return ''


class _MapDrawer:
    """Gives a map of bytes in any box."""

    def __init__(self, iuv: np.ndarray, box: np.ndarray) -> None:
        self.map, self.box = iuv, box

    def __call__(self, box: np.ndarray) -> np.ndarray:
        return self.map if np.array_equal(box, self.box) else move_iuv(self.map, self.box, box)


class _MeshDrawer:
    """Draws a mesh in any box."""

    def __init__(self, record: PredictionRecord, template: MeshTemplate) -> None:
        self.record, self.template = record, template

    def __call__(self, box: np.ndarray) -> np.ndarray:
        return draw_iuv(body_vertices(self.record, self.template), self.template.surface, box)


def detections_by_annotation(
    detections: Sequence[Detection], truth: GroundTruth, problems: Problems
) -> list[Detection]:
    """Put each detection into the box of the person for whom it was made, as protocols P1 and P2 want it.

    People for whom there is no detection, and detections of unknown people, are noted as problems.

    Returns:
        the detections with the people's boxes and score 1, in order.
    """
    people = truth.people
    used: dict[tuple, Detection] = {}
    for detection in detections:
        key = (detection.image_id, detection.annotation_id)
        where = f'record {detection.position} (image_id {key[0]!r}, instance_id {key[1]!r})'
        if key not in people:
            problems.add('prediction whose instance_id is no annotation of its image (P1, P2)', where)
        elif key in used:
            problems.add('second prediction for the same person (P1, P2)', where)
        else:
            used[key] = detection.at(people[key])
    for (image_id, annotation_id), person in people.items():
        if not person.ignored and (image_id, annotation_id) not in used:
            problems.add(
                'annotated person without a prediction (P1, P2)', f'{annotation_id!r} in image {image_id!r}'
            )
    return list(used.values())
