"""What the metrics of MMPose's evaluation loop read from data samples."""

from __future__ import annotations

import re
from pathlib import PurePath

import numpy as np

from meshpose_plugins.evaluation.predictions import PredictionRecord
from meshpose_plugins.templates import MeshTemplate


def as_array(value) -> np.ndarray:
    """Return a tensor or array as an array in main memory."""
    return value.detach().cpu().numpy() if hasattr(value, 'detach') else np.asarray(value)


def predicted_mesh(sample: dict, template: MeshTemplate, metric: str) -> np.ndarray:
    """Return the predicted vertices (V, 3) of a person in image px.

    Args:
        sample: a data sample with predictions, as a dict.
        template: the template that they must be of.
        metric: name of the metric, for messages.

    Raises:
        ValueError: there are none, they are of another template, or not finite.
    """
    if 'pred_instances' not in sample or 'vertices' not in sample['pred_instances']:
        raise ValueError(
            f'{metric} needs pred_instances.vertices, which MeshPoseEstimator predicts: set '
            "model=dict(type='MeshPoseEstimator', ...) in the config"
        )
    predicted = as_array(sample['pred_instances']['vertices'])[0]
    if predicted.shape != (template.num_vertices, 3):
        raise ValueError(
            f"the model predicts vertices {predicted.shape} for {sample.get('img_path')}, template "
            f"'{template.name}' has {template.num_vertices}: give the head and "
            f'{metric}(template=...) the same template'
        )
    if not np.isfinite(predicted).all():
        raise ValueError(
            f"the model predicts vertices that are not finite for {sample.get('img_path')}: the training "
            'has diverged; lower the learning rate and go on from an earlier checkpoint'
        )
    return predicted


def prediction_record(sample: dict, template: MeshTemplate, vertices: np.ndarray) -> PredictionRecord:
    """Return a person's vertices (V, 3), box, score and visibility as a record of a predictions file."""
    instances = sample['pred_instances']
    return PredictionRecord(
        sample['img_id'],
        sample['id'],
        as_array(instances['bboxes'])[0],
        float(as_array(instances['bbox_scores'])[0]) if 'bbox_scores' in instances else 1.0,
        template.name,
        vertices,
        np.clip(as_array(instances['vertex_visibility'])[0], 0, 1),
    )


def true_mesh(sample: dict) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a person's true vertices in image px and in metres, (V, 3) each; None where there is no mesh."""
    labels = sample.get('gt_instance_labels', {})
    if 'vertices_valid' not in labels or not as_array(labels['vertices_valid']).all():
        return None
    return as_array(sample['gt_instances']['vertices'])[0], as_array(labels['vertices_camera'])[0]


def place_in_time(sample: dict) -> tuple[tuple, int]:
    """Return to which person of which sequence a sample belongs, and its frame number.

    The sample's ``sequence``, ``track_id`` and ``frame_id`` where the data set gives them (and the config's
    ``PackMeshPoseInputs(meta_keys=...)`` keeps them). Otherwise an image's folder is its sequence, and the
    number at the end of its name its frame; without such a number the image id is.

    Raises:
        ValueError: neither gives a frame number.
    """
    path = PurePath(str(sample.get('img_path', '')))
    sequence = sample['sequence'] if 'sequence' in sample else str(path.parent)
    frame = sample.get('frame_id')
    if frame is None:
        number = re.search(r'(\d+)$', path.stem)
        frame = number.group(1) if number else sample.get('img_id')
    try:
        return (sequence, sample.get('track_id')), int(frame)
    except (TypeError, ValueError):
        raise ValueError(
            f"no frame number for {path}: give samples a 'frame_id', or images names that end in a number"
        ) from None
