"""Evaluation: errors of predicted meshes, and the predictions file that every tool reads."""

from meshpose_plugins.evaluation.mesh_errors import (
    align_similarity,
    mpvpe,
    pa_mpvpe,
    pooled_visibility_auc,
    uv_error,
    vertex_error_2d,
    visibility_auc,
    visibility_classes,
)
from meshpose_plugins.evaluation.predictions import (
    PredictionRecord,
    load_predictions,
    save_predictions,
    validate_predictions,
)

__all__ = [
    'PredictionRecord',
    'align_similarity',
    'load_predictions',
    'mpvpe',
    'pa_mpvpe',
    'pooled_visibility_auc',
    'save_predictions',
    'uv_error',
    'validate_predictions',
    'vertex_error_2d',
    'visibility_auc',
    'visibility_classes',
]
