"""detectron2's trainer with the data and the evaluators of MeshPose."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog, build_detection_test_loader, build_detection_train_loader
from detectron2.engine import DefaultTrainer
from detectron2.evaluation import COCOEvaluator, DatasetEvaluators
from detectron2.solver.build import get_default_optimizer_params, maybe_add_gradient_clipping

from .catalog import EVALUATOR_TYPE, check_templates, register_from_config
from .evaluator import MeshPoseEvaluator, PersonBoxEvaluator
from .mapper import MeshPoseDatasetMapper
from .tta import MeshPoseRCNNWithTTA


class MeshPoseTrainer(DefaultTrainer):
    """``DefaultTrainer`` on data of MeshPose; config and data must have one template before it starts."""

    def __init__(self, cfg: CfgNode) -> None:
        register_from_config(cfg)
        check_templates(cfg)
        super().__init__(cfg)

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: torch.nn.Module) -> torch.optim.Optimizer:
        """detectron2's SGD, or AdamW with the same parameter groups and gradient clipping."""
        if cfg.SOLVER.OPTIMIZER == "SGD":
            return super().build_optimizer(cfg, model)
        if cfg.SOLVER.OPTIMIZER != "AdamW":
            raise ValueError(f"SOLVER.OPTIMIZER={cfg.SOLVER.OPTIMIZER!r}: expected SGD or AdamW")
        groups = get_default_optimizer_params(
            model,
            base_lr=cfg.SOLVER.BASE_LR,
            weight_decay=cfg.SOLVER.WEIGHT_DECAY,
            weight_decay_norm=cfg.SOLVER.WEIGHT_DECAY_NORM,
            bias_lr_factor=cfg.SOLVER.BIAS_LR_FACTOR,
            weight_decay_bias=cfg.SOLVER.WEIGHT_DECAY_BIAS,
        )
        return maybe_add_gradient_clipping(cfg, torch.optim.AdamW)(groups, lr=cfg.SOLVER.BASE_LR)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode):
        return build_detection_train_loader(cfg, mapper=MeshPoseDatasetMapper(cfg, is_train=True))

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str):
        return build_detection_test_loader(
            cfg, dataset_name, mapper=MeshPoseDatasetMapper(cfg, is_train=False)
        )

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str, output_dir: str | None = None):
        """Boxes (masks, keypoints) by COCO's protocol, and meshes; files in OUTPUT_DIR/inference/<name>."""
        folder = Path(output_dir or Path(cfg.OUTPUT_DIR) / "inference") / re.sub(
            r"\W+", "_", dataset_name
        ).strip("_")
        if MetadataCatalog.get(dataset_name).get("evaluator_type", None) != EVALUATOR_TYPE:
            return DatasetEvaluators([COCOEvaluator(dataset_name, output_dir=None)])
        evaluators = [PersonBoxEvaluator(dataset_name, output_dir=str(folder))]
        if cfg.MODEL.MESHPOSE_ON:
            evaluators.append(MeshPoseEvaluator(dataset_name, str(folder), densepose=cfg.TEST.DENSEPOSE))
        return DatasetEvaluators(evaluators)

    @classmethod
    def test(cls, cfg: CfgNode, model, evaluators=None):
        """Measure a model on DATASETS.TEST, which are registered first if they have to be."""
        register_from_config(cfg)
        check_templates(cfg)
        return super().test(cfg, model, evaluators)

    @classmethod
    def test_with_TTA(cls, cfg: CfgNode, model) -> OrderedDict:
        """Measure with test-time augmentation, see TEST.AUG; names end in '_TTA'."""
        logging.getLogger("detectron2.trainer").info("Running inference with test-time augmentation ...")
        register_from_config(cfg)
        evaluators = [
            cls.build_evaluator(cfg, name, str(Path(cfg.OUTPUT_DIR) / "inference_TTA"))
            for name in cfg.DATASETS.TEST
        ]
        results = cls.test(cfg, MeshPoseRCNNWithTTA(cfg, model), evaluators)
        return OrderedDict((f"{name}_TTA", value) for name, value in results.items())
