"""Average precision and recall exactly as the public DensePose evaluation computes them (reference mode).

Sources: COCO's evaluation (T.-Y. Lin et al., 2014) and the DensePose evaluation of Detectron2 (Apache-2.0).
Where the latter differs from plain COCO: docs/densepose_evaluation.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

#: Similarities from which a detection counts as right.
THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
#: So many detections of an image count, those with the highest scores.
MAX_DETECTIONS = 20
#: Bounds of the areas in px, both included.
AREAS = {'all': (0.0, 1e10), 'medium': (32.0**2, 96.0**2), 'large': (96.0**2, 1e10)}
#: The similarities by which detections are matched.
MODES = ('gps', 'gpsm', 'iou')
#: An unmatched detection whose box overlaps an unmatched person by this much shares the person's ignore flag.
SHARED_BOX_IOU = 0.8


@dataclass
class ImageSimilarities:
    """How well the D detections of an image, best score first, fit its G annotated people.

    Attributes:
        scores, areas: (D,) of the detections, px for areas.
        ignored, crowd: (G,) bool: people that don't count, and crowds, which may be matched often.
        person_areas: (G,) px.
        gps, iou, box_iou: (D, G) in [0, 1].
    """

    scores: np.ndarray
    areas: np.ndarray
    ignored: np.ndarray
    crowd: np.ndarray
    person_areas: np.ndarray
    gps: np.ndarray
    iou: np.ndarray
    box_iou: np.ndarray

    def similarity(self, mode: str) -> np.ndarray:
        """(D, G) of one of :data:`MODES`."""
        if mode not in MODES:
            raise ValueError(f'mode must be one of {", ".join(MODES)}, got {mode!r}')
        if mode == 'gpsm':
            return np.sqrt(self.iou * self.gps)
        return self.gps if mode == 'gps' else self.iou


@dataclass
class PrecisionRecall:
    """AP and AR of one mode, with the curves behind them.

    Attributes:
        statistics: AP, AP50, AP75, APm, APl, AR, AR50, AR75, ARm, ARl in [0, 1]; -1 without any person.
        precision: (10, 101) over the thresholds and :data:`RECALLS`, all areas; -1 without any person.
    """

    statistics: dict[str, float]
    precision: np.ndarray


def average_precision(images: Sequence[ImageSimilarities], mode: str) -> PrecisionRecall:
    """Compute AP and AR over images.

    Args:
        images: in the order that decides between equal scores: by image id.
        mode: 'gps', 'gpsm' or 'iou'.
    """
    precisions, recalls = {}, {}
    for name, bounds in AREAS.items():
        precisions[name], recalls[name] = _curves(images, mode, bounds)
    statistics = {}
    for label, values in (('AP', precisions), ('AR', recalls)):
        statistics[label] = _mean(values['all'])
        for threshold in (50, 75):
            index = np.argmin(np.abs(THRESHOLDS - threshold / 100))
            statistics[f'{label}{threshold}'] = _mean(values['all'][index])
        statistics[f'{label}m'], statistics[f'{label}l'] = _mean(values['medium']), _mean(values['large'])
    return PrecisionRecall(statistics, precisions['all'])


def _mean(values: np.ndarray) -> float:
    """Mean without the -1 of thresholds for which there was nobody; -1 if nothing is left."""
    values = values[values > -1]
    return float(values.mean()) if values.size else -1.0


def _curves(images: Sequence[ImageSimilarities], mode: str, bounds: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Precision (T, R) at each recall and final recall (T,), -1 if nobody counts."""
    found = [_match_image(image, mode, bounds) for image in images]
    people = sum(count for _, _, count in found)
    if not people:
        return np.full((len(THRESHOLDS), len(RECALLS)), -1.0), np.full(len(THRESHOLDS), -1.0)
    scores = np.concatenate([image.scores for image in images])
    order = np.argsort(-scores, kind='mergesort')
    matched = np.concatenate([matched for matched, _, _ in found], axis=1)[:, order]
    ignored = np.concatenate([ignored for _, ignored, _ in found], axis=1)[:, order]
    right = np.cumsum(matched & ~ignored, axis=1, dtype=np.float64)
    wrong = np.cumsum(~matched & ~ignored, axis=1, dtype=np.float64)
    recall = right / people
    precision = right / (right + wrong + np.spacing(1))
    # The best precision at this recall or a higher one.
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    sampled = np.zeros((len(THRESHOLDS), len(RECALLS)))
    for row in range(len(THRESHOLDS)):
        position = np.searchsorted(recall[row], RECALLS, side='left')
        reached = position < recall.shape[1]
        sampled[row, reached] = precision[row, position[reached]]
    final = recall[:, -1] if recall.shape[1] else np.zeros(len(THRESHOLDS))
    return sampled, final


def _match_image(image: ImageSimilarities, mode: str, bounds: tuple) -> tuple[np.ndarray, np.ndarray, int]:
    """Whether each detection is matched and ignored (T, D), and how many people count."""
    low, high = bounds
    ignored = image.ignored | (image.person_areas < low) | (image.person_areas > high)
    order = np.argsort(ignored, kind='mergesort')  # people that don't count are matched last
    outside = (image.areas < low) | (image.areas > high)
    matched, dropped = _match(
        np.ascontiguousarray(image.similarity(mode)[:, order]),
        np.ascontiguousarray(image.box_iou[:, order]),
        ignored[order],
        image.crowd[order],
        THRESHOLDS,
    )
    dropped |= ~matched & outside
    if ignored.all():  # also where nobody is annotated
        dropped[:] = True
    return matched, dropped, int((~ignored).sum())


@njit(cache=True)
def _match(similarity, box_iou, ignored, crowd, thresholds):
    """Greedy matching in the order of the detections; people that don't count stand last."""
    detections, people = similarity.shape
    matched = np.zeros((len(thresholds), detections), np.bool_)
    dropped = np.zeros((len(thresholds), detections), np.bool_)
    taken = np.zeros(people, np.bool_)
    for t in range(len(thresholds)):
        taken[:] = False
        for d in range(detections):
            best, match = min(thresholds[t], 1 - 1e-10), -1
            for g in range(people):
                if taken[g] and not crowd[g]:
                    continue
                if match > -1 and not ignored[match] and ignored[g]:
                    break
                if similarity[d, g] < best or similarity[d, g] == 0:
                    continue
                best, match = similarity[d, g], g
            if match > -1:
                matched[t, d] = taken[match] = True
                dropped[t, d] = ignored[match]
    # Only the matches of the last threshold decide here, and the flag is passed on to all thresholds.
    for d in range(detections):
        if matched[-1, d]:
            continue
        best, match = SHARED_BOX_IOU, -1
        for g in range(people):
            if (not taken[g] or crowd[g]) and box_iou[d, g] >= best:
                best, match = box_iou[d, g], g
        if match > -1:
            dropped[:, d] = ignored[match]
            # Who does not count excuses one detection only (a crowd any number).
            taken[match] |= ignored[match]
    return matched, dropped
