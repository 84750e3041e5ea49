"""MMDetection's detectors behind the `PersonDetector` protocol, from weights already on this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mmengine.registry import DefaultScope

from meshpose_plugins.detection.base import best_first, non_maximum_suppression, register_detector

DEFAULT_MODEL = 'rtmdet/rtmdet_tiny_8xb32-300e_coco.py'


@register_detector('mmdet')
class MMDetDetector:
    """A COCO detector of MMDetection 3.

    Models that call mmcv's compiled operators (most of them, for suppression) need the full mmcv; under
    mmcv-lite those without them work (DETR and its kin).

    Args:
        model: config file, or a config's path inside MMDetection's own configs; None is RTMDet-tiny.
        weights: checkpoint file; None looks for the published one in torch's cache. Nothing is downloaded.
        device: torch device.
        score_threshold: lowest score. Default 0.3, as in MMPose's demos.

    Raises:
        ImportError: if MMDetection is missing.
        FileNotFoundError: if config or weights are not on this machine, naming the file and where to get it.
        ValueError: if the detector does not know a class 'person'.
    """

    def __init__(self, model=None, weights=None, device='cpu', score_threshold=None):
        from meshpose_plugins.integrations.mmpose import compat

        compat.apply()
        try:
            from mmdet.apis import init_detector
        except ImportError as error:
            raise ImportError(
                f'--detector mmdet needs MMDetection: pip install --no-deps mmdet ({error})'
            ) from None
        config, url = _find_config(model or DEFAULT_MODEL)
        checkpoint = _find_checkpoint(weights, config, url)
        with DefaultScope.overwrite_default_scope('mmdet'):  # MMPose finds its own again afterwards
            self.model = init_detector(str(config), str(checkpoint), device=device)
        classes = [str(name).lower() for name in self.model.dataset_meta['classes']]
        if 'person' not in classes:
            raise ValueError(f'detector {config}: no class "person" among {classes[:10]}...')
        self.person = classes.index('person')
        self.score_threshold = 0.3 if score_threshold is None else score_threshold

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `PersonDetector.detect`."""
        from mmdet.apis import inference_detector

        with DefaultScope.overwrite_default_scope('mmdet'):
            found = inference_detector(self.model, np.ascontiguousarray(image[..., ::-1])).pred_instances
        found = found.cpu().numpy()
        person = found.labels == self.person
        boxes, scores = best_first(found.bboxes[person], found.scores[person], self.score_threshold)
        kept = non_maximum_suppression(boxes, scores, iou=0.7)
        return boxes[kept], scores[kept]


def _find_config(model: str) -> tuple[Path, str | None]:
    """An existing config file, and the address its weights are published at (None if unknown)."""
    from mmengine.utils import get_installed_path

    if Path(model).is_file():
        return Path(model), None
    root = Path(get_installed_path('mmdet')) / '.mim'
    path = root / 'configs' / model
    if not path.is_file():
        raise FileNotFoundError(f'detector config {model}: neither a file nor in {root / "configs"}')
    return path, _published_address(path)


def _published_address(config: Path) -> str | None:
    """Where MMDetection's metafile next to a config says the weights are."""
    import yaml

    metafile = config.with_name('metafile.yml')
    if metafile.is_file():
        for entry in yaml.safe_load(metafile.read_text(encoding='utf-8')).get('Models', []):
            if Path(entry.get('Config', '')).name == config.name:
                return entry.get('Weights')
    return None


def _find_checkpoint(weights: str | None, config: Path, url: str | None) -> Path:
    """An existing checkpoint file."""
    import torch

    if weights is not None:
        if not Path(weights).is_file():
            raise FileNotFoundError(f'detector weights {weights} do not exist')
        return Path(weights)
    if url is None:
        raise FileNotFoundError(f'detector {config}: say where its weights are: --detector-weights FILE')
    path = Path(torch.hub.get_dir()) / 'checkpoints' / Path(url).name
    if not path.is_file():
        raise FileNotFoundError(
            f'no weights for detector {config.name} in {path.parent}: put {path.name} there, or pass '
            f'--detector-weights FILE. It is published at {url}'
        )
    return path
