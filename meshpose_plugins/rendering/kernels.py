"""Compiled loops (numba, one thread, GIL released, no fast-math) behind the rendering functions.

Each mirrors a NumPy reference operation by operation. Arguments are trusted: shapes and ids are checked by the callers.
"""

from __future__ import annotations

import math

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True, error_model="numpy")


@_jit
def _edge(ax, ay, bx, by, px, py):
    return (bx - ax) * (py - ay) - (by - ay) * (px - ax)


@_jit
def rasterize(xyz, faces, face_ids, barycentrics, depth):
    """Draws ``faces`` into the three buffers; ``depth`` starts at infinity, ``face_ids`` at -1."""
    height, width = depth.shape
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = np.float64(xyz[a, 0]), np.float64(xyz[a, 1]), np.float64(xyz[a, 2])
        bx, by, bz = np.float64(xyz[b, 0]), np.float64(xyz[b, 1]), np.float64(xyz[b, 2])
        cx, cy, cz = np.float64(xyz[c, 0]), np.float64(xyz[c, 1]), np.float64(xyz[c, 2])
        if not math.isfinite(ax + ay + az + bx + by + bz + cx + cy + cz):
            continue
        left, right = min(ax, bx, cx), max(ax, bx, cx)
        top, bottom = min(ay, by, cy), max(ay, by, cy)
        if right < 0.0 or left > width - 1 or bottom < 0.0 or top > height - 1:
            continue
        area = _edge(ax, ay, bx, by, cx, cy)
        if area == 0.0:
            continue
        sign = 1.0 if area > 0.0 else -1.0
        first_column, last_column = int(math.ceil(max(left, 0.0))), int(math.floor(min(right, width - 1.0)))
        first_row, last_row = int(math.ceil(max(top, 0.0))), int(math.floor(min(bottom, height - 1.0)))
        for row in range(first_row, last_row + 1):
            py = np.float64(row)
            for column in range(first_column, last_column + 1):
                px = np.float64(column)
                w0 = sign * _edge(bx, by, cx, cy, px, py)
                w1 = sign * _edge(cx, cy, ax, ay, px, py)
                w2 = sign * _edge(ax, ay, bx, by, px, py)
                if w0 < 0.0 or w1 < 0.0 or w2 < 0.0:
                    continue
                total = w0 + w1 + w2
                if not total > 0.0:
                    continue
                l0, l1, l2 = w0 / total, w1 / total, w2 / total
                z = np.float32(l0 * az + l1 * bz + l2 * cz)
                if z < depth[row, column]:
                    depth[row, column] = z
                    face_ids[row, column] = f
                    barycentrics[row, column, 0] = np.float32(l0)
                    barycentrics[row, column, 1] = np.float32(l1)
                    barycentrics[row, column, 2] = np.float32(l2)
