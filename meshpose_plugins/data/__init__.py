"""Annotation records, DensePose-COCO files and synthetic scenes."""

from meshpose_plugins.data.densepose import DensePoseCoco, parse_surface_points
from meshpose_plugins.data.person import PersonRecord
from meshpose_plugins.data.records import SurfacePoints
from meshpose_plugins.data.report import ReadReport

__all__ = ['DensePoseCoco', 'PersonRecord', 'ReadReport', 'SurfacePoints', 'parse_surface_points']
