"""The errors of predicted meshes as a metric of MMPose's evaluation loop."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpose.registry import METRICS

from meshpose_plugins.evaluation import mesh_errors
from meshpose_plugins.evaluation.person_errors import mean_errors, person_mesh_errors
from meshpose_plugins.evaluation.predictions import save_predictions
from meshpose_plugins.integrations.mmpose.metric_samples import (
    as_array,
    predicted_mesh,
    prediction_record,
    true_mesh,
)
from meshpose_plugins.templates import load_template


@METRICS.register_module()
class MeshPoseMetric(BaseMetric):
    """Mean errors of the predicted meshes of a data set.

    * ``vertex_error_2d``: 2-D vertex error, percent of the true mesh's height in the image
    * ``pa_mpvpe``: per-vertex position error after Procrustes alignment, mm
    * ``mpvpe``: per-vertex position error, root joints together, least-squares scale, mm
    * ``visibility_auc``: ROC area of the visibility, vertices seen against vertices outside the image
    * ``uv_error``: distance of annotated points from their predicted places, percent of the box's height

    Needs samples of ``MeshPoseTransform`` and ``PackMeshPoseInputs`` and predictions ``vertices`` (1, V, 3)
    in image px and ``vertex_visibility`` (1, V). People without the labels of an error are left out of its
    mean; an error for which nobody has labels is not reported. Definitions:
    :mod:`meshpose_plugins.evaluation.mesh_errors`.

    Args:
        template: name or path of the template.
        outfile_prefix: also write the predictions, to ``<outfile_prefix>.npz`` (or to this name if it ends in
            .npz or .json).
        collect_device: as in mmengine's BaseMetric.
        prefix: put before the names; 'mesh' if not given.
    """

    default_prefix = 'mesh'

    def __init__(
        self,
        template: str = 'anny',
        outfile_prefix: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.template = load_template(template)
        self.outfile = None
        if outfile_prefix:
            path = Path(outfile_prefix)
            self.outfile = path if path.suffix in ('.npz', '.json') else path.with_name(path.name + '.npz')

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Compute the errors of a batch.

        Args:
            data_batch: ignored.
            data_samples: samples with predictions, as dicts.
        """
        self.results += [self._errors(sample) for sample in data_samples]

    def _errors(self, sample: dict) -> dict:
        """Return the errors of one person (NaN without labels), and its visibility scores."""
        predicted = predicted_mesh(sample, self.template, 'MeshPoseMetric')
        visibility = as_array(sample['pred_instances']['vertex_visibility'])[0]
        result = dict(uv_error=_uv_error(sample, predicted))
        true = true_mesh(sample)
        if true is not None:
            true_visibility = as_array(sample['gt_instance_labels']['vertex_visibility'])[0]
            height, width = sample['ori_shape'][:2]
            result.update(
                person_mesh_errors(predicted, visibility, *true, true_visibility, (width, height), self.template)
            )
        if self.outfile is not None:
            result['record'] = prediction_record(sample, self.template, predicted)
        return result

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Average the errors of all people.

        Args:
            results: what :meth:`process` collected, from all processes.

        Returns:
            The metrics for which somebody has labels.
        """
        metrics = mean_errors(results)
        if not metrics:
            print_log(
                'MeshPoseMetric: nobody in the data set has points or a mesh, nothing to measure: '
                'check ann_file and mesh_file',
                logger='current',
                level=logging.WARNING,
            )
        if self.outfile is not None:
            path = save_predictions(self.outfile, [result['record'] for result in results], self.template)
            print_log(f'predictions of {len(results)} people: {path}', logger='current')
        return metrics


def _uv_error(sample: dict, predicted: np.ndarray) -> float:
    """Return the UV error of one person in percent of the box's height, NaN without points."""
    instances = sample['gt_instances']
    if 'points_xy' not in instances:
        return float('nan')
    _, y1, _, y2 = as_array(instances['bboxes'])[0]
    xy, ids, barycentrics, valid = (
        as_array(instances[name])[0]
        for name in ('points_xy', 'point_vertex_ids', 'point_barycentrics', 'point_valid')
    )
    return mesh_errors.uv_error(predicted, xy, ids, barycentrics, y2 - y1, valid)
