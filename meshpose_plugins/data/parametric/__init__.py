"""Data sets of body model parameters (SMPL, SMPL-X), and their conversion to meshes of a template."""

from meshpose_plugins.data.parametric.convert import convert_people
from meshpose_plugins.data.parametric.people import ParametricPeople, concatenate
from meshpose_plugins.data.parametric.readers import FORMATS, read_people

__all__ = ['FORMATS', 'ParametricPeople', 'concatenate', 'convert_people', 'read_people']
