"""Meshes drawn as DensePose maps of bytes, and maps moved from one box to another."""

from __future__ import annotations

import numpy as np
from numba import njit

from meshpose_plugins.rendering import rasterize
from meshpose_plugins.templates import BodySurface


def map_size(box: np.ndarray) -> tuple[int, int]:
    """Rows and columns of the map of a box x, y, width, height: truncated, at least 1."""
    return max(int(box[3]), 1), max(int(box[2]), 1)


def draw_iuv(
    vertices: np.ndarray,  # (N, 3)
    surface: BodySurface,
    box: np.ndarray,  # (4,)
) -> np.ndarray:
    """Draw a mesh orthographically as the DensePose map of a box.

    Args:
        vertices: x, y in image px, z in any unit away from the camera.
        surface: faces and charts of the mesh's N vertices.
        box: x, y, width, height in image px; the map's pixel (column, row) shows the mesh at x + column,
            y + row.

    Returns:
        (h, w, 3) uint8: I 1 to 24 (0 outside the mesh), U and V times 255, rounded to the nearest.
    """
    box = np.asarray(box, np.float64)
    height, width = map_size(box)
    shifted = np.array(vertices, np.float64)
    shifted[:, :2] -= box[:2]
    raster = rasterize(shifted, surface.faces, height, width)
    iuv = np.zeros((height, width, 3), np.uint8)
    _fill(raster.face_ids, raster.barycentrics, surface.face_parts, surface.face_uv, iuv)
    return iuv


def move_iuv(iuv: np.ndarray, box: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Show the map (h, w, 3) of one box (x, y, width, height in image px) in another; 0 where it ends."""
    height, width = map_size(target)
    moved = np.zeros((height, width, 3), np.uint8)
    rows = np.rint(np.arange(height) + target[1] - box[1]).astype(np.int64)
    columns = np.rint(np.arange(width) + target[0] - box[0]).astype(np.int64)
    row_good = (rows >= 0) & (rows < iuv.shape[0])
    column_good = (columns >= 0) & (columns < iuv.shape[1])
    moved[np.ix_(row_good, column_good)] = iuv[np.ix_(rows[row_good], columns[column_good])]
    return moved


@njit(cache=True, nogil=True)
def _fill(face_ids, barycentrics, face_parts, face_uv, iuv):
    for row in range(face_ids.shape[0]):
        for column in range(face_ids.shape[1]):
            face = face_ids[row, column]
            if face < 0:
                continue
            iuv[row, column, 0] = face_parts[face]
            for channel in range(2):
                value = 0.0
                for corner in range(3):
                    value += barycentrics[row, column, corner] * face_uv[face, corner, channel]
                iuv[row, column, 1 + channel] = np.uint8(min(max(value, 0.0), 1.0) * 255.0 + 0.5)
