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
from meshpose_plugins.evaluation.densepose_results import (
    DensePoseResult,
    encode_iuv,
    load_densepose_results,
    quantise_iuv,
)
from meshpose_plugins.evaluation.prediction_record import body_vertices, image_vertices, template_vertices
from meshpose_plugins.evaluation.predictions import (
    PredictionRecord,
    PredictionsError,
    load_predictions,
    read_predictions,
    save_predictions,
    validate_predictions,
)

__all__ = [
    'DensePoseResult',
    'PredictionRecord',
    'PredictionsError',
    'align_similarity',
    'body_vertices',
    'encode_iuv',
    'image_vertices',
    'load_densepose_results',
    'load_predictions',
    'mpvpe',
    'pa_mpvpe',
    'pooled_visibility_auc',
    'quantise_iuv',
    'read_predictions',
    'save_predictions',
    'template_vertices',
    'uv_error',
    'validate_predictions',
    'vertex_error_2d',
    'visibility_auc',
    'visibility_classes',
]
