"""DensePose scores as a metric of MMPose's evaluation loop; definitions: `evaluation.densepose`."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpose.registry import METRICS

from meshpose_plugins.evaluation.densepose import PROTOCOLS, Evaluator, check_protocols, load_surface
from meshpose_plugins.integrations.mmpose.metric_samples import predicted_mesh, prediction_record
from meshpose_plugins.templates import load_template


@METRICS.register_module()
class DensePoseMetric(BaseMetric):
    """AP and AR of GPS, GPSm and IoU of a data set with DensePose annotations, in percent.

    ``<protocol>/<gps, gpsm or iou>_<AP, AP50, AP75, APm, APl, AR>``, each protocol by its name. Nothing is
    computed before all people of all processes are together, as the people of an image may lie in several
    processes. How the numbers were made, and what was wrong with the input, is logged.

    Args:
        ann_file: the annotations of the data set.
        protocols: some of 'P1', 'P2', 'P3'. P1 and P2 need a data set of ground-truth boxes.
        template: name or path of the template.
        kappa: 'parts', or one number of metres for all parts.
        surface: .npz of an evaluation surface; by default the template's body with its own geodesics.
        geodesics_folder: where these are kept; the user's cache folder when not given.
        constant_score: replace all scores by 1.
        strict: problems in the input are errors.
        collect_device: as in mmengine's BaseMetric.
        prefix: put before the names; 'densepose' if not given.
    """

    default_prefix = 'densepose'
    STATISTICS = ('AP', 'AP50', 'AP75', 'APm', 'APl', 'AR')

    def __init__(
        self,
        ann_file: str,
        protocols: Sequence[str] = ('P1',),
        template: str = 'anny',
        kappa: str | float = 'parts',
        surface: str | None = None,
        geodesics_folder: str | None = None,
        constant_score: bool = False,
        strict: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.template = load_template(template)
        self.protocols, self.constant_score = check_protocols(protocols), constant_score
        self._evaluator_arguments = dict(
            annotations=ann_file,
            surface=load_surface(surface) if surface else None,
            kappa=kappa,
            template=self.template,
            strict=strict,
            geodesics_folder=geodesics_folder,
        )

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Collect the predictions of a batch.

        Args:
            data_batch: ignored.
            data_samples: samples with predictions, as dicts.
        """
        for sample in data_samples:
            vertices = predicted_mesh(sample, self.template, 'DensePoseMetric')
            self.results.append(prediction_record(sample, self.template, vertices))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Score the predictions of all processes.

        Args:
            results: the records that :meth:`process` collected, from all processes, in any order.

        Returns:
            The scores in percent; without those of areas in which nobody is.
        """
        # The processes take turns in the data set: its order decides between equal scores.
        results = sorted(results, key=lambda record: (str(type(record.instance_id)), record.instance_id))
        evaluator = Evaluator(**self._evaluator_arguments)
        found = evaluator.evaluate(results, self.protocols, self.constant_score)
        metrics = {}
        for name, scores in found.items():
            print_log(
                f'DensePoseMetric {name} ({PROTOCOLS[name]}): kappa {scores.kappa}; surface '
                f'{scores.surface}; geodesics {scores.geodesics}; {len(scores.people)} people, '
                f'{scores.images} images',
                logger='current',
            )
            for mode, statistics in scores.metrics.items():
                for statistic in self.STATISTICS:
                    if statistics[statistic] >= 0:
                        metrics[f'{name}/{mode}_{statistic}'] = 100 * statistics[statistic]
        if len(evaluator.problems):
            text = '\n'.join(['DensePoseMetric, problems in the input:', *evaluator.problems.lines(5)])
            print_log(text, logger='current', level=logging.WARNING)
        return metrics
