"""Errors in space and time as metrics of MMPose's evaluation loop; what they are stands in `evaluation`."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpose.registry import METRICS

from meshpose_plugins.evaluation import MeshEvaluation, TemporalEvaluation, load_joint_regressor
from meshpose_plugins.integrations.mmpose.metric_samples import place_in_time, predicted_mesh, true_mesh
from meshpose_plugins.templates import load_template


@METRICS.register_module()
class MeshMetric(BaseMetric):
    """Errors in space of the predicted meshes of a data set.

    ``mpvpe``, ``mpjpe``, ``pve_<part>`` with the roots together and the scale rule, their Procrustes-aligned
    versions ``pa_...``, each in mm; ``pck_150`` and ``auc`` of the joints and their ``pa_...`` versions, in
    %; ``vertex_error_2d`` in % of the height and ``vertex_error_px``. People without a mesh are left out. The
    rules are logged with the numbers.

    Args:
        template: name or path of the template.
        joint_regressor: 'joints' or 'keypoints' of the template, or an .npy file of (J, V), or of (J, N) for
            the full body.
        scale: 'least_squares', or 'none' for models that predict metres.
        coarse_parts: 8 body parts, or else DensePose's 24.
        collect_device: as in mmengine's BaseMetric.
        prefix: put before the names; 'mesh3d' if not given.
    """

    default_prefix = 'mesh3d'

    def __init__(
        self,
        template: str = 'anny',
        joint_regressor: str = 'joints',
        scale: str = 'least_squares',
        coarse_parts: bool = True,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.evaluation = MeshEvaluation(load_template(template), joint_regressor, scale, coarse_parts)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Compute the errors of a batch.

        Args:
            data_batch: ignored.
            data_samples: samples with predictions, as dicts.
        """
        for sample in data_samples:
            predicted = predicted_mesh(sample, self.evaluation.template, 'MeshMetric')
            true = true_mesh(sample)
            errors = {} if true is None else self.evaluation.person(predicted, true[1], predicted, true[0])
            self.results.append(errors)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Average the errors of all people.

        Args:
            results: what :meth:`process` collected, from all processes.

        Returns:
            The errors for which somebody has a mesh.
        """
        metrics = self.evaluation.summarise(results)
        _log_rules(
            'MeshMetric',
            f'{sum(map(bool, results))} of {len(results)} people',
            self.evaluation.rules,
            metrics,
        )
        return metrics


@METRICS.register_module()
class TemporalMetric(BaseMetric):
    """Errors over time of people in sequences of images.

    ``acceleration_error`` in mm/frame^2, ``jitter`` and ``true_jitter`` in mm/frame^3, and with ``fps`` the
    same in m/s^2 and m/s^3. Which sequence, person and frame a sample is:
    :func:`~meshpose_plugins.integrations.mmpose.metric_samples.place_in_time`.

    Args:
        template: name or path of the template.
        points: 'joints' or 'keypoints' of the template, an .npy file as for `MeshMetric`, or 'vertices'.
        scale: 'least_squares' in each frame, or 'none' for models that predict metres.
        fps: frame rate of the sequences, if they have one.
        collect_device: as in mmengine's BaseMetric.
        prefix: put before the names; 'time' if not given.
    """

    default_prefix = 'time'

    def __init__(
        self,
        template: str = 'anny',
        points: str = 'joints',
        scale: str = 'least_squares',
        fps: float | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.template = load_template(template)
        self.evaluation = TemporalEvaluation(scale, fps)
        self._root = load_joint_regressor('joints', self.template)[[self.template.root_joint]]
        self._points = None if points == 'vertices' else load_joint_regressor(points, self.template)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Collect the points of a batch.

        Args:
            data_batch: ignored.
            data_samples: samples with predictions, as dicts.
        """
        for sample in data_samples:
            predicted = predicted_mesh(sample, self.template, 'TemporalMetric')
            true = true_mesh(sample)
            if true is None:
                self.results.append({})
                continue
            key, frame = place_in_time(sample)
            row = dict(key=key, frame=frame)
            for name, mesh in (('predicted', predicted), ('true', true[1])):
                mesh = np.asarray(mesh, np.float64)
                row[name] = mesh if self._points is None else self._points @ mesh
                row[f'{name}_root'] = (self._root @ mesh)[0]
            self.results.append(row)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Put the sequences together and average over their frames.

        Args:
            results: what :meth:`process` collected, from all processes, in any order.

        Returns:
            The errors; none without three frames in a row.
        """
        sequences: dict[tuple, list[dict]] = {}
        for row in results:
            if row:
                sequences.setdefault(row['key'], []).append(row)
        figures = [self._sequence(key, rows) for key, rows in sequences.items()]
        metrics = self.evaluation.summarise(figures)
        count = sum(map(len, sequences.values()))
        _log_rules(
            'TemporalMetric', f'{count} frames in {len(sequences)} sequences', self.evaluation.rules, metrics
        )
        return metrics

    def _sequence(self, key: tuple, rows: list[dict]) -> dict[str, float]:
        """Return the figures of one person over time."""
        rows = sorted(rows, key=lambda row: row['frame'])
        frames = np.array([row['frame'] for row in rows])
        twice = np.flatnonzero(np.diff(frames) == 0)
        if len(twice):
            raise ValueError(
                f'TemporalMetric: sequence {key[0]!r} has frame {frames[twice[0]]} twice: give the people of an '
                "image a 'track_id' each, and sequences that share a folder a 'sequence' "
                '(PackMeshPoseInputs(meta_keys=...) carries both)'
            )
        stacked = (np.stack([row[name] for row in rows]) for name in _SEQUENCE_ARRAYS)
        return self.evaluation.sequence(*stacked, frames=frames)


_SEQUENCE_ARRAYS = ('predicted', 'true', 'predicted_root', 'true_root')


def _log_rules(metric: str, amount: str, rules: dict[str, str], metrics: dict) -> None:
    """Log what was measured and by which rules; a warning if there was nothing."""
    text = '; '.join(f'{name}: {rule}' for name, rule in rules.items())
    if metrics:
        print_log(f'{metric}: {amount}; {text}', logger='current')
    else:
        print_log(
            f'{metric}: nothing to measure in {amount}: check ann_file and mesh_file',
            logger='current',
            level=logging.WARNING,
        )
