"""Evaluation: errors of predicted meshes in space and time, and the predictions file of every tool."""

from meshpose_plugins.evaluation.densepose_results import (
    DensePoseResult,
    encode_iuv,
    load_densepose_results,
    quantise_iuv,
)
from meshpose_plugins.evaluation.mesh_errors import (
    SCALE_RULES,
    align_similarity,
    mpvpe,
    pa_mpvpe,
    pooled_visibility_auc,
    root_errors,
    similarity_errors,
    uv_error,
    vertex_error_2d,
    vertex_error_px,
    visibility_auc,
    visibility_classes,
)
from meshpose_plugins.evaluation.mesh_evaluation import MeshEvaluation, TemporalEvaluation, evaluate_meshes
from meshpose_plugins.evaluation.position_errors import (
    auc_3d,
    load_joint_regressor,
    part_errors,
    part_shares,
    pck_3d,
    pck_curve,
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
from meshpose_plugins.evaluation.temporal_errors import acceleration_error, jitter, per_second

__all__ = [
    'DensePoseResult',
    'MeshEvaluation',
    'PredictionRecord',
    'PredictionsError',
    'SCALE_RULES',
    'TemporalEvaluation',
    'acceleration_error',
    'align_similarity',
    'auc_3d',
    'body_vertices',
    'encode_iuv',
    'evaluate_meshes',
    'image_vertices',
    'jitter',
    'load_densepose_results',
    'load_joint_regressor',
    'load_predictions',
    'mpvpe',
    'pa_mpvpe',
    'part_errors',
    'part_shares',
    'pck_3d',
    'pck_curve',
    'per_second',
    'pooled_visibility_auc',
    'quantise_iuv',
    'read_predictions',
    'root_errors',
    'save_predictions',
    'similarity_errors',
    'template_vertices',
    'uv_error',
    'validate_predictions',
    'vertex_error_2d',
    'vertex_error_px',
    'visibility_auc',
    'visibility_classes',
]
