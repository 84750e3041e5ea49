"""Errors of predicted meshes: in the image, in space after alignment, of visibility and of annotated points.

Everything is plain NumPy and takes leading batch dimensions. A sample for which an error has no meaning (a
true mesh without height, say) gets NaN, so that it can be counted and left out of means.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from meshpose_plugins.rendering.frame import inside_frame

MILLIMETRES_PER_METRE = 1000.0
#: How a prediction of any unit is brought to metres where only the roots are aligned. A scaled-orthographic
#: prediction has pixels and no metres; MMPose calls the first rule N-MPJPE (Rhodin et al., CVPR 2018).
SCALE_RULES = {
    'least_squares': 'roots together, then the prediction times <p, t> / <p, p> (least squares, at least 0)',
    'none': 'roots together, no scale: predictions are in metres',
}


def vertex_error_2d(
    predicted: np.ndarray,  # (..., V, 2 or 3)
    true: np.ndarray,  # (..., V, 2 or 3)
) -> np.ndarray:
    """Mean distance of the vertices in the image, in percent of the true mesh's height in the image.

    The height is the extent in y of all true vertices, also of those outside the image.

    Args:
        predicted: predicted x, y in image px; a third coordinate is ignored.
        true: true x, y of the same vertices in the same frame.

    Returns:
        (...) percent; NaN where the true mesh has no height.

    Raises:
        ValueError: the shapes differ.
    """
    distance = vertex_error_px(predicted, true)
    return _percent(distance, np.ptp(np.asarray(true, np.float64)[..., 1], axis=-1))


def vertex_error_px(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Mean distance of the vertices in the image, in px.

    Args:
        predicted, true: (..., V, 2 or 3) as in :func:`vertex_error_2d`.

    Returns:
        (...) px.
    """
    predicted, true = _check_pair(predicted, true, (2, 3))
    return np.linalg.norm(predicted[..., :2] - true[..., :2], axis=-1).mean(-1)


def uv_error(
    predicted: np.ndarray,  # (V, 2 or 3)
    points_xy: np.ndarray,  # (P, 2)
    vertex_ids: np.ndarray,  # (P, 3)
    barycentrics: np.ndarray,  # (P, 3)
    box_height: float,
    valid: np.ndarray | None = None,  # (P,)
) -> float:
    """Mean distance between annotated pixels and the predicted places of their surface points, in percent.

    A point's predicted place is ``sum_k b_k * xy[v_k]``. No rendering is involved, so that hidden points
    count too.

    Args:
        predicted: predicted vertices, x and y in image px; a third coordinate is ignored.
        points_xy: annotated pixels in image px.
        vertex_ids: template vertices of the triangle that holds each annotated surface point.
        barycentrics: weights of those vertices.
        box_height: height of the annotated box in image px: what 100 percent is.
        valid: which points count; all if not given.

    Returns:
        percent; NaN without any valid point or for a box without height.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    predicted = np.asarray(predicted, np.float64)
    points_xy, vertex_ids, barycentrics = (
        np.asarray(points_xy, np.float64),
        np.asarray(vertex_ids),
        np.asarray(barycentrics),
    )
    count = len(points_xy)
    if predicted.ndim != 2 or predicted.shape[1] not in (2, 3):
        raise ValueError(f'predicted must be (V, 2) or (V, 3), got {predicted.shape}')
    for name, array, shape in (
        ('points_xy', points_xy, (count, 2)),
        ('vertex_ids', vertex_ids, (count, 3)),
        ('barycentrics', barycentrics, (count, 3)),
    ):
        if array.shape != shape:
            raise ValueError(f'{name} must be {shape}, got {array.shape}')
    keep = np.ones(count, bool) if valid is None else np.asarray(valid, bool)
    if not keep.any():
        return float('nan')
    places = np.einsum('pk,pkc->pc', barycentrics[keep], predicted[vertex_ids[keep], :2])
    return float(_percent(np.linalg.norm(places - points_xy[keep], axis=-1).mean(), np.float64(box_height)))


def align_similarity(
    source: np.ndarray,  # (..., N, 3)
    target: np.ndarray,  # (..., N, 3)
) -> np.ndarray:
    """Move points onto others by the least-squares rotation, positive scale and translation (Procrustes).

    The rotation never mirrors. Points that all coincide go to the target's centroid; of collinear points the
    turn about their line is arbitrary, and moves none of them. Source: S. Umeyama,
    "Least-squares estimation of transformation parameters between two point patterns", PAMI 1991.

    Args:
        source: points to move, any unit.
        target: points with the same meaning, in the unit of the result.

    Returns:
        (..., N, 3) float64, the moved source.

    Raises:
        ValueError: the shapes differ, or a point is not finite.
    """
    source, target = _check_pair(source, target, (3,))
    source_mean, target_mean = source.mean(-2, keepdims=True), target.mean(-2, keepdims=True)
    source, target = source - source_mean, target - target_mean
    u, singular, vh = np.linalg.svd(np.swapaxes(target, -1, -2) @ source)
    # The last axis is turned over where the best orthogonal map would be a mirror.
    signs = np.ones_like(singular)
    signs[..., 2] = np.where(np.linalg.det(u) * np.linalg.det(vh) < 0, -1.0, 1.0)
    rotation = (u * signs[..., None, :]) @ vh
    variance = (source**2).sum((-1, -2))
    scale = np.divide((singular * signs).sum(-1), variance, out=np.zeros_like(variance), where=variance > 0)
    return scale[..., None, None] * source @ np.swapaxes(rotation, -1, -2) + target_mean


def similarity_errors(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Distance of each point after Procrustes alignment (rotation, scale, translation), in mm.

    Args:
        predicted: (..., N, 3) predicted points in any unit and place, axes x right, y down, z away from the
            camera.
        true: (..., N, 3) true points in metres, same axes.

    Returns:
        (..., N) mm; NaN where all true points coincide, which any prediction would fit.
    """
    predicted, true = _check_pair(predicted, true, (3,))
    distances = np.linalg.norm(align_similarity(predicted, true) - true, axis=-1)
    return np.where(_has_extent(true), distances * MILLIMETRES_PER_METRE, np.nan)


