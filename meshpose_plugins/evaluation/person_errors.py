"""What is measured of one person's mesh by a training's validation, and the means over people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from meshpose_plugins.evaluation import mesh_errors

if TYPE_CHECKING:
    from meshpose_plugins.templates import MeshTemplate

#: Errors whose mean over people is reported; definitions in :mod:`meshpose_plugins.evaluation.mesh_errors`.
MEAN_ERRORS = ('vertex_error_2d', 'pa_mpvpe', 'mpvpe', 'uv_error')


def person_mesh_errors(
    predicted: np.ndarray,
    scores: np.ndarray,
    true_image: np.ndarray,
    true_camera: np.ndarray,
    visibility: np.ndarray,
    image_size: tuple[int, int],
    template: MeshTemplate,
) -> dict:
    """Errors of one predicted mesh.

    Args:
        predicted: (V, 3) vertices in image px.
        scores: (V,) predicted visibilities.
        true_image: (V, 3) true vertices in image px.
        true_camera: (V, 3) true vertices in metres.
        visibility: (V,) true visibilities.
        image_size: width and height, px.
        template: of all of them.

    Returns:
        ``vertex_error_2d`` in percent, ``pa_mpvpe`` and ``mpvpe`` in mm, and ``visibility``: the scores of the
        vertices that are seen and of those outside the image.
    """
    root_weights = template.joint_regressor[template.root_joint]
    seen, outside = mesh_errors.visibility_classes(true_image, visibility, *image_size)
    return dict(
        vertex_error_2d=float(mesh_errors.vertex_error_2d(predicted, true_image)),
        pa_mpvpe=float(mesh_errors.pa_mpvpe(predicted, true_camera)),
        mpvpe=float(mesh_errors.mpvpe(predicted, true_camera, root_weights)),
        visibility=(scores[seen], scores[outside]),
    )


def mean_errors(people: Sequence[dict]) -> dict[str, float]:
    """Means over people of :data:`MEAN_ERRORS`, and ``visibility_auc`` over the scores of all of them.

    Args:
        people: their errors as :func:`person_mesh_errors` gives them, with ``uv_error`` where there are points;
            what is missing or NaN is left out.

    Returns:
        the errors for which somebody has a value.
    """
    means = {}
    for name in MEAN_ERRORS:
        values = np.array([errors.get(name, np.nan) for errors in people], np.float64)
        if np.isfinite(values).any():
            means[name] = float(np.nanmean(values))
    auc = mesh_errors.pooled_visibility_auc([e['visibility'] for e in people if 'visibility' in e])
    return {**means, 'visibility_auc': auc} if np.isfinite(auc) else means
