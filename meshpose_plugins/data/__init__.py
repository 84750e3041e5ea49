"""Annotation records, DensePose-COCO files and synthetic scenes."""

from meshpose_plugins.data.densepose import (
    DensePoseCoco,
    PersonRecord,
    parse_surface_points,
)
from meshpose_plugins.data.records import SurfacePoints

__all__ = ['DensePoseCoco', 'PersonRecord', 'SurfacePoints', 'parse_surface_points']
