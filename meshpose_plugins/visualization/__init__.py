"""Pictures, mesh files and the one-file viewer: what people look at."""

from .atlas import atlas_uv
from .export import save_person
from .frames import meters_per_pixel, to_y_up
from .mesh_files import write_glb, write_obj, write_ply
from .panels import draw_boxes, draw_panels, overlay_people
from .part_errors import draw_part_errors
from .report import ReportCurves, ReportInstance, write_report
from .training import draw_truth_and_prediction
from .viewer import write_viewer

__all__ = [
    "ReportCurves",
    "ReportInstance",
    "atlas_uv",
    "draw_boxes",
    "draw_panels",
    "draw_part_errors",
    "draw_truth_and_prediction",
    "meters_per_pixel",
    "overlay_people",
    "save_person",
    "to_y_up",
    "write_glb",
    "write_obj",
    "write_ply",
    "write_report",
    "write_viewer",
]
