"""DensePose evaluation: GPS, GPSm and IoU, AP and AR as the public evaluation has them, for any body surface."""

from meshpose_plugins.evaluation.densepose.evaluator import PROTOCOLS, DensePoseResults, Evaluator, PersonScore
from meshpose_plugins.evaluation.densepose.iuv import draw_iuv
from meshpose_plugins.evaluation.densepose.surface import EvaluationSurface, load_surface

__all__ = [
    'PROTOCOLS',
    'DensePoseResults',
    'EvaluationSurface',
    'Evaluator',
    'PersonScore',
    'draw_iuv',
    'load_surface',
]
