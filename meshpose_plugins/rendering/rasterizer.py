"""Z-buffer rasterisation of triangle meshes in image pixels: face id, barycentrics and depth per pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .checks import as_faces, as_vertices, check_backend, load_kernels

_FRAGMENTS_PER_CHUNK = 1 << 21


@dataclass(frozen=True)
class Raster:
    """What each pixel of a picture sees of a mesh.

    Attributes:
        face_ids: (H, W) int32, the nearest face at the pixel's centre, -1 where there is none.
        barycentrics: (H, W, 3) float32, weights of that face's three vertices; 0 where there is none.
        depth: (H, W) float32, z of the surface; the background depth (infinity by default) where there is
            none.
    """

    face_ids: np.ndarray
    barycentrics: np.ndarray
    depth: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool, True where a face is drawn."""
        return self.face_ids >= 0

    @property
    def height(self) -> int:
        return self.face_ids.shape[0]

    @property
    def width(self) -> int:
        return self.face_ids.shape[1]


def rasterize(
    xyz: np.ndarray,  # (N, 3)
    faces: np.ndarray,  # (M, 3)
    height: int,
    width: int,
    backend: str = "numba",
    background_depth: float = float("inf"),
) -> Raster:
    """Draws a triangle mesh with a z-buffer, sampled at pixel centres (integer coordinates).

    A pixel whose centre lies in a triangle or on its border belongs to it; the smallest z wins, equal z the
    smaller face id. Both windings are drawn. Faces without area or with a non-finite vertex are skipped.
    Depth and barycentrics are linear in the image, as after a (scaled) orthographic projection; within a face
    of a body mesh a few metres away the difference from perspective interpolation is far below a pixel.

    Coordinates are rounded to float32 and evaluated in float64: differences are then exact, and because
    rounding is monotone an edge test never has the wrong sign, so neighbouring faces leave no gaps.

    Args:
        xyz: (N, 3) x (right), y (down) in pixels, z (away from the camera) in any unit.
        faces: (M, 3) integer vertex ids; M may be 0.
        height: rows of the picture, at least 1.
        width: columns of the picture, at least 1.
        backend: 'numba' (compiled loop) or 'numpy' (reference). The results are identical bit for bit.
        background_depth: depth written where no face is drawn; it does not hide faces.

    Returns:
        Raster with face ids, barycentrics and depth.

    Raises:
        ValueError: wrong shapes, vertex ids outside the mesh, a size below 1 or an unknown backend.
        ImportError: backend 'numba' without numba installed.

    Example:
        >>> triangle = np.array([[0., 0., 5.], [4., 0., 5.], [0., 4., 5.]])
        >>> rasterize(triangle, np.array([[0, 1, 2]]), 4, 4, backend='numpy').mask.sum()
        13
    """
    check_backend(backend)
    if int(height) != height or int(width) != width or height < 1 or width < 1:
        raise ValueError(f"height and width must be positive integers, got {height} x {width}")
    height, width = int(height), int(width)
    xyz = as_vertices(xyz)
    faces = as_faces(faces, len(xyz))
    face_ids = np.full((height, width), -1, dtype=np.int32)
    barycentrics = np.zeros((height, width, 3), dtype=np.float32)
    depth = np.full((height, width), np.inf, dtype=np.float32)
    draw = load_kernels().rasterize if backend == "numba" else _rasterize_numpy
    draw(xyz, faces, face_ids, barycentrics, depth)
    if background_depth != np.inf:
        depth[face_ids < 0] = background_depth
    return Raster(face_ids, barycentrics, depth)


def interpolate(
    raster: Raster,
    faces: np.ndarray,  # (M, 3)
    attributes: np.ndarray,  # (N, C)
    background: float = 0.0,
) -> np.ndarray:
    """Interpolates vertex attributes over the picture.

    Args:
        raster: result of :func:`rasterize` for the same faces.
        faces: (M, 3) vertex ids.
        attributes: (N, C) values per vertex.
        background: value where no face is drawn.

    Returns:
        (H, W, C) float32.

    Raises:
        ValueError: wrong shapes, or vertex ids outside the attributes.
    """
    attributes = np.asarray(attributes, dtype=np.float32)
    if attributes.ndim != 2:
        raise ValueError(f"attributes must have shape (N, C), got {attributes.shape}")
    faces = as_faces(faces, len(attributes))
    rows, columns, ids = drawn_pixels(raster, len(faces))
    corners = attributes[faces[ids]]  # (P, 3, C)
    weights = raster.barycentrics[rows, columns]
    result = np.full((raster.height, raster.width, attributes.shape[1]), background, dtype=np.float32)
    result[rows, columns] = np.einsum("pk,pkc->pc", weights, corners)
    return result