def check_scale_rule(scale: str) -> None:
    """Raise ValueError unless ``scale`` is one of :data:`SCALE_RULES`."""
    if scale not in SCALE_RULES:
        raise ValueError(f'scale must be one of {", ".join(SCALE_RULES)}, got {scale!r}')


def apply_scale(predicted: np.ndarray, true: np.ndarray, scale: str) -> np.ndarray:
    """Return predicted points (..., N, 3) after the scale rule; both sides are relative to the root."""
    check_scale_rule(scale)
    if scale == 'none':
        return predicted
    norm = (predicted**2).sum((-1, -2))
    product = np.maximum((predicted * true).sum((-1, -2)), 0.0)
    factor = np.divide(product, norm, out=np.zeros_like(norm), where=norm > 0)
    return factor[..., None, None] * predicted


def root_errors(
    predicted: np.ndarray,  # (..., N, 3)
    true: np.ndarray,  # (..., N, 3)
    predicted_root: np.ndarray,  # (..., 3)
    true_root: np.ndarray,  # (..., 3)
    scale: str = 'least_squares',
) -> np.ndarray:
    """Distance of each point with the roots put together, in mm. Orientation and shape are not aligned.

    Args:
        predicted: predicted points, axes x right, y down, z away from the camera; in any unit, or with the
            scale rule 'none' in metres.
        true: true points in metres, same axes.
        predicted_root: the root in the frame of ``predicted``.
        true_root: the root in the frame of ``true``.
        scale: which of :data:`SCALE_RULES` applies.

    Returns:
        (..., N) mm; NaN where all true points coincide, which the scale rule would fit.

    Raises:
        ValueError: the shapes differ, values are not finite, or an unknown scale rule.
    """
    predicted, true = _check_pair(predicted, true, (3,))
    predicted = predicted - np.asarray(predicted_root, np.float64)[..., None, :]
    true = true - np.asarray(true_root, np.float64)[..., None, :]
    distances = np.linalg.norm(apply_scale(predicted, true, scale) - true, axis=-1) * MILLIMETRES_PER_METRE
    return np.where(_has_extent(true), distances, np.nan)


