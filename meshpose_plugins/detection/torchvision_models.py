"""torchvision's COCO detectors, from weights that are already on this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from meshpose_plugins.detection.base import best_first, register_detector


@register_detector('torchvision')
class TorchvisionDetector:
    """A torchvision COCO detector (Faster R-CNN, RetinaNet, FCOS, SSD, Mask or Keypoint R-CNN).

    Args:
        model: torchvision's builder name, e.g. 'fasterrcnn_resnet50_fpn'; None takes the one whose published
            file name is that of `weights`, or the first one whose file lies in torch's cache.
        weights: the .pth file as published; None looks in torch's cache. Nothing is downloaded.
        device: torch device.
        score_threshold: lowest score. Default 0.5.

    Raises:
        ImportError: if torchvision is missing.
        FileNotFoundError: if the weights are not on this machine, naming the file and where to get it.
        ValueError: if the model is unknown, or the file belongs to another model.
    """

    def __init__(self, model=None, weights=None, device='cpu', score_threshold=None):
        import torch

        name, enum, path = _locate(model, weights)
        builder = _detection().__dict__[name]
        self.model = builder(weights=None, weights_backbone=None, num_classes=len(enum.meta['categories']))
        try:
            self.model.load_state_dict(torch.load(path, map_location='cpu', weights_only=True))
        except (RuntimeError, KeyError, EOFError) as error:
            raise ValueError(
                f'{path}: not the weights of torchvision model {name!r}: {str(error)[:200]}'
            ) from None
        self.model.eval().to(device)
        self.person = enum.meta['categories'].index('person')
        self.device = device
        self.score_threshold = 0.5 if score_threshold is None else score_threshold

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `PersonDetector.detect`."""
        import torch

        tensor = (
            torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float().div(255).to(self.device)
        )
        with torch.no_grad():
            found = self.model([tensor])[0]
        person = found['labels'] == self.person
        return best_first(
            found['boxes'][person].cpu().numpy(), found['scores'][person].cpu().numpy(), self.score_threshold
        )


def _detection():
    try:
        from torchvision.models import detection
    except ImportError:
        raise ImportError(
            '--detector torchvision needs torchvision: pip install torchvision '
            '(of the version that belongs to your torch)'
        ) from None
    return detection


def _published() -> dict:
    """Builder name -> its COCO weights entry, lightest models first."""
    from torchvision.models import get_model_weights, list_models

    entries = {name: get_model_weights(name).DEFAULT for name in list_models(module=_detection())}
    return dict(sorted(entries.items(), key=lambda item: item[1].meta['num_params']))


def _locate(model: str | None, weights: str | None):
    """Builder name, weights entry and existing file for what the user asked for."""
    import torch

    _detection()
    published = _published()
    cache = Path(torch.hub.get_dir()) / 'checkpoints'
    files = {name: Path(entry.url).name for name, entry in published.items()}
    if model is not None and model not in published:
        raise ValueError(f'torchvision detector: expected one of {", ".join(published)}, got {model!r}')
    if weights is not None:
        path = Path(weights)
        if not path.is_file():
            raise FileNotFoundError(f'detector weights {path} do not exist')
        names = [model] if model else [name for name, file in files.items() if file == path.name]
        if not names:
            raise ValueError(
                f'{path}: cannot tell the torchvision model from the file name; '
                f'say it: --detector torchvision:fasterrcnn_resnet50_fpn'
            )
    else:
        names = [name for name in ([model] if model else published) if (cache / files[name]).is_file()]
        if not names:
            name = model or 'fasterrcnn_mobilenet_v3_large_320_fpn'
            raise FileNotFoundError(
                f'no weights for torchvision model {name!r} in {cache}: put {files[name]} there, or '
                f'pass --detector-weights FILE. It is published at {published[name].url}'
            )
        path = cache / files[names[0]]
    return names[0], published[names[0]], path
