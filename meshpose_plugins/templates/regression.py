"""Sparse affine regressors from template vertices, fitted on posed bodies: the upsampler, joints and
keypoints."""

from __future__ import annotations

import numpy as np


def fit_sparse_regressor(
    sources: np.ndarray, targets: np.ndarray, support: np.ndarray, prior: np.ndarray, strength: float
) -> np.ndarray:
    """Fit each target point as an affine combination of a few source points.

    Least squares over all bodies and axes, pulled towards prior weights; the weights of a target sum to 1.

    Args:
        sources: (B, V, 3) template vertices on B bodies, metres.
        targets: (B, N, 3) points to predict.
        support: (N, K) ids of the template vertices that each target may use.
        prior: (N, K) weights towards which the solution is pulled, rows summing to 1.
        strength: Ridge weight, in squared metres of one vertex's mean variation.

    Returns:
        (N, K) weights.
    """
    num_targets, count = support.shape
    weights = np.empty((num_targets, count))
    ones = np.ones(count)
    for start in range(0, num_targets, 1024):  # in blocks, to bound memory
        rows = slice(start, start + 1024)
        predicted = np.einsum('nk,bnkd->bnd', prior[rows], sources[:, support[rows]])
        # Columns relative to the prior's prediction make the problem independent of where the body stands.
        design = sources[:, support[rows]] - predicted[:, :, None]
        residual = targets[:, rows] - predicted
        normal = np.einsum('bnkd,bnld->nkl', design, design) / len(sources) + strength * np.eye(count)
        right = np.einsum('bnkd,bnd->nk', design, residual) / len(sources)
        # Minimise over changes of the weights that sum to 0 (Lagrange multiplier in closed form).
        solution = np.linalg.solve(normal, np.stack([right, np.broadcast_to(ones, right.shape)], axis=2))
        free, along_ones = solution[..., 0], solution[..., 1]
        change = free - along_ones * (free.sum(1) / along_ones.sum(1))[:, None]
        weights[rows] = prior[rows] + change
    return weights


def nearest_support(distances: np.ndarray, required: np.ndarray, count: int) -> np.ndarray:
    """Choose each target's source vertices: the required ones, then the nearest.

    Args:
        distances: (N, V) distance of each target from each source vertex.
        required: (N, R) ids that must be among them.
        count: K, at least R.

    Returns:
        (N, K) ids, the required ones first.
    """
    distances = distances.copy()
    np.put_along_axis(
        distances, required, -1.0 - np.arange(required.shape[1])[::-1].astype(distances.dtype), axis=1
    )
    nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
    order = np.argsort(np.take_along_axis(distances, nearest, axis=1), axis=1, kind='stable')
    return np.take_along_axis(nearest, order, axis=1)
