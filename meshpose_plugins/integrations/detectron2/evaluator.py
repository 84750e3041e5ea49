"""Evaluators of detectron2 for meshes and for the boxes of people; nothing that they write is pickled."""

from __future__ import annotations

import itertools
import json
import logging
from collections import OrderedDict
from pathlib import Path
from typing import List, Optional

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import COCOEvaluator, DatasetEvaluator
from detectron2.structures import Instances
from detectron2.utils import comm

from meshpose_plugins.data.coco import read_json
from meshpose_plugins.evaluation.densepose import Evaluator
from meshpose_plugins.evaluation.detected_people import detected_people_errors
from meshpose_plugins.evaluation.predictions import PredictionRecord, save_predictions
from meshpose_plugins.templates import MeshTemplate, load_template
from meshpose_plugins.files import write_atomically

from .catalog import read_people
from .meta_arch import resize_meshes


def prediction_records(instances: Instances, image_id, template: MeshTemplate) -> List[PredictionRecord]:
    """The people of one image as prediction records, best first as detectron2 sorts them.

    Args:
        instances: with pred_boxes, scores and pred_mesh; instances of other classes than people are left out.
        image_id: of the records.
        template: of the meshes.

    Raises:
        ValueError: a person's vertices are not finite.
    """
    instances = resize_meshes(instances.to("cpu"))
    mesh = instances.pred_mesh
    # Others than people have NaN and a visibility of 0; what a diverged network says is NaN throughout.
    is_person = ~(mesh.vertices.isnan().flatten(1).all(1) & (mesh.visibility == 0).all(1))
    if not mesh.vertices[is_person].isfinite().all():
        raise ValueError(
            f"the model predicts vertices that are not finite for image {image_id!r}: the training has "
            "diverged; lower SOLVER.BASE_LR and go on from an earlier checkpoint"
        )
    return [
        PredictionRecord(
            image_id,
            number,
            instances.pred_boxes.tensor[k].numpy(),
            float(instances.scores[k]),
            template.name,
            mesh.vertices[k].float().numpy(),
            mesh.visibility[k].float().numpy().clip(0, 1),
        )
        for number, k in enumerate(is_person.nonzero()[:, 0].tolist())
    ]


