"""DensePose scores of predictions against annotations, under a named protocol."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from meshpose_plugins.data.densepose import BOX_GRID
from meshpose_plugins.evaluation.densepose.average_precision import (
    MAX_DETECTIONS,
    MODES,
    ImageSimilarities,
    average_precision,
)
from meshpose_plugins.evaluation.densepose.detections import Detection, detections_by_annotation, read_detections
from meshpose_plugins.evaluation.densepose.ground_truth import AnnotatedImage, AnnotatedPerson, GroundTruth
from meshpose_plugins.evaluation.densepose.problems import Problems
from meshpose_plugins.evaluation.densepose.similarity import (
    AnnotatedPoints,
    WindowMask,
    box_iou,
    geodesic_point_similarity,
    mask_iou,
    point_distances,
)
from meshpose_plugins.evaluation.densepose.surface import EvaluationSurface
from meshpose_plugins.evaluation.densepose.template_surfaces import template_surface
from meshpose_plugins.templates import MeshTemplate, builtin_templates, load_template

#: Protocol -> what it is; the text goes into the results.
PROTOCOLS = {
    'P1': 'MeshPose: ground-truth boxes, score 1, prediction masked by the ground-truth mask',
    'P2': 'ground-truth boxes, score 1, prediction not masked',
    'P3': 'detector: detected boxes and their scores, prediction not masked',
}
#: A detection is left out when this share of its mask lies in ignore regions (PoseTrack).
IGNORED_MASK_SHARE = 0.9


@dataclass
class PersonScore:
    """How well the best (under P1 and P2: the own) detection fits an annotated person that counts.

    Attributes:
        image_id, annotation_id: as in the annotations.
        position: place of the detection among the predictions; -1 without any in the image.
        gps, gpsm, iou: in [0, 1].
        point_parts: (P,) part of each annotated point that has surface.
        point_distances: (P,) float32 geodesic distance in metres; infinite where nothing is predicted.
        point_scores: (P,) float32 exp(-distance^2 / (2 kappa^2)), of which GPS is the mean.
        points_xy: (P, 2) float32 where the points are annotated, image px.
    """

    image_id: Any
    annotation_id: Any
    position: int
    gps: float
    gpsm: float
    iou: float
    point_parts: np.ndarray
    point_distances: np.ndarray
    point_scores: np.ndarray
    points_xy: np.ndarray


@dataclass
class DensePoseResults:
    """The scores under one protocol, with everything that must be said about them.

    Attributes:
        protocol, kappa, surface, geodesics: how they were made.
        constant_score: whether all detections had score 1.
        metrics: mode 'gps', 'gpsm', 'iou' -> AP, AP50, AP75, APm, APl, AR, AR50, AR75, ARm, ARl in [0, 1];
            -1 where nobody counts.
        precision: mode -> (10 thresholds, 101 recalls).
        people: a score per annotated person that counts.
        images, detections: how many were compared.
        by_position: place among the predictions -> detection, in the boxes of the protocol.
    """

    protocol: str
    kappa: str
    surface: str
    geodesics: str
    constant_score: bool
    metrics: dict[str, dict[str, float]]
    precision: dict[str, np.ndarray]
    people: list[PersonScore]
    images: int
    detections: int
    by_position: dict[int, Detection] = field(repr=False)

    def to_dict(self) -> dict:
        """The metrics under their modes, and how they were made, for JSON."""
        means = {
            name: float(np.mean([getattr(person, name) for person in self.people])) if self.people else None
            for name in MODES
        }
        return dict(
            self.metrics,
            protocol=f'{self.protocol} {PROTOCOLS[self.protocol]}',
            kappa=self.kappa,
            surface=self.surface,
            geodesics=self.geodesics,
            constant_score=self.constant_score,
            mean_of_people=means,
            images=self.images,
            people=len(self.people),
            detections=self.detections,
        )


@dataclass
class _ImageResult:
    similarities: ImageSimilarities
    people: list[PersonScore]


@dataclass
class _Person:
    """An annotated person with what is computed from it once."""

    truth: AnnotatedPerson
    mask: WindowMask
    points: AnnotatedPoints | None


class Evaluator:
    """Compares predictions with the annotations of a file.

    Args:
        annotations: DensePose-COCO style JSON, or its content.
        surface: where charts and distances come from; by default the full body of ``template``, or of the
            built-in template that has the annotations' charts, with its own geodesics.
        kappa: 'parts', or one number in metres for all parts (0.255: the paper of 2018).
        template: the template that meshes must be of; by default the one that each record names.
        strict: problems in the input are errors.
        workers: threads; 0 for one per processor, at most 4.
        geodesics_folder: where computed geodesics are kept; the user's cache folder when not given.

    Attributes:
        truth: the annotated people.
        problems: what was wrong with annotations and predictions so far.

    Raises:
        FileNotFoundError: there is no annotation file.
        ValueError: it cannot be read, kappa is neither 'parts' nor positive, or no template has its charts.

    Example:
        >>> evaluator = Evaluator('annotations.json', surface=load_surface('surface.npz'))
        >>> evaluator.evaluate('predictions.npz', ['P1'])['P1'].metrics['gpsm']['AP']
    """

    def __init__(
        self,
        annotations: str | Path | dict,
        surface: EvaluationSurface | None = None,
        kappa: str | float = 'parts',
        template: MeshTemplate | None = None,
        strict: bool = False,
        workers: int = 0,
        geodesics_folder: str | Path | None = None,
    ) -> None:
        if kappa != 'parts' and not (isinstance(kappa, (int, float)) and kappa > 0):
            raise ValueError(f"kappa must be 'parts' or a positive number of metres, got {kappa!r}")
        self.problems = Problems(strict)
        self.truth = GroundTruth(annotations, self.problems)
        self.problems.check()
        #: A template of the annotations' body on which errors can be drawn; None if there is none.
        self.drawing_template = _template_of(self.truth.surface, template)
        if surface is None:
            if self.drawing_template is None:
                looked_at = 'no built-in template' if template is None else f'not the template {template.name!r}'
                raise ValueError(
                    f"the annotations' charts are those of '{self.truth.surface}', and {looked_at} lies on that "
                    'body: give the surface (--surface, --smpl-files) or a template of that body (--template), or '
                    'name the body in the file: info.densepose_surface'
                )
            surface = template_surface(self.drawing_template, geodesics_folder, progress=True)
        self.surface, self.kappa, self.template = surface, kappa, template
        self.workers = workers or min(os.cpu_count() or 1, 4)

    def evaluate(
        self,
        predictions: str | Path | Sequence,
        protocols: Iterable[str] = ('P3',),
        constant_score: bool = False,
        progress: bool = False,
    ) -> dict[str, DensePoseResults]:
        """Score predictions.

        Args:
            predictions: a predictions file, a DensePose results file, or the records of either.
            protocols: 'P1', 'P2', 'P3'.
            constant_score: replace all scores by 1.
            progress: show a progress bar.

        Returns:
            protocol -> scores. What was wrong with the input is in ``problems``.

        Raises:
            ValueError: an unknown protocol, or problems while ``strict``.
        """
        protocols = list(protocols)
        unknown = [name for name in protocols if name not in PROTOCOLS]
        if unknown or not protocols:
            raise ValueError(f'protocols must be some of {", ".join(PROTOCOLS)}, got {protocols}')
        detections = read_detections(predictions, self.truth, self.problems, self.template)
        if not detections and len(self.problems):
            raise ValueError('\n'.join(['no prediction can be scored:', *self.problems.lines(5)]))
        if constant_score:
            detections = [replace(detection, score=1.0) for detection in detections]
        in_boxes = []
        if {'P1', 'P2'} & set(protocols):
            in_boxes = detections_by_annotation(detections, self.truth, self.problems)
            if detections and not in_boxes:
                raise ValueError(
                    'P1 and P2 score predictions made for ground-truth boxes, which carry their annotation as '
                    'instance_id: none of these does; score them under P3, or predict for ground-truth boxes'
                )
        self.problems.check()
        used = {name: detections if name == 'P3' else in_boxes for name in protocols}
        found = self._compare_images({name: _by_image(used[name]) for name in protocols}, progress)
        return {
            name: self._summary(
                name, [image[name] for image in found], used[name], constant_score or name != 'P3'
            )
            for name in protocols
        }

    def _compare_images(self, sets: dict[str, dict], progress: bool) -> list[dict[str, _ImageResult]]:
        images = list(self.truth.images.values())
        bar = Progress(disable=not progress)
        with bar, ThreadPoolExecutor(self.workers) as pool:
            spread = map if self.workers == 1 else pool.map
            found = spread(lambda image: self._compare_image(image, sets), images)
            return list(bar.track(found, total=len(images), description='DensePose scores'))

    def _compare_image(self, image: AnnotatedImage, sets: dict[str, dict]) -> dict[str, _ImageResult]:
        """Compare one image under each protocol; P1 and P2 draw each detection once."""
        people = [self._prepare(person, image) for person in image.people]
        drawn: dict[int, np.ndarray] = {}
        results = {}
        for protocol, by_image in sets.items():
            found = []
            for detection in by_image.get(image.image_id, []):
                iuv = drawn.get(id(detection))
                if iuv is None:
                    iuv = drawn[id(detection)] = detection.iuv()
                if protocol == 'P1':
                    iuv = _masked(iuv, detection, people)
                found.append((detection, iuv))
            results[protocol] = self._compare(image, people, found, own=protocol != 'P3')
        return results

    def _prepare(self, person: AnnotatedPerson, image: AnnotatedImage) -> _Person:
        points = None
        if not person.ignored:
            x, y, i, u, v = person.points
            vertices = self.surface.nearest(i, u, v)
            points = AnnotatedPoints(x, y, vertices, self.surface.kappa(vertices, self.kappa))
        return _Person(person, person.mask(image.height, image.width), points)

    def _compare(self, image: AnnotatedImage, people: list[_Person], found: list, own: bool) -> _ImageResult:
        """Similarities of the detections that remain after ignore regions and the limit per image."""
        masks = [
            WindowMask.paste(iuv[..., 0], detection.box, image.height, image.width) for detection, iuv in found
        ]
        keep = _outside_ignore_region(image, found)
        scores = np.array([found[index][0].score for index in keep])
        order = [keep[index] for index in np.argsort(-scores, kind='mergesort')[:MAX_DETECTIONS]]
        shape = (len(order), len(people))
        gps, iou, boxes = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        distances: dict[tuple[int, int], np.ndarray] = {}
        for row, index in enumerate(order):
            detection, iuv = found[index]
            for column, person in enumerate(people):
                iou[row, column] = mask_iou(masks[index], person.mask, person.truth.crowd)
                boxes[row, column] = box_iou(detection.box, person.truth.box, person.truth.crowd)
                if person.points is not None:
                    distance = point_distances(
                        person.points, person.truth.box, detection.box, iuv, self.surface
                    )
                    distances[row, column] = distance
                    gps[row, column] = geodesic_point_similarity(distance, person.points.kappa)
        detections = [found[index][0] for index in order]
        similarities = ImageSimilarities(
            np.array([detection.score for detection in detections], np.float64),
            np.array([detection.area for detection in detections], np.float64),
            np.array([person.truth.ignored for person in people], bool),
            np.array([person.truth.crowd for person in people], bool),
            np.array([person.truth.area for person in people], np.float64),
            gps,
            iou,
            boxes,
        )
        return _ImageResult(similarities, self._person_scores(people, detections, similarities, distances, own))

    def _person_scores(
        self, people: list[_Person], detections: list[Detection], similarities: ImageSimilarities,
        distances: dict, own: bool,
    ) -> list[PersonScore]:
        scores = []
        gpsm = similarities.similarity('gpsm')
        for column, person in enumerate(people):
            if person.points is None:
                continue
            identity = person.truth.annotation_id
            rows = [row for row, d in enumerate(detections) if not own or d.annotation_id == identity]
            if rows:
                row = max(rows, key=lambda row: (gpsm[row, column], similarities.gps[row, column]))
                position, distance = detections[row].position, distances[row, column]
                values = [float(a[row, column]) for a in (similarities.gps, gpsm, similarities.iou)]
            else:
                position, distance, values = -1, np.full(len(person.points), np.inf), [0.0, 0.0, 0.0]
            scores.append(self._person_score(person, position, values, distance))
        return scores

    def _person_score(
        self, person: _Person, position: int, values: list[float], distance: np.ndarray
    ) -> PersonScore:
        points, box = person.points, person.truth.box
        counted = points.vertices >= 0
        distance, kappa = distance[counted], points.kappa[counted]
        xy = np.stack([points.x, points.y], axis=1)[counted] / BOX_GRID * box[2:] + box[:2]
        return PersonScore(
            person.truth.image_id,
            person.truth.annotation_id,
            position,
            *values,
            self.surface.parts[points.vertices[counted]],
            distance.astype(np.float32),
            np.exp(-(distance**2) / (2 * kappa**2)).astype(np.float32),
            xy.astype(np.float32),
        )

    def _summary(
        self, protocol: str, images: list[_ImageResult], detections: list[Detection], constant_score: bool
    ) -> DensePoseResults:
        curves = {mode: average_precision([image.similarities for image in images], mode) for mode in MODES}
        return DensePoseResults(
            protocol,
            'per part (DensePose-COCO)' if self.kappa == 'parts' else f'{self.kappa:g} m everywhere',
            self.surface.name,
            self.surface.geodesics,
            constant_score,
            {mode: curve.statistics for mode, curve in curves.items()},
            {mode: curve.precision for mode, curve in curves.items()},
            [person for image in images for person in image.people],
            len(images),
            sum(len(image.similarities.scores) for image in images),
            {detection.position: detection for detection in detections},
        )


def _template_of(body: str, template: MeshTemplate | None) -> MeshTemplate | None:
    """The given template, or else a built-in one, if it lies on the body whose charts the annotations have."""
    candidates = [load_template(name) for name in builtin_templates()] if template is None else [template]
    return next((candidate for candidate in candidates if candidate.body == body), None)


def _by_image(detections: Iterable[Detection]) -> dict[Any, list[Detection]]:
    result: dict[Any, list[Detection]] = {}
    for detection in detections:
        result.setdefault(detection.image_id, []).append(detection)
    return result


def _masked(iuv: np.ndarray, detection: Detection, people: list[_Person]) -> np.ndarray:
    """The map without what lies outside the mask of the person for whom it was made."""
    person = next(p for p in people if p.truth.annotation_id == detection.annotation_id)
    height, width = iuv.shape[:2]
    inside = person.mask.inside(int(detection.box[0]), int(detection.box[1]), height, width)
    return iuv * inside[..., None]


def _outside_ignore_region(image: AnnotatedImage, found: list) -> list[int]:
    """Indices of the detections whose foreground does not lie in the image's ignore regions."""
    indices = list(range(len(found)))
    if image.ignore_region is None or not found:
        return indices
    region = image.ignore_region()
    window = WindowMask(0, 0, region)
    keep = []
    for index in indices:
        detection, iuv = found[index]
        foreground = iuv[..., 0] > 0
        x, y = int(detection.box[0]), int(detection.box[1])
        hidden = np.count_nonzero(foreground & window.inside(x, y, *foreground.shape))
        if hidden < IGNORED_MASK_SHARE * max(np.count_nonzero(foreground), 1):
            keep.append(index)
    return keep
