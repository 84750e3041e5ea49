"""Lambert shading of rasterised meshes, with smooth vertex normals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .checks import as_faces, as_vertices, check_backend, load_kernels
from .rasterizer import Raster, drawn_pixels

DEFAULT_LIGHT = (-0.4, -0.7, -1.0)


def vertex_normals(xyz: np.ndarray, faces: np.ndarray, backend: str = "numba") -> np.ndarray:
    """Computes area-weighted vertex normals.

    Args:
        xyz: (N, 3) vertex positions, any frame.
        faces: (M, 3) vertex ids. Their winding decides on which side the normals lie.
        backend: 'numba' or 'numpy' (reference); the results are identical.

    Returns:
        (N, 3) float32 unit vectors; zero for vertices without a face of finite, non-zero area.

    Raises:
        ValueError: wrong shapes, vertex ids outside the mesh or an unknown backend.
    """
    check_backend(backend)
    xyz = as_vertices(xyz)
    faces = as_faces(faces, len(xyz))
    sums = np.zeros((len(xyz), 3), dtype=np.float64)
    if backend == "numba":
        load_kernels().accumulate_normals(xyz, faces, sums)
    else:
        _accumulate_normals_numpy(xyz, faces, sums)
    lengths = np.sqrt((sums * sums).sum(axis=1, keepdims=True))
    return (sums / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


def shade(
    raster: Raster,
    xyz: np.ndarray,  # (N, 3)
    faces: np.ndarray,  # (M, 3)
    colors: np.ndarray | Sequence[float],
    light: Sequence[float] = DEFAULT_LIGHT,
    ambient: float | Sequence[float] = 0.35,
    diffuse: float | Sequence[float] = 0.65,
    per_face: bool = False,
    backend: str = "numba",
) -> np.ndarray:
    """Colours a rasterised mesh: colour * (ambient + diffuse * max(0, normal . light)), normals interpolated.

    Normals are turned towards the camera, so the winding of the faces (and a mirrored mesh) makes no
    difference.

    Args:
        raster: result of :func:`rasterize` for the same vertices and faces.
        xyz: (N, 3) vertices as rasterised; z should be in pixels too, or the normals are flattened or
            stretched.
        faces: (M, 3) vertex ids.
        colors: RGB, one colour (3,), or one per vertex (N, 3), or with ``per_face`` one per face (M, 3);
            floats in [0, 1] or uint8.
        light: direction *towards* the light: x right, y down, z away from the camera; any length but zero.
        ambient: light that reaches every point, one number or one per channel.
        diffuse: strength of the directed light, one number or one per channel.
        per_face: whether ``colors`` holds one colour per face.
        backend: 'numba' or 'numpy' (reference).

    Returns:
        (H, W, 3) float32 RGB in [0, 1]; zero where no face is drawn.

    Raises:
        ValueError: wrong shapes, a zero or non-finite light, or a raster that names faces that do not exist.
    """
    normals = vertex_normals(xyz, faces, backend)
    faces = as_faces(faces, len(normals))
    colors = _as_colors(colors, len(faces) if per_face else len(normals), "face" if per_face else "vertex")
    direction = np.asarray(light, dtype=np.float64)
    length = np.linalg.norm(direction)
    if direction.shape != (3,) or not np.isfinite(length) or length == 0:
        raise ValueError(f"light must be three finite numbers, not all zero, got {light!r}")
    direction = (direction / length).astype(np.float32)
    ambient, diffuse = _as_channels(ambient, "ambient"), _as_channels(diffuse, "diffuse")
    rows, columns, ids = drawn_pixels(raster, len(faces))
    picture = np.zeros((raster.height, raster.width, 3), dtype=np.float32)
    if backend == "numba":
        load_kernels().shade(
            raster.face_ids,
            raster.barycentrics,
            faces,
            normals,
            colors,
            per_face,
            direction,
            ambient,
            diffuse,
            picture,
        )
        return picture
    weights = raster.barycentrics[rows, columns]
    normal = np.einsum("pk,pkc->pc", weights, normals[faces[ids]])
    lengths = np.linalg.norm(normal, axis=1) * np.where(normal[:, 2] > 0, -1, 1)
    lambert = np.maximum(normal @ direction / np.where(lengths != 0, lengths, np.inf), 0)
    color = colors[ids] if per_face else np.einsum("pk,pkc->pc", weights, colors[faces[ids]])
    picture[rows, columns] = np.clip(color * (ambient + diffuse * lambert[:, None]), 0, 1)
    return picture


def _accumulate_normals_numpy(xyz: np.ndarray, faces: np.ndarray, sums: np.ndarray) -> None:
    corners = xyz[faces].astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        (ux, uy, uz), (vx, vy, vz) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
        cross = np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], axis=1)
    finite = np.isfinite(cross).all(axis=1)
    np.add.at(sums, faces[finite].reshape(-1), np.repeat(cross[finite], 3, axis=0))


def _as_colors(colors, count: int, what: str) -> np.ndarray:
    array = np.asarray(colors)
    scaled = array.astype(np.float32) / np.float32(255 if array.dtype == np.uint8 else 1)
    if scaled.shape == (3,):
        scaled = np.broadcast_to(scaled, (count, 3))
    if scaled.shape != (count, 3):
        raise ValueError(f"colors must have shape (3,) or one RGB per {what} ({count}, 3), got {array.shape}")
    return np.ascontiguousarray(scaled)


def _as_channels(value, name: str) -> np.ndarray:
    array = np.asarray(value, dtype=np.float32)
    if array.shape not in ((), (3,)):
        raise ValueError(f"{name} must be one number or three (R, G, B), got shape {array.shape}")
    return np.ascontiguousarray(np.broadcast_to(array, (3,)))
