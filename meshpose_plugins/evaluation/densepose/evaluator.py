"""DensePose scores of predictions against annotations, under named protocols."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.progress import Progress

from meshpose_plugins.evaluation.densepose.average_precision import MODES, average_precision
from meshpose_plugins.evaluation.densepose.comparison import ImageComparison, ImageResult
from meshpose_plugins.evaluation.densepose.detections import (
    Detection,
    detections_by_annotation,
    read_detections,
)
from meshpose_plugins.evaluation.densepose.ground_truth import GroundTruth
from meshpose_plugins.evaluation.densepose.problems import Problems
from meshpose_plugins.evaluation.densepose.results import DensePoseResults, check_protocols
from meshpose_plugins.evaluation.densepose.surface import EvaluationSurface
from meshpose_plugins.evaluation.densepose.template_surfaces import template_surface
from meshpose_plugins.templates import MeshTemplate, builtin_templates, load_template


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
                looked_at = (
                    'no built-in template' if template is None else f'not the template {template.name!r}'
                )
                raise ValueError(
                    f"the annotations' charts are those of '{self.truth.surface}', and {looked_at} lies on "
                    'that body: give the surface (--surface, --smpl-files) or a template of that body '
                    '(--template), or name the body in the file: info.densepose_surface'
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
        protocols = check_protocols(protocols)
        before = len(self.problems)
        detections = read_detections(predictions, self.truth, self.problems, self.template)
        if not detections and len(self.problems) > before:  # an empty file scores 0
            raise ValueError('\n'.join(['no prediction can be scored:', *self.problems.lines(5)]))
        if constant_score:
            detections = [replace(detection, score=1.0) for detection in detections]
        in_boxes = []
        if {'P1', 'P2'} & set(protocols):
            in_boxes = detections_by_annotation(detections, self.truth, self.problems)
            if detections and not in_boxes:
                raise ValueError(
                    'P1 and P2 score predictions made for ground-truth boxes, which carry their annotation '
                    'as instance_id: none of these does; score them under P3, or predict for such boxes'
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

    def _compare_images(self, sets: dict[str, dict], progress: bool) -> list[dict[str, ImageResult]]:
        comparison, images = ImageComparison(self.surface, self.kappa), list(self.truth.images.values())
        bar = Progress(disable=not progress)
        with bar, ThreadPoolExecutor(self.workers) as pool:
            spread = map if self.workers == 1 else pool.map
            found = spread(lambda image: comparison.image(image, sets), images)
            return list(bar.track(found, total=len(images), description='DensePose scores'))

    def _summary(
        self, protocol: str, images: list[ImageResult], detections: list[Detection], constant_score: bool
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
    """The given template, or else a built-in one, if it lies on the annotations' body."""
    candidates = [load_template(name) for name in builtin_templates()] if template is None else [template]
    return next((candidate for candidate in candidates
                 if candidate.body == body and candidate.knows('surface')), None)


def _by_image(detections: Iterable[Detection]) -> dict[Any, list[Detection]]:
    result: dict[Any, list[Detection]] = {}
    for detection in detections:
        result.setdefault(detection.image_id, []).append(detection)
    return result
