"""From images to prediction records with a detectron2 model."""

from __future__ import annotations

from typing import List, Sequence

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import transforms as T
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances

from meshpose_plugins.deploy.demo import ImagePeople
from meshpose_plugins.deploy.head_weights import read_state_dict
from meshpose_plugins.deploy.weights import load_strictly
from meshpose_plugins.evaluation.predictions import PredictionRecord

from .evaluator import prediction_records
from .tta import MeshPoseRCNNWithTTA


class MeshPoseDetectron2Predictor:
    """A MeshPose R-CNN as the predictor of the demo; all people of a batch of images go through it together.

    Args:
        cfg: config with MODEL.WEIGHTS, a checkpoint of this model. With TEST.AUG.ENABLED images without given
            boxes are predicted with test-time augmentation.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it does not fit the config.
    """

    def __init__(self, cfg: CfgNode) -> None:
        self.model = build_model(cfg).eval()
        load_strictly(self.model, read_state_dict(cfg.MODEL.WEIGHTS), cfg.MODEL.WEIGHTS)
        self.template = self.model.roi_heads.meshpose_predictor.template
        self.person_class = cfg.MODEL.ROI_MESHPOSE_HEAD.PERSON_CLASS
        self._detect = MeshPoseRCNNWithTTA(cfg, self.model) if cfg.TEST.AUG.ENABLED else self.model
        self._resize = T.ResizeShortestEdge([cfg.INPUT.MIN_SIZE_TEST] * 2, cfg.INPUT.MAX_SIZE_TEST)
        self._bgr = cfg.INPUT.FORMAT == "BGR"

    @torch.no_grad()
    def predict_images(self, items: Sequence[ImagePeople]) -> List[List[PredictionRecord]]:
        """Records of several images; where an item has no boxes the model finds the people itself."""
        inputs = [self._input(item.image) for item in items]
        found: List = [None] * len(items)
        for given in (False, True):
            index = [k for k, item in enumerate(items) if (item.boxes is not None) == given]
            batch = [inputs[k] for k in index]
            if batch and given:
                outputs = self.model.inference(batch, [self._given(items[k], inputs[k]) for k in index])
            else:
                outputs = self._detect(batch) if batch else []
            for k, output in zip(index, outputs):
                found[k] = output["instances"]
        return [
            prediction_records(instances, item.name, self.template) for instances, item in zip(found, items)
        ]

    def _input(self, image: np.ndarray) -> dict:
        """A model input of an (H, W, 3) uint8 RGB image."""
        pixels = np.ascontiguousarray(image[..., ::-1]) if self._bgr else image
        pixels = self._resize.get_transform(pixels).apply_image(pixels)
        return dict(
            image=torch.as_tensor(np.ascontiguousarray(pixels.transpose(2, 0, 1))),
            height=image.shape[0],
            width=image.shape[1],
        )

    def _given(self, item: ImagePeople, model_input: dict) -> Instances:
        """Given boxes as detections in the resized image."""
        height, width = model_input["image"].shape[1:]
        scale = torch.tensor([width / item.image.shape[1], height / item.image.shape[0]] * 2)
        boxes = Boxes(torch.as_tensor(np.asarray(item.boxes, np.float32)).reshape(-1, 4) * scale)
        return Instances(
            (height, width),
            pred_boxes=boxes,
            scores=torch.as_tensor(np.asarray(item.scores, np.float32)),
            pred_classes=torch.full((len(boxes),), self.person_class, dtype=torch.int64),
        )
