"""GPS, mask IoU and box IoU of a detection and an annotated person, as the public evaluation has them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from meshpose_plugins.data.densepose import BOX_GRID
from meshpose_plugins.evaluation.densepose.surface import EvaluationSurface

#: Chart coordinates in maps of bytes are byte / 255.
BYTE = 255.0


@dataclass
class AnnotatedPoints:
    """The DensePose points of a person, ready for comparison.

    Attributes:
        x, y: (P,) on the box's 0..255 grid.
        vertices: (P,) nearest vertices of the surface; -1 for points without surface (I = 0), which are left
            out of the mean.
        kappa: (P,) metres.
    """

    x: np.ndarray
    y: np.ndarray
    vertices: np.ndarray
    kappa: np.ndarray

    def __len__(self) -> int:
        return len(self.x)


@dataclass
class WindowMask:
    """A mask in an image of which only a rectangle is kept; it is False elsewhere.

    Attributes:
        x, y: column and row of the rectangle's first pixel in the image.
        mask: (h, w) bool.
    """

    x: int
    y: int
    mask: np.ndarray

    @classmethod
    def paste(cls, mask: np.ndarray, box: np.ndarray, height: int, width: int) -> WindowMask:
        """Paste a mask (h, w) of a box x, y, w, h at its truncated origin, cut to the image and box."""
        x, y = int(box[0]), int(box[1])
        right = min(int(box[0] + box[2]), width, x + mask.shape[1])
        bottom = min(int(box[1] + box[3]), height, y + mask.shape[0])
        left, top = max(x, 0), max(y, 0)
        return cls(left, top, mask[top - y : max(bottom - y, 0), left - x : max(right - x, 0)] > 0)

    def inside(self, x: int, y: int, height: int, width: int) -> np.ndarray:
        """(height, width) bool: what a rectangle of the image whose first pixel is x, y sees of the mask."""
        result = np.zeros((height, width), bool)
        left, top = max(self.x, x), max(self.y, y)
        right = min(self.x + self.mask.shape[1], x + width)
        bottom = min(self.y + self.mask.shape[0], y + height)
        if right > left and bottom > top:
            result[top - y : bottom - y, left - x : right - x] = self.mask[
                top - self.y : bottom - self.y, left - self.x : right - self.x
            ]
        return result


def point_distances(
    points: AnnotatedPoints,
    box: np.ndarray,  # (4,)
    detection_box: np.ndarray,  # (4,)
    iuv: np.ndarray,  # (h, w, 3)
    surface: EvaluationSurface,
) -> np.ndarray:
    """Geodesic distances between annotated points and what a detection says at their pixels.

    Args:
        points: the person's points.
        box: x, y, width, height of the person's box in image px.
        detection_box: the same of the detection.
        iuv: uint8 I, U * 255, V * 255 of the detection's box.
        surface: where the distances come from.

    Returns:
        (P,) metres; infinite where the detection has no surface, NaN for points that have none themselves.
    """
    box, detection_box = np.asarray(box, np.float64), np.asarray(detection_box, np.float64)
    columns = (points.x * box[2] / BOX_GRID + box[0] - detection_box[0]).astype(np.int64)
    rows = (points.y * box[3] / BOX_GRID + box[1] - detection_box[1]).astype(np.int64)
    width = min(int(detection_box[2]), iuv.shape[1])
    height = min(int(detection_box[3]), iuv.shape[0])
    result = np.full(len(points), np.inf)
    result[points.vertices < 0] = np.nan
    seen = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height) & (points.vertices >= 0)
    values = iuv[rows[seen], columns[seen]]
    predicted = surface.nearest(values[:, 0], values[:, 1] / BYTE, values[:, 2] / BYTE)
    known = predicted >= 0
    seen = np.flatnonzero(seen)[known]
    result[seen] = surface.distance(points.vertices[seen], predicted[known])
    return result


def geodesic_point_similarity(distances: np.ndarray, kappa: np.ndarray) -> float:
    """GPS: the mean of exp(-g^2 / (2 kappa^2)) over the points (P,) whose distance is not NaN, or 0."""
    counted = ~np.isnan(distances)
    if not counted.any():
        return 0.0
    distances, kappa = distances[counted], kappa[counted]
    return float(np.exp(-(distances**2) / (2 * kappa**2)).mean())


def mask_iou(detection: WindowMask, person: WindowMask, crowd: bool = False) -> float:
    """Overlap of two masks; for a crowd relative to the detection's area. 0 for two empty masks."""
    left, top = max(detection.x, person.x), max(detection.y, person.y)
    right = min(detection.x + detection.mask.shape[1], person.x + person.mask.shape[1])
    bottom = min(detection.y + detection.mask.shape[0], person.y + person.mask.shape[0])
    if right <= left or bottom <= top:
        return 0.0
    shared = np.count_nonzero(
        detection.mask[top - detection.y : bottom - detection.y, left - detection.x : right - detection.x]
        & person.mask[top - person.y : bottom - person.y, left - person.x : right - person.x]
    )
    area = np.count_nonzero(detection.mask)
    union = area if crowd else area + np.count_nonzero(person.mask) - shared
    return shared / union if union else 0.0


def box_iou(detection: np.ndarray, person: np.ndarray, crowd: bool = False) -> float:
    """Overlap of two boxes x, y, width, height; for a crowd relative to the detection's area."""
    width = min(detection[0] + detection[2], person[0] + person[2]) - max(detection[0], person[0])
    height = min(detection[1] + detection[3], person[1] + person[3]) - max(detection[1], person[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = detection[2] * detection[3]
    union = area if crowd else area + person[2] * person[3] - width * height
    return float(width * height / union)


def resize_mask(mask: np.ndarray, width: float, height: float) -> np.ndarray:
    """Resize a mask (H, W) of zeros and ones to a box: linear interpolation with fixed corners, > 0.5.

    Equal to ``scipy.ndimage.zoom(mask, ..., order=1, prefilter=False) > 0.5``, as in the public evaluation,
    also where rounding puts the last row or column just outside the mask, which makes it 0.

    Args:
        mask: 0 or 1.
        width, height: of the box in px; rounded, at least 1.

    Returns:
        (round(height), round(width)) bool.
    """
    rows, columns = round(max(float(height), 1.0)), round(max(float(width), 1.0))
    return _resize(np.ascontiguousarray(mask, np.float64), rows, columns)


@njit(cache=True, nogil=True)
def _taps(size, target):
    """First source index and weight of the second one for each target index; index -1 is outside."""
    step = (size - 1) / (target - 1) if target > 1 else 1.0
    first, weight = np.empty(target, np.int64), np.empty(target)
    for k in range(target):
        place = k * step
        first[k] = int(np.floor(place)) if place <= size - 1 else -1
        weight[k] = place - np.floor(place)
    return first, weight


@njit(cache=True, nogil=True)
def _resize(mask, rows, columns):
    height, width = mask.shape
    result = np.zeros((rows, columns), np.bool_)
    row_first, row_weight = _taps(height, rows)
    column_first, column_weight = _taps(width, columns)
    for row in range(rows):
        top, b = row_first[row], row_weight[row]
        if top < 0:
            continue
        bottom = min(top + 1, height - 1)
        for column in range(columns):
            left, a = column_first[column], column_weight[column]
            if left < 0:
                continue
            right = min(left + 1, width - 1)
            upper = (1 - a) * mask[top, left] + a * mask[top, right]
            lower = (1 - a) * mask[bottom, left] + a * mask[bottom, right]
            result[row, column] = (1 - b) * upper + b * lower > 0.5
    return result
