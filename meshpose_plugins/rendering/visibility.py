"""Which vertices of a mesh a camera sees."""

from __future__ import annotations

import numpy as np

from .checks import as_faces, as_vertices, check_backend, load_kernels
from .frame import inside_frame
from .rasterizer import Raster


def vertex_visibility(
    raster: Raster,
    xyz: np.ndarray,  # (N, 3)
    faces: np.ndarray,  # (M, 3)
    vertex_ids: np.ndarray | None = None,  # (K,)
    tolerance: float = 1e-3,
    backend: str = "numba",
) -> np.ndarray:
    """Tells which vertices lie inside the picture and are not hidden by the mesh itself.

    A vertex is hidden when a face that does not contain it covers its exact position from nearer by more than
    ``tolerance``. That is what a z-buffer test approximates, without its errors at silhouettes and in small
    pictures, where a pixel is larger than the faces. Several meshes that hide each other are given as one
    list of vertices and faces.

    Args:
        raster: result of :func:`rasterize`; gives the size of the picture.
        xyz: (N, 3) x, y in pixels, z away from the camera.
        faces: (M, 3) vertex ids; faces without area or with non-finite vertices hide nothing.
        vertex_ids: (K,) vertices that are asked about; None asks about all.
        tolerance: how much nearer a face must be, in units of z (keeps coincident vertices from hiding each
            other).
        backend: 'numba' or 'numpy' (reference: every vertex against every face); the results are identical.

    Returns:
        (N,) or (K,) bool. Non-finite vertices are not visible.

    Raises:
        ValueError: wrong shapes, vertex ids outside the mesh, a negative tolerance or an unknown backend.
    """
    check_backend(backend)
    if not 0 <= tolerance < np.inf:
        raise ValueError(f"tolerance must be a finite number >= 0, got {tolerance}")
    xyz = as_vertices(xyz)
    faces = as_faces(faces, len(xyz))
    ids = _as_vertex_ids(vertex_ids, len(xyz))
    asked = xyz[ids].astype(np.float64)
    visible = inside_frame(asked, raster.width, raster.height) & np.isfinite(asked[:, 2])
    if backend == "numba":
        load_kernels().mark_occluded(xyz, faces, ids, raster.height, raster.width, float(tolerance), visible)
    else:
        _mark_occluded_numpy(xyz, faces, ids, float(tolerance), visible)
    return visible


def _as_vertex_ids(vertex_ids, num_vertices: int) -> np.ndarray:
    if vertex_ids is None:
        return np.arange(num_vertices, dtype=np.int64)
    ids = np.asarray(vertex_ids)
    if ids.ndim != 1 or not (np.issubdtype(ids.dtype, np.integer) or ids.size == 0):
        raise ValueError(f"vertex_ids must be (K,) integers, got shape {ids.shape} of {ids.dtype}")
    if ids.size and (ids.min() < 0 or ids.max() >= num_vertices):
        raise ValueError(f"vertex_ids must lie in 0..{num_vertices - 1}, got {ids.min()}..{ids.max()}")
    return np.ascontiguousarray(ids, dtype=np.int64)


def _mark_occluded_numpy(xyz, faces, ids, tolerance: float, visible: np.ndarray) -> None:
    corners = xyz[faces].astype(np.float64)
    finite = np.isfinite(corners).all(axis=(1, 2))
    corners, faces = corners[finite], faces[finite]
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners.transpose(1, 2, 0)
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    sign = np.sign(area)
    nearest = corners[:, :, 2].min(axis=1)
    for k in np.nonzero(visible)[0]:
        px, py, pz = xyz[ids[k]].astype(np.float64)
        w0 = sign * ((cx - bx) * (py - by) - (cy - by) * (px - bx))
        w1 = sign * ((ax - cx) * (py - cy) - (ay - cy) * (px - cx))
        w2 = sign * ((bx - ax) * (py - ay) - (by - ay) * (px - ax))
        total = w0 + w1 + w2
        covers = (area != 0) & (nearest < pz - tolerance) & (faces != ids[k]).all(axis=1)
        covers &= (w0 >= 0) & (w1 >= 0) & (w2 >= 0) & (total > 0)
        depth = (w0 * az + w1 * bz + w2 * cz)[covers] / total[covers]
        visible[k] = not (depth < pz - tolerance).any()
