"""Detectors without learned weights of their own: the whole image, and OpenCV's HOG people detector."""

from __future__ import annotations

import cv2
import numpy as np

from meshpose_plugins.detection.base import (
    best_first,
    non_maximum_suppression,
    refuse_model,
    register_detector,
)


@register_detector('whole-image')
class WholeImageDetector:
    """One person who fills the picture."""

    def __init__(self, model=None, weights=None, device='cpu', score_threshold=None):
        refuse_model('whole-image', model, weights)

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `PersonDetector.detect`."""
        height, width = image.shape[:2]
        return np.asarray([[0, 0, width, height]], np.float32), np.ones(1, np.float32)


@register_detector('hog')
class HOGDetector:
    """OpenCV's upright-pedestrian detector (Dalal and Triggs, CVPR 2005): weak, but always at hand.

    It looks for whole upright people and misses seated or cropped ones. OpenCV 5 no longer has it.

    Args:
        score_threshold: lowest score, in [0, 1]; the score is m / (1 + m) of the SVM margin m. Default 0.35.

    Raises:
        RuntimeError: if this OpenCV has no HOG detector.
    """

    # The detector's window is 64 x 128 px, and its training people fill about 96 px of it.
    _WINDOW = (64, 128)
    _LARGEST_SIDE = 800
    _SHRINK = (0.78, 0.84)

    def __init__(self, model=None, weights=None, device='cpu', score_threshold=None):
        refuse_model('hog', model, weights)
        if not self.available():
            raise RuntimeError(
                f'OpenCV {cv2.__version__} has no HOGDescriptor; '
                f'use --detector whole-image, --bbox, or a learned detector'
            )
        self.score_threshold = 0.35 if score_threshold is None else score_threshold
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())

    @staticmethod
    def available() -> bool:
        """Whether this OpenCV still has the detector."""
        return hasattr(cv2, 'HOGDescriptor') and hasattr(cv2, 'HOGDescriptor_getDefaultPeopleDetector')

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `PersonDetector.detect`."""
        height, width = image.shape[:2]
        scale = self._LARGEST_SIDE / max(height, width)
        resized = cv2.resize(
            image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        )
        if resized.shape[1] < self._WINDOW[0] or resized.shape[0] < self._WINDOW[1]:
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        boxes, margins = self._hog.detectMultiScale(
            cv2.cvtColor(resized, cv2.COLOR_RGB2BGR),
            winStride=(8, 8),
            padding=(16, 16),
            scale=1.05,
            groupThreshold=0,
        )
        if len(boxes) == 0:
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        margins = np.maximum(np.asarray(margins, np.float32).reshape(-1), 0)
        centre, size = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:] * np.float32(self._SHRINK)
        corners = np.concatenate([centre - size / 2, centre + size / 2], axis=1) / scale
        corners = np.clip(corners, 0, np.asarray([width, height, width, height], np.float32))
        corners, scores = best_first(corners, margins / (1 + margins), self.score_threshold)
        kept = non_maximum_suppression(corners, scores, iou=0.4)
        return corners[kept], scores[kept]


@register_detector('auto')
class AutoDetector:
    """HOG where OpenCV has it and it is sure of somebody, else the whole image.

    Args:
        score_threshold: of the HOG detector. Default 0.5: a wrong small box costs more than the whole image.
    """

    def __init__(self, model=None, weights=None, device='cpu', score_threshold=None):
        refuse_model('auto', model, weights)
        threshold = 0.5 if score_threshold is None else score_threshold
        self._hog = HOGDetector(score_threshold=threshold) if HOGDetector.available() else None
        self._whole = WholeImageDetector()

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `PersonDetector.detect`."""
        if self._hog is not None:
            boxes, scores = self._hog.detect(image)
            if len(boxes):
                return boxes, scores
        return self._whole.detect(image)
