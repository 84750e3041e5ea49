"""The detector protocol and the table of detectors by name."""

from __future__ import annotations

import importlib
from typing import Callable, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class PersonDetector(Protocol):
    """Anything that finds people in one image."""

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the people in an image.

        Args:
            image: (H, W, 3) uint8, RGB.

        Returns:
            boxes: (P, 4) float32, x0, y0, x1, y1 in px of the image, best first; P may be 0.
            scores: (P,) float32 in [0, 1].
        """
        ...


_DETECTORS: dict[str, Callable[..., PersonDetector]] = {}
# Detectors of optional frameworks: name -> the module that registers it, imported when it is asked for.
_REGISTERED_BY = {
    'detectron2': 'meshpose_plugins.integrations.detectron2.detectors',
    'mmdet': 'meshpose_plugins.integrations.mmpose.detectors',
}


def register_detector(name: str) -> Callable:
    """Class decorator that makes a detector available to `build_detector` under a name.

    Args:
        name: what the user types; must not be taken by another class.

    Returns:
        the decorator; the class is called as `cls(model, weights, device, score_threshold)`, all by keyword.
    """

    def register(cls):
        if name in _DETECTORS and _DETECTORS[name].__qualname__ != cls.__qualname__:
            raise ValueError(f'the detector name {name!r} is taken by {_DETECTORS[name].__qualname__}')
        _DETECTORS[name] = cls
        return cls

    return register


def detector_names() -> list[str]:
    """The names `build_detector` knows, sorted; the frameworks of some may not be installed."""
    return sorted({*_DETECTORS, *_REGISTERED_BY})


def build_detector(
    spec: str, weights: str | None = None, device: str = 'cpu', score_threshold: float | None = None
) -> PersonDetector:
    """Make a detector from what a user types.

    Args:
        spec: a name, or 'name:model' where a family has several models
            ('torchvision:fasterrcnn_resnet50_fpn', 'mmdet:path/to/config.py').
        weights: weights file of a learned detector; None looks where its framework keeps them.
            Nothing is downloaded.
        device: torch device of a learned detector.
        score_threshold: people below it are dropped; None takes the detector's own default.

    Returns:
        the detector.

    Raises:
        ValueError: if the name is unknown, or an option does not belong to this detector.
        FileNotFoundError: if the weights are not on this machine.
        ImportError: if the detector's framework is not installed.
    """
    name, _, model = spec.partition(':')
    if name not in detector_names():
        raise ValueError(
            f'detector: expected one of {", ".join(detector_names())} (or name:model), got {spec!r}'
        )
    if score_threshold is not None and not 0 <= score_threshold <= 1:
        raise ValueError(f'score_threshold: expected a number in [0, 1], got {score_threshold!r}')
    if name not in _DETECTORS:
        try:
            importlib.import_module(_REGISTERED_BY[name])
        except ImportError as error:
            raise ImportError(
                f'detector {name!r} needs a package that is not installed, see docs/installation.md ({error})'
            ) from error
    return _DETECTORS[name](
        model=model or None, weights=weights, device=device, score_threshold=score_threshold
    )


def refuse_model(name: str, model: str | None, weights: str | None) -> None:
    """Raise ValueError if a detector without weights was given a model or a weights file."""
    for option, value in (('model', model), ('weights', weights)):
        if value is not None:
            raise ValueError(
                f'detector {name!r} takes no {option}, got {value!r}; '
                f'learned detectors are torchvision, mmdet and detectron2'
            )


def best_first(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Keep the boxes with a score of at least `threshold`, sorted by falling score (stable).

    Args:
        boxes: (P, 4) x0, y0, x1, y1.
        scores: (P,).
        threshold: lowest score that is kept.

    Returns:
        boxes (K, 4) float32 and scores (K,) float32.
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    scores = np.asarray(scores, np.float32).reshape(-1)
    order = np.argsort(-scores, kind='stable')
    order = order[scores[order] >= threshold]
    return boxes[order], scores[order]


def non_maximum_suppression(boxes: np.ndarray, scores: np.ndarray, iou: float) -> np.ndarray:
    """Greedy suppression: a box goes when it overlaps a better one by more than `iou`.

    Args:
        boxes: (P, 4) x0, y0, x1, y1.
        scores: (P,).
        iou: largest intersection over union two kept boxes may have.

    Returns:
        indices of the kept boxes, best first, int64.
    """
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    order, kept = list(np.argsort(-scores, kind='stable')), []
    while order:
        best = order.pop(0)
        kept.append(best)
        low = np.maximum(boxes[order, :2], boxes[best, :2])
        high = np.minimum(boxes[order, 2:], boxes[best, 2:])
        overlap = np.prod(np.maximum(high - low, 0), axis=1)
        union = areas[order] + areas[best] - overlap
        order = [k for k, o, u in zip(order, overlap, union) if o <= iou * u]
    return np.asarray(kept, np.int64)
