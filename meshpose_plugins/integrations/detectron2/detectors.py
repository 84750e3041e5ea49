"""detectron2's detectors behind the `PersonDetector` protocol, from weights already on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import numpy as np
from detectron2.config import get_cfg
from detectron2.engine.defaults import DefaultPredictor

from meshpose_plugins.detection.base import best_first, register_detector

from .config import add_meshpose_config

DEFAULT_MODEL = 'COCO-Detection/faster_rcnn_R_50_FPN_3x.yaml'
DEFAULT_FILE = 'detectron2/COCO-Detection/faster_rcnn_R_50_FPN_3x/137849458/model_final_280758.pkl'


class PredictorDetector:
    """Any detector of detectron2 as a `PersonDetector`.

    Args:
        predictor: called with an (H, W, 3) uint8 BGR image, as `DefaultPredictor` is, returns {'instances':
            ...}.
        person_class: number of the class of people; 0 in COCO's 80 classes.
        score_threshold: lowest score.
    """

    def __init__(self, predictor: Callable, person_class: int = 0, score_threshold: float = 0.5) -> None:
        self.predictor = predictor
        self.person_class = person_class
        self.score_threshold = score_threshold

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `PersonDetector.detect`."""
        found = self.predictor(np.ascontiguousarray(image[..., ::-1]))['instances'].to('cpu')
        person = found.pred_classes.numpy() == self.person_class
        return best_first(
            found.pred_boxes.tensor.numpy()[person], found.scores.numpy()[person], self.score_threshold
        )


@register_detector('detectron2')
class Detectron2Detector(PredictorDetector):
    """A detector of detectron2 with its YAML config; of a MeshPose R-CNN the boxes.

    Args:
        model: config file, or a name inside detectron2's model zoo; None is Faster R-CNN R50-FPN.
        weights: .pkl or .pth file; None looks for the default model's in detectron2's cache.
            Nothing is downloaded.
        device: torch device.
        score_threshold: lowest score. Default 0.5.

    Raises:
        FileNotFoundError: if config or weights are not on this machine, naming the file and where to get it.
    """

    def __init__(self, model=None, weights=None, device='cpu', score_threshold=None):
        config = get_cfg()
        add_meshpose_config(config)
        config.merge_from_file(str(_find_config(model or DEFAULT_MODEL)))
        config.MODEL.MESHPOSE_ON = False
        config.MODEL.WEIGHTS = str(_find_weights(weights, model))
        config.MODEL.DEVICE = device
        threshold = 0.5 if score_threshold is None else score_threshold
        config.MODEL.ROI_HEADS.SCORE_THRESH_TEST = config.MODEL.RETINANET.SCORE_THRESH_TEST = threshold
        super().__init__(DefaultPredictor(config), config.MODEL.ROI_MESHPOSE_HEAD.PERSON_CLASS, threshold)


def _find_config(model: str) -> Path:
    """An existing config file; detectron2.model_zoo is not imported, it needs the retired pkg_resources."""
    import detectron2

    for path in (Path(model), Path(detectron2.__file__).parent / 'model_zoo' / 'configs' / model):
        if path.is_file():
            return path
    raise FileNotFoundError(f'detector config {model}: neither a file nor in {path.parent}')


def _find_weights(weights: str | None, model: str | None) -> Path:
    """An existing weights file."""
    from iopath.common.file_io import get_cache_dir

    if weights is not None:
        if not Path(weights).is_file():
            raise FileNotFoundError(f'detector weights {weights} do not exist')
        return Path(weights)
    if model not in (None, DEFAULT_MODEL):
        raise FileNotFoundError(f'detector {model}: say where its weights are: --detector-weights FILE')
    path = Path(get_cache_dir()) / DEFAULT_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f'no weights for detector {DEFAULT_MODEL}: put {path.name} into {path.parent}, or pass '
            f'--detector-weights FILE. It is published at https://dl.fbaipublicfiles.com/{DEFAULT_FILE}'
        )
    return path
