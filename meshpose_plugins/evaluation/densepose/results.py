"""The scores of an evaluation under one protocol, and what must be said beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meshpose_plugins.evaluation.densepose.average_precision import MODES
from meshpose_plugins.evaluation.densepose.detections import Detection

#: Protocol -> what it is; the text goes into the results.
PROTOCOLS = {
    'P1': 'MeshPose: ground-truth boxes, score 1, prediction masked by the ground-truth mask',
    'P2': 'ground-truth boxes, score 1, prediction not masked',
    'P3': 'detector: detected boxes and their scores, prediction not masked',
}


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


def check_protocols(protocols: Iterable[str]) -> list[str]:
    """Return the names as a list if they are protocols.

    Raises:
        ValueError: there is none, or one is unknown.
    """
    protocols = list(protocols)
    if not protocols or any(name not in PROTOCOLS for name in protocols):
        raise ValueError(f'protocols must be some of {", ".join(PROTOCOLS)}, got {protocols}')
    return protocols
