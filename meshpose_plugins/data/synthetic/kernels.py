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
def move(points: np.ndarray, matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return ``matrix @ point + shift`` of (N, 3) float32 points, computed in float64."""
    out = np.empty((len(points), 3), np.float32)
    for n in range(len(points)):
        x, y, z = np.float64(points[n, 0]), np.float64(points[n, 1]), np.float64(points[n, 2])
        for k in range(3):
            out[n, k] = matrix[k, 0] * x + matrix[k, 1] * y + matrix[k, 2] * z + shift[k]
    return out


@njit(cache=True)
def project(points: np.ndarray, focal: float, center: np.ndarray) -> np.ndarray:
    """Return x, y in px and z as it is of (N, 3) float32 points in front of a perspective camera."""
    out = np.empty((len(points), 3), np.float32)
    for n in range(len(points)):
        scale = focal / np.float64(points[n, 2])
        out[n, 0] = points[n, 0] * scale + center[0]
        out[n, 1] = points[n, 1] * scale + center[1]
        out[n, 2] = points[n, 2]
    return out


@njit(cache=True)
def bounds(points: np.ndarray) -> np.ndarray:
    """Return the (2, 3) float64 smallest and largest coordinates of (N, 3) points."""
    out = np.empty((2, 3))
    out[0], out[1] = np.inf, -np.inf
    for n in range(len(points)):
        for k in range(3):
            value = np.float64(points[n, k])
            out[0, k] = min(out[0, k], value)
            out[1, k] = max(out[1, k], value)
    return out


@njit(cache=True)
def shade(colors: np.ndarray, normals: np.ndarray, shine: np.ndarray, sky: np.ndarray, ground: np.ndarray,
          lamps: np.ndarray, strengths: np.ndarray, highlight: float) -> np.ndarray:
    """Return lit colours (P, 3) float32; see :class:`meshpose_plugins.data.synthetic.lighting.Light`."""
    out = np.empty((len(colors), 3), np.float32)
    halfway = np.empty_like(lamps)
    for i in range(len(lamps)):
        z = lamps[i, 2] - 1  # Between the lamp and the viewer, who is at -z.
        length = max(np.sqrt(lamps[i, 0] ** 2 + lamps[i, 1] ** 2 + z * z), 1e-6)
        halfway[i, 0], halfway[i, 1], halfway[i, 2] = lamps[i, 0] / length, lamps[i, 1] / length, z / length
    for p in range(len(colors)):
        nx, ny, nz = normals[p, 0], normals[p, 1], normals[p, 2]
        upward = 0.5 - 0.5 * ny
        for k in range(3):
            out[p, k] = colors[p, k] * (ground[k] + (sky[k] - ground[k]) * upward)
        for i in range(len(lamps)):
            facing = max(nx * lamps[i, 0] + ny * lamps[i, 1] + nz * lamps[i, 2], 0.0)
            glance = max(nx * halfway[i, 0] + ny * halfway[i, 1] + nz * halfway[i, 2], 0.0)
            for _ in range(4):  # To the 16th power: a broad highlight.
                glance *= glance
            for k in range(3):
                out[p, k] += strengths[i, k] * (colors[p, k] * facing + highlight * shine[p] * glance)
    return out


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