def pa_mpvpe(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Mean per-vertex (or per-joint) position error after Procrustes alignment, in mm.

    Args:
        predicted, true: as in :func:`similarity_errors`.

    Returns:
        (...) mm.
    """
    return similarity_errors(predicted, true).mean(-1)


def mpvpe(
    predicted: np.ndarray,  # (..., V, 3)
    true: np.ndarray,  # (..., V, 3)
    root_weights: np.ndarray,  # (V,)
) -> np.ndarray:
    """Mean per-vertex position error with the root joints put together and the least-squares scale, in mm.

    Args:
        predicted, true: as in :func:`root_errors`.
        root_weights: the root joint as a weighted sum of the vertices (the template's
            ``joint_regressor[root_joint]``).

    Returns:
        (...) mm.
    """
    predicted, true = _check_pair(predicted, true, (3,))
    root_weights = np.asarray(root_weights, np.float64)
    if root_weights.shape != (true.shape[-2],):
        raise ValueError(f'root_weights must be ({true.shape[-2]},), got {root_weights.shape}')
    return root_errors(predicted, true, root_weights @ predicted, root_weights @ true).mean(-1)


def visibility_classes(
    vertices: np.ndarray,  # (..., V, 2 or 3)
    visibility: np.ndarray,  # (..., V)
    width: int,
    height: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Tell which vertices a visibility score has to tell apart: those seen, and those outside the image.

    Vertices inside the image that something hides belong to neither.

    Args:
        vertices: true x, y in image px.
        visibility: true visibility, non-zero for a vertex that is in the image and that nothing hides.
        width: width of the image in px.
        height: height of the image in px.

    Returns:
        positive (..., V) and negative (..., V), bool.
    """
    vertices, visibility = np.asarray(vertices), np.asarray(visibility)
    if vertices.shape[:-1] != visibility.shape:
        raise ValueError(
            f'visibility must be {vertices.shape[:-1]} for vertices {vertices.shape}, got {visibility.shape}'
        )
    outside = ~inside_frame(vertices, width, height)
    return (visibility > 0) & ~outside, outside


def visibility_auc(
    scores: np.ndarray,  # (N,)
    positive: np.ndarray,  # (N,)
    negative: np.ndarray,  # (N,)
) -> float:
    """Area under the ROC curve of visibility scores: how probably a positive scores above a negative.

    The rank statistic of Mann and Whitney; ties count one half.

    Args:
        scores: predicted visibilities, any monotone scale.
        positive: which entries should score high.
        negative: which entries should score low; the others are ignored.

    Returns:
        a number in [0, 1]; NaN without a positive or without a negative.
    """
    scores, positive, negative = (
        np.ravel(scores),
        np.ravel(positive).astype(bool),
        np.ravel(negative).astype(bool),
    )
    if not len(scores) == len(positive) == len(negative):
        raise ValueError(
            f'scores, positive and negative must have one length, got {len(scores)}, {len(positive)} and '
            f'{len(negative)}'
        )
    if (positive & negative).any():
        raise ValueError(f'{int((positive & negative).sum())} entries are both positive and negative')
    high, low = scores[positive], np.sort(scores[negative])
    if not len(high) or not len(low):
        return float('nan')
    below = np.searchsorted(low, high, side='left')
    not_above = np.searchsorted(low, high, side='right')
    return float((below + not_above).mean() / (2.0 * len(low)))


def pooled_visibility_auc(scores: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Area under the ROC curve over the visibility scores of all people together.

    Args:
        scores: for each person the scores (N,) of the vertices that should score high and those (M,) of the
            vertices that should score low; N and M may differ between people and be 0.

    Returns:
        a number in [0, 1], see :func:`visibility_auc`; NaN without a positive or without a negative.
    """
    if not scores:
        return float('nan')
    positive, negative = (np.concatenate(column) for column in zip(*scores))
    is_positive = np.arange(len(positive) + len(negative)) < len(positive)
    return visibility_auc(np.concatenate([positive, negative]), is_positive, ~is_positive)


def _percent(distance: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return 100 * distance / size, NaN where there is no size."""
    distance, size = np.asarray(distance, np.float64), np.asarray(size, np.float64)
    return np.divide(100.0 * distance, size, out=np.full(np.shape(distance), np.nan), where=size > 0)


def _check_pair(
    predicted: np.ndarray, true: np.ndarray, dimensions: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return both as float64 if they are as many finite points, (..., V, D), with D among ``dimensions``."""
    predicted, true = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    wrong = [a for a in (predicted, true) if a.ndim < 2 or a.shape[-2] == 0 or a.shape[-1] not in dimensions]
    if wrong or predicted.shape[:-1] != true.shape[:-1]:
        raise ValueError(
            f'expected two arrays (..., V, {" or ".join(map(str, dimensions))}) of one shape, got '
            f'{predicted.shape} and {true.shape}'
        )
    for name, array in (('predicted (or source)', predicted), ('true (or target)', true)):
        broken = np.argwhere(~np.isfinite(array))
        if len(broken):
            raise ValueError(f'{name} point {broken[0].tolist()} is {array[tuple(broken[0])]}')
    return predicted, true


def _has_extent(points: np.ndarray) -> np.ndarray:
    """Tell (..., 1) whether points (..., N, 3) differ from one another."""
    return (np.ptp(points, axis=-2) > 0).any(-1, keepdims=True)
