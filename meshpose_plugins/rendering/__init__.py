"""Z-buffer rasteriser, shading, vertex visibility and overlays for triangle meshes in image pixels."""

from .frame import inside_frame
from .overlay import overlay_mesh
from .rasterizer import Raster, interpolate, rasterize, render_iuv
from .shading import shade, vertex_normals
from .visibility import vertex_visibility

__all__ = [
    "Raster",
    "inside_frame",
    "interpolate",
    "overlay_mesh",
    "rasterize",
    "render_iuv",
    "shade",
    "vertex_normals",
    "vertex_visibility",
]
