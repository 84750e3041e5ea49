"""One image: every detection against every annotated person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meshpose_plugins.data.densepose import BOX_GRID
from meshpose_plugins.evaluation.densepose.average_precision import MAX_DETECTIONS, ImageSimilarities
from meshpose_plugins.evaluation.densepose.detections import Detection
from meshpose_plugins.evaluation.densepose.ground_truth import AnnotatedImage, AnnotatedPerson
from meshpose_plugins.evaluation.densepose.results import PersonScore
from meshpose_plugins.evaluation.densepose.similarity import (
    AnnotatedPoints,
    WindowMask,
    box_iou,
    geodesic_point_similarity,
    mask_iou,
    point_distances,
)
from meshpose_plugins.evaluation.densepose.surface import EvaluationSurface

#: A detection is left out when this share of its mask lies in ignore regions (PoseTrack).
IGNORED_MASK_SHARE = 0.9


@dataclass
class ImageResult:
    """Similarities of an image, and a score per person that counts."""

    similarities: ImageSimilarities
    people: list[PersonScore]


@dataclass
class _Person:
    """An annotated person with what is computed from it once."""

    truth: AnnotatedPerson
    mask: WindowMask
    points: AnnotatedPoints | None


@dataclass
class ImageComparison:
    """Compares the detections of single images with the annotated people.

    Args:
        surface: where charts and distances come from.
        kappa: 'parts', or one number in metres.
    """

    surface: EvaluationSurface
    kappa: str | float

    def image(self, image: AnnotatedImage, sets: dict[str, dict]) -> dict[str, ImageResult]:
        """Compare one image under each protocol; P1 and P2 draw each detection once.

        Args:
            image: with its people.
            sets: protocol -> image id -> detections.
        """
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

    def _compare(self, image: AnnotatedImage, people: list[_Person], found: list, own: bool) -> ImageResult:
        """Similarities of the detections that remain after ignore regions and the limit per image."""
        masks = [
            WindowMask.paste(iuv[..., 0], detection.box, image.height, image.width)
            for detection, iuv in found
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
        return ImageResult(
            similarities, self._person_scores(people, detections, similarities, distances, own)
        )

    def _person_scores(
        self,
        people: list[_Person],
        detections: list[Detection],
        similarities: ImageSimilarities,
        distances: dict,
        own: bool,
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
