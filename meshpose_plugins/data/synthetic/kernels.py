"""Compiled inner loops of the generator."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def vertex_normals(xyz: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return (N, 3) float32 unit normals: the area-weighted means of the faces around each vertex."""
    normals = np.zeros((len(xyz), 3), np.float32)
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy, uz = xyz[b, 0] - xyz[a, 0], xyz[b, 1] - xyz[a, 1], xyz[b, 2] - xyz[a, 2]
        vx, vy, vz = xyz[c, 0] - xyz[a, 0], xyz[c, 1] - xyz[a, 1], xyz[c, 2] - xyz[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for v in (a, b, c):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(len(xyz)):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
        if length > 0:
            for k in range(3):
                normals[v, k] /= length
    return normals


@njit(cache=True)
def gather_pixels(face_ids: np.ndarray, barycentrics: np.ndarray, faces: np.ndarray,
                  attributes: np.ndarray) -> np.ndarray:
    """Interpolate (N, C) vertex attributes at P pixels given by face ids (P,) and barycentrics (P, 3)."""
    channels = attributes.shape[1]
    out = np.empty((len(face_ids), channels), np.float32)
    for p in range(len(face_ids)):
        f = face_ids[p]
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        wa, wb, wc = barycentrics[p, 0], barycentrics[p, 1], barycentrics[p, 2]
        for k in range(channels):
            out[p, k] = wa * attributes[a, k] + wb * attributes[b, k] + wc * attributes[c, k]
    return out


@njit(cache=True)
def sample_texture(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Sample a (h, w, 3) uint8 texture bilinearly at uv (P, 2) texels, mirrored at its borders."""
    height, width = texture.shape[0], texture.shape[1]
    out = np.empty((len(uv), 3), np.float32)
    for p in range(len(uv)):
        x = abs(uv[p, 0]) % (2 * (width - 1))
        y = abs(uv[p, 1]) % (2 * (height - 1))
        x = min(x, 2 * (width - 1) - x)
        y = min(y, 2 * (height - 1) - y)
        x0, y0 = min(int(x), width - 2), min(int(y), height - 2)
        fx, fy = x - x0, y - y0
        for k in range(3):
            top = texture[y0, x0, k] * (1 - fx) + texture[y0, x0 + 1, k] * fx
            bottom = texture[y0 + 1, x0, k] * (1 - fx) + texture[y0 + 1, x0 + 1, k] * fx
            out[p, k] = top * (1 - fy) + bottom * fy
    return out