def render_iuv(
    raster: Raster,
    face_parts: np.ndarray,  # (M,)
    face_uv: np.ndarray,  # (M, 3, 2)
) -> np.ndarray:
    """Draws DensePose coordinates: part index I and chart coordinates U, V.

    Args:
        raster: result of :func:`rasterize` for the faces that the two arrays describe.
        face_parts: (M,) part of each face, 1 to 24.
        face_uv: (M, 3, 2) U, V in [0, 1] of each face's corners.

    Returns:
        (H, W, 3) float32: I, U, V; zero where no face is drawn.

    Raises:
        ValueError: wrong shapes, or fewer faces than the raster names.
    """
    face_parts, face_uv = np.asarray(face_parts), np.asarray(face_uv, dtype=np.float32)
    if face_parts.ndim != 1 or face_uv.shape != (len(face_parts), 3, 2):
        raise ValueError(
            f"face_parts must be (M,) and face_uv (M, 3, 2), got {face_parts.shape} and {face_uv.shape}"
        )
    rows, columns, ids = drawn_pixels(raster, len(face_parts))
    result = np.zeros((raster.height, raster.width, 3), dtype=np.float32)
    result[rows, columns, 0] = face_parts[ids]
    uv = np.einsum("pk,pkc->pc", raster.barycentrics[rows, columns], face_uv[ids])
    result[rows, columns, 1:] = np.clip(uv, 0.0, 1.0)
    return result


def drawn_pixels(raster: Raster, num_faces: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and face ids (P,) of the drawn pixels; ValueError for ids from ``num_faces`` on."""
    rows, columns = np.nonzero(raster.face_ids >= 0)
    ids = raster.face_ids[rows, columns]
    if ids.size and int(ids.max()) >= num_faces:
        raise ValueError(f"the raster names face {int(ids.max())}, but only {num_faces} faces were given")
    return rows, columns, ids


def _edge(ax, ay, bx, by, px, py):
    return (bx - ax) * (py - ay) - (by - ay) * (px - ax)


def _rasterize_numpy(xyz, faces, face_ids, barycentrics, depth) -> None:
    """Reference: lists every pixel of every face's bounding box, then keeps the nearest per pixel."""
    height, width = depth.shape
    corners = xyz[faces].astype(np.float64)  # (M, 3 corners, 3 coordinates)
    with np.errstate(invalid="ignore", over="ignore"):
        low, high = corners.min(axis=1), corners.max(axis=1)
        area = _edge(*corners[:, 0, :2].T, *corners[:, 1, :2].T, *corners[:, 2, :2].T)
        drawn = np.isfinite(corners).all(axis=(1, 2)) & (area != 0)
        drawn &= (high[:, 0] >= 0) & (low[:, 0] <= width - 1) & (high[:, 1] >= 0) & (low[:, 1] <= height - 1)
    ids = np.nonzero(drawn)[0]
    limit = np.array([width - 1.0, height - 1.0])
    first = np.ceil(np.maximum(low[ids, :2], 0.0)).astype(np.int64)
    last = np.floor(np.minimum(high[ids, :2], limit)).astype(np.int64)
    sizes = np.maximum(last - first + 1, 0)
    counts = sizes[:, 0] * sizes[:, 1]
    ends = np.cumsum(counts)
    start = 0
    while start < len(ids):
        base = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, base + _FRAGMENTS_PER_CHUNK, side="right")), start + 1)
        part = slice(start, stop)
        _draw_fragments(
            corners,
            ids[part],
            np.sign(area[ids[part]]),
            first[part],
            sizes[part],
            counts[part],
            face_ids,
            barycentrics,
            depth,
        )
        start = stop


def _draw_fragments(corners, ids, signs, first, sizes, counts, face_ids, barycentrics, depth) -> None:
    owner = np.repeat(np.arange(len(ids)), counts)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    column = first[owner, 0] + offset % sizes[owner, 0]
    row = first[owner, 1] + offset // sizes[owner, 0]
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners[ids[owner]].transpose(1, 2, 0)
    px, py, sign = column.astype(np.float64), row.astype(np.float64), signs[owner]
    w0 = sign * _edge(bx, by, cx, cy, px, py)
    w1 = sign * _edge(cx, cy, ax, ay, px, py)
    w2 = sign * _edge(ax, ay, bx, by, px, py)
    total = w0 + w1 + w2
    inside = (w0 >= 0) & (w1 >= 0) & (w2 >= 0) & (total > 0)
    total = np.where(inside, total, 1.0)
    l0, l1, l2 = w0 / total, w1 / total, w2 / total
    with np.errstate(over="ignore", invalid="ignore"):
        z = (l0 * az + l1 * bz + l2 * cz).astype(np.float32)
    kept = np.nonzero(inside & (z < depth[row, column]))[0]
    # Stable sort by pixel, then depth: fragments come in the order of the faces, so of equal depths the
    # smaller face id stays.
    pixel = row[kept] * depth.shape[1] + column[kept]
    kept = kept[np.lexsort((z[kept], pixel))]
    pixel = row[kept] * depth.shape[1] + column[kept]
    kept = kept[np.diff(pixel, prepend=-1) != 0]
    r, c = row[kept], column[kept]
    depth[r, c] = z[kept]
    face_ids[r, c] = ids[owner[kept]]
    barycentrics[r, c] = np.stack([l0[kept], l1[kept], l2[kept]], axis=1)
