"""What an evaluation's page shows of DensePose scores: tables, errors by part, curves, the worst people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from meshpose_plugins.evaluation.densepose import PROTOCOLS, DensePoseResults, PersonScore
from meshpose_plugins.evaluation.densepose.average_precision import MODES, RECALLS, THRESHOLDS
from meshpose_plugins.templates.parts import PART_NAMES

from .report import ReportCurves, ReportInstance

MILLIMETRES_PER_METRE = 1000.0


def score_table(results: DensePoseResults) -> list[tuple]:
    """Rows for the page: the names of the statistics, then each mode's in percent."""
    statistics = list(results.metrics[MODES[0]])
    rows = [('%', *statistics)]
    for mode, values in results.metrics.items():
        rows.append(
            (mode, *('-' if values[name] < 0 else f'{100 * values[name]:.2f}' for name in statistics))
        )
    return rows


def score_notes(results: DensePoseResults) -> dict[str, str]:
    """What has to be said beside the numbers."""
    name = results.protocol
    return {
        name: PROTOCOLS[name]
        + ('; constant scores: AP depends on the order' if results.constant_score else ''),
        f'{name} kappa': results.kappa,
        f'{name} surface': f'{results.surface}; geodesics {results.geodesics}',
        f'{name} compared': f'{len(results.people)} people, {results.detections} detections, '
        f'{results.images} images',
    }


def distances_by_part(results: DensePoseResults) -> dict[str, float]:
    """Mean geodesic distance in mm of the points of each part for which something is predicted."""
    if not results.people:
        return {}
    parts = np.concatenate([person.point_parts for person in results.people])
    distances = np.concatenate([person.point_distances for person in results.people])
    known = np.isfinite(distances)
    return {
        name: float(distances[known & (parts == part)].mean() * MILLIMETRES_PER_METRE)
        for part, name in enumerate(PART_NAMES, 1)
        if (known & (parts == part)).any()
    }


def precision_curves(results: DensePoseResults) -> list[ReportCurves]:
    """Precision over recall of each mode, at some thresholds and in the mean; nothing if nobody counts."""
    diagrams = []
    for mode, precision in results.precision.items():
        if (precision < 0).all():
            continue
        lines = {'mean': (RECALLS, precision.mean(axis=0))}
        for threshold in (0.5, 0.75):
            row = int(np.argmin(np.abs(THRESHOLDS - threshold)))
            lines[f'{threshold:g}'] = (RECALLS, precision[row])
        diagrams.append(ReportCurves(f'{results.protocol} {mode}', 'recall', 'precision', lines))
    return diagrams


def worst_people(
    results: DensePoseResults, files: Mapping, images: str | Path, true_meshes: Mapping, count: int = 12
) -> list[ReportInstance]:
    """The people with the lowest GPSm, each with the map that was compared.

    Args:
        results: scores under one protocol.
        files: image id -> the image's path relative to ``images``.
        images: folder of the images; those that cannot be read are left blank.
        true_meshes: annotation id -> true vertices (V, 3) in image px; may be empty.
        count: how many people.
    """
    worst = sorted(results.people, key=lambda person: person.gpsm)[:count]
    return [_instance(person, results, files, Path(images), true_meshes) for person in worst]


def _instance(
    person: PersonScore, results: DensePoseResults, files: Mapping, images: Path, true_meshes: Mapping
) -> ReportInstance:
    file = files.get(person.image_id, '')
    picture = cv2.imread(str(images / file), cv2.IMREAD_COLOR) if (images / file).is_file() else None
    detection = results.by_position.get(person.position)
    box, iuv = None, None
    if detection is not None:
        x, y, width, height = detection.box
        box, iuv = np.array([x, y, x + width, y + height]), detection.iuv()
    return ReportInstance(
        f'{file}, annotation {person.annotation_id}: GPSm {person.gpsm:.3f}, GPS {person.gps:.3f}, '
        f'IoU {person.iou:.3f}'
        + ('' if detection is not None else ', nothing predicted'),
        None if picture is None else np.ascontiguousarray(picture[..., ::-1]),
        box=box,
        iuv=iuv,
        true=true_meshes.get(person.annotation_id),
        points_xy=person.points_xy,
        point_scores=person.point_scores,
    )
