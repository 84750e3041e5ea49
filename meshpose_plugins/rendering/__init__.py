"""Z-buffer rasteriser, shading, vertex visibility and overlays for triangle meshes in image pixels (NumPy, optional numba)."""

from .rasterizer import Raster, interpolate, rasterize, render_iuv

__all__ = ["Raster", "interpolate", "rasterize", "render_iuv"]