class MeshPoseEvaluator(DatasetEvaluator):
    """Write the predictions file of a data set, and measure its meshes.

    Results are under 'mesh': errors of the people who are found, see
    :func:`meshpose_plugins.evaluation.detected_people.detected_people_errors`. With ``densepose`` those of
    the DensePose evaluation are under 'densepose': AP and AR of GPS, GPSm and IoU for detected boxes and
    their scores (protocol P3), in percent.

    Args:
        dataset_name: registered with ``register_densepose_coco``.
        output_dir: for ``predictions.npz``; None writes nothing.
        distributed: collect the predictions of all processes.
        densepose: run the DensePose evaluation too, where people have points.
    """

    def __init__(
        self,
        dataset_name: str,
        output_dir: Optional[str] = None,
        distributed: bool = True,
        densepose: bool = True,
    ) -> None:
        self._dataset_name, self._metadata = dataset_name, MetadataCatalog.get(dataset_name)
        if self._metadata.get("meshpose_template", None) is None:
            raise ValueError(
                f"MeshPoseEvaluator: '{dataset_name}' was not registered with register_densepose_coco"
            )
        self._template = load_template(self._metadata.meshpose_template)
        self._output_dir = output_dir and Path(output_dir)
        self._distributed = distributed
        self._densepose = densepose
        self._logger = logging.getLogger(__name__)
        self.reset()

    def reset(self) -> None:
        self._records: List[PredictionRecord] = []

    def process(self, inputs: list, outputs: list) -> None:
        """Keep the people of a batch; ``inputs`` have ``image_id``, ``outputs`` have ``instances``."""
        for image, output in zip(inputs, outputs):
            if not output["instances"].has("pred_mesh"):
                raise ValueError(
                    "the model predicts no 'pred_mesh': set MODEL.ROI_HEADS.NAME to MeshPoseROIHeads or "
                    "MeshPoseCascadeROIHeads, and MODEL.MESHPOSE_ON to True"
                )
            self._records += prediction_records(output["instances"], image["image_id"], self._template)

    def evaluate(self) -> dict:
        """Write the file and return {'mesh': {metric: number}, ...} in the main process, {} in others."""
        records = self._records
        if self._distributed:
            comm.synchronize()
            records = list(itertools.chain(*comm.gather(records, dst=0)))
            if not comm.is_main_process():
                return {}
        if self._output_dir is not None:
            path = save_predictions(self._output_dir / "predictions.npz", records, self._template)
            self._logger.info("predictions of %d people: %s", len(records), path)
        people = read_people(self._dataset_name, self._logger)
        results = OrderedDict(mesh=detected_people_errors(records, people, self._template))
        if self._densepose and any(person.points is not None for person in people):
            scores = self._densepose_scores(records)
            if scores:
                results["densepose"] = scores
        for task, metrics in results.items():
            text = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
            self._logger.info("%s: %s", task, text)
        return results

    def _densepose_scores(self, records: List[PredictionRecord]) -> dict:
        """Scores of the common DensePose evaluation by '<mode>_<statistic>'; {} if it lacks the surface."""
        annotations = self._metadata.json_file
        surface = self._metadata.meshpose_options.get("surface")
        if surface is not None:  # for files that do not name one, as in training
            content = read_json(annotations)
            annotations = {**content, "info": {"densepose_surface": surface, **(content.get("info") or {})}}
        try:
            evaluator = Evaluator(annotations, template=self._template)
        except ValueError as error:  # e.g. charts of another body than the template's
            self._logger.warning("no DensePose scores: %s", error)
            return {}
        scores = evaluator.evaluate(records, ["P3"])["P3"]
        self._logger.info(
            "DensePose P3: kappa %s; surface %s; geodesics %s", scores.kappa, scores.surface, scores.geodesics
        )
        for line in evaluator.problems.lines(5) if len(evaluator.problems) else ():
            self._logger.warning("DensePose: %s", line)
        return {
            f"{mode}_{name}": 100 * statistics[name]
            for mode, statistics in scores.metrics.items()
            for name in ("AP", "AP50", "AP75", "APm", "APl", "AR")
            if statistics[name] >= 0
        }


class PersonBoxEvaluator(COCOEvaluator):
    """``COCOEvaluator`` of a data set of people, which may be part of a file with other categories.

    It writes ``coco_instances_results.json``, whose boxes MMPose's ``MeshPoseDataset`` reads as
    ``bbox_file``, and leaves out the pickled file of the stock evaluator.

    Args:
        dataset_name: registered with ``register_densepose_coco``.
        tasks: any of 'bbox', 'segm', 'keypoints'; None: those that are predicted.
        output_dir: for the file; None writes nothing.
        **kwargs: as in ``COCOEvaluator``.
    """

    def __init__(self, dataset_name: str, tasks=None, output_dir: Optional[str] = None, **kwargs) -> None:
        super().__init__(dataset_name, tasks, output_dir=None, **kwargs)
        self._json_dir = output_dir
        if self._metadata.get("thing_dataset_id_to_contiguous_id", None) is None:
            DatasetCatalog.get(dataset_name)  # reading the data set finds the category's id
        content = self._coco_api.dataset
        person = set(self._metadata.thing_dataset_id_to_contiguous_id)
        content["categories"] = [{"id": identity, "name": "person"} for identity in sorted(person)]
        annotations = [_coco_annotation(a, min(person)) for a in content.get("annotations", [])]
        content["annotations"] = [a for a in annotations if a["category_id"] in person]
        self._coco_api.createIndex()

    def _eval_predictions(self, predictions: list, img_ids=None) -> None:
        super()._eval_predictions(predictions, img_ids)
        if self._json_dir is not None:  # after the class numbers have become the file's category ids
            results = list(itertools.chain(*[prediction["instances"] for prediction in predictions]))
            path = write_atomically(
                Path(self._json_dir) / "coco_instances_results.json", json.dumps(results).encode()
            )
            self._logger.info("boxes: %s", path)


def _coco_annotation(annotation: dict, category: int) -> dict:
    """An annotation with what pycocotools needs and a DensePose file may leave out."""
    width, height = np.asarray(annotation["bbox"], float)[2:]
    return {"iscrowd": 0, "area": float(width * height), "category_id": category, **annotation}
