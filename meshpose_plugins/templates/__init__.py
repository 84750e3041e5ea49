"""The low-poly surface that a MeshPose network predicts."""

from .files import builtin_templates, load_template, save_template
from .template import BodySurface, MeshTemplate

__all__ = ['BodySurface', 'MeshTemplate', 'builtin_templates', 'load_template', 'save_template']
