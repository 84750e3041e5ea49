"""Errors of the meshes of detected people: who is who, and the errors of those who are found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from meshpose_plugins.data.affine import box_corners
from meshpose_plugins.evaluation import mesh_errors
from meshpose_plugins.evaluation.person_errors import mean_errors, person_mesh_errors
from meshpose_plugins.evaluation.predictions import PredictionRecord

if TYPE_CHECKING:
    from meshpose_plugins.data.densepose import PersonRecord
    from meshpose_plugins.templates import MeshTemplate


def match_boxes(
    boxes: np.ndarray,  # (P, 4)
    scores: np.ndarray,  # (P,)
    true_boxes: np.ndarray,  # (T, 4)
    iou: float = 0.5,
) -> list[tuple[int, int]]:
    """Pair detections with people of one image: best score first, each takes the person it overlaps most.

    Args:
        boxes, true_boxes: x0, y0, x1, y1.
        scores: of the detections.
        iou: lowest intersection over union of a pair.

    Returns:
        (detection, person) indices; each occurs once at most.
    """
    boxes, true_boxes = np.reshape(boxes, (-1, 4)), np.reshape(true_boxes, (-1, 4))
    low = np.maximum(boxes[:, None, :2], true_boxes[:, :2])
    high = np.minimum(boxes[:, None, 2:], true_boxes[:, 2:])
    overlap = np.prod(np.maximum(high - low, 0), axis=-1)
    areas, true_areas = (np.prod(b[:, 2:] - b[:, :2], axis=-1) for b in (boxes, true_boxes))
    quality = overlap / np.maximum(areas[:, None] + true_areas - overlap, 1e-9)
    pairs = []
    for detection in np.argsort(-np.asarray(scores), kind='stable'):
        if quality.shape[1] and quality[detection].max() >= iou:
            person = int(quality[detection].argmax())
            pairs.append((int(detection), person))
            quality[:, person] = -1
    return pairs


def _record_errors(record: PredictionRecord, person: PersonRecord, template: MeshTemplate) -> dict:
    """Errors of one prediction against what is labelled of the person.

    Returns:
        ``uv_error`` where there are points, and those of
        :func:`meshpose_plugins.evaluation.person_errors.person_mesh_errors` where there is a mesh.
    """
    errors = {}
    if person.points is not None:
        points = person.points
        errors['uv_error'] = mesh_errors.uv_error(
            record.vertices, points.xy, points.vertex_ids, points.barycentrics, person.bbox[3], points.valid
        )
    if _has_finite_mesh(person):
        errors.update(
            person_mesh_errors(
                record.vertices,
                record.visibility,
                person.vertices_image,
                person.vertices_camera,
                person.vertex_visibility,
                person.image_size,
                template,
            )
        )
    return errors


def _has_finite_mesh(person: PersonRecord) -> bool:
    """Tell whether there is a true mesh; one with NaN, which training leaves out too, is none."""
    if person.vertices_image is None:
        return False
    return bool(np.isfinite(person.vertices_image).all() and np.isfinite(person.vertices_camera).all())


def detected_people_errors(
    records: Sequence[PredictionRecord], people: Iterable[PersonRecord], template: MeshTemplate
) -> dict[str, float]:
    """Mean errors of the detected people, and how many of all people that are.

    Args:
        records: predictions; their boxes tell who is who, at an intersection over union of 0.5.
        people: the annotated people of the same images; crowds are left out.
        template: of both.

    Returns:
        those of :func:`meshpose_plugins.evaluation.person_errors.mean_errors` over the people with labels who are
        found, and ``found``: percent of the people.
    """
    by_image: dict = {}
    for record in records:
        by_image.setdefault(record.image_id, ([], []))[0].append(record)
    total = 0
    for person in people:
        if not person.iscrowd:
            by_image.setdefault(person.image_id, ([], []))[1].append(person)
            total += 1
    errors = []
    for predicted, true in by_image.values():
        corners = [box_corners(p.bbox) for p in true]
        pairs = match_boxes([r.box for r in predicted], [r.score for r in predicted], corners)
        errors += [_record_errors(predicted[i], true[k], template) for i, k in pairs]
    found = {'found': 100.0 * len(errors) / total} if total else {}
    return {**found, **mean_errors(errors)}
