"""Errors of the meshes of detected people: who is who, and the errors of those who are found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from meshpose_plugins.evaluation import mesh_errors
from meshpose_plugins.evaluation.predictions import PredictionRecord

if TYPE_CHECKING:
    from meshpose_plugins.data.densepose import PersonRecord
    from meshpose_plugins.templates import MeshTemplate

#: Errors whose mean over people is reported.
MEAN_ERRORS = ('vertex_error_2d', 'pa_mpvpe', 'mpvpe', 'uv_error')


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


def person_errors(record: PredictionRecord, person: PersonRecord, template: MeshTemplate) -> dict:
    """Errors of one prediction against what is labelled of the person.

    Returns:
        those of :data:`MEAN_ERRORS` for which there are labels (definitions:
        :mod:`meshpose_plugins.evaluation.mesh_errors`), and with a mesh ``visibility``: the predicted
        visibilities of the vertices that are seen and of those outside the image.
    """
    errors = {}
    if person.points is not None:
        points = person.points
        errors['uv_error'] = mesh_errors.uv_error(
            record.vertices, points.xy, points.vertex_ids, points.barycentrics, person.bbox[3], points.valid
        )
    if _has_finite_mesh(person):
        camera = person.vertices_camera
        root_weights = template.joint_regressor[template.root_joint]
        seen, outside = mesh_errors.visibility_classes(
            person.vertices_image, person.vertex_visibility, *person.image_size
        )
        errors.update(
            vertex_error_2d=float(mesh_errors.vertex_error_2d(record.vertices, person.vertices_image)),
            pa_mpvpe=float(mesh_errors.pa_mpvpe(record.vertices, camera)),
            mpvpe=float(mesh_errors.mpvpe(record.vertices, camera, root_weights)),
            visibility=(record.visibility[seen], record.visibility[outside]),
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
        means of :data:`MEAN_ERRORS` over the people with labels who are found, ``visibility_auc``, and
        ``found``: percent of the people.
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
    for found, true in by_image.values():
        corners = [np.concatenate([p.bbox[:2], p.bbox[:2] + p.bbox[2:]]) for p in true]
        pairs = match_boxes([r.box for r in found], [r.score for r in found], corners)
        errors += [person_errors(found[i], true[k], template) for i, k in pairs]
    metrics = {'found': 100.0 * len(errors) / total} if total else {}
    for name in MEAN_ERRORS:
        values = np.array([error.get(name, np.nan) for error in errors], np.float64)
        if np.isfinite(values).any():
            metrics[name] = float(np.nanmean(values))
    auc = mesh_errors.pooled_visibility_auc([e['visibility'] for e in errors if 'visibility' in e])
    return {**metrics, 'visibility_auc': auc} if np.isfinite(auc) else metrics
