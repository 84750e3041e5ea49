"""DensePose evaluation: GPS, GPSm, IoU, AP and AR as the public evaluation has them, for any body surface."""

from meshpose_plugins.evaluation.densepose.evaluator import Evaluator
from meshpose_plugins.evaluation.densepose.iuv import draw_iuv
from meshpose_plugins.evaluation.densepose.results import (
    PROTOCOLS,
    DensePoseResults,
    PersonScore,
    check_protocols,
)
from meshpose_plugins.evaluation.densepose.smpl_files import smpl_surface
from meshpose_plugins.evaluation.densepose.surface import EvaluationSurface, load_surface
from meshpose_plugins.evaluation.densepose.template_surfaces import template_surface

__all__ = [
    'PROTOCOLS',
    'DensePoseResults',
    'EvaluationSurface',
    'Evaluator',
    'PersonScore',
    'check_protocols',
    'draw_iuv',
    'load_surface',
    'smpl_surface',
    'template_surface',
]
