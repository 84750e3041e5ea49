"""Input checks shared by the rendering functions; the compiled loops themselves check no bounds."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np

BACKENDS = ("numba", "numpy")


def as_vertices(xyz: np.ndarray) -> np.ndarray:
    """Returns ``xyz`` as a contiguous float32 (N, 3) array; ValueError for another shape.

    Values too large for float32 become infinite, so their faces are skipped like those of NaN vertices.
    """
    array = np.asarray(xyz)
    if array.ndim != 2 or array.shape[1] != 3:
        raise ValueError(f"xyz must have shape (N, 3), got {array.shape}")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def as_faces(faces: np.ndarray, num_vertices: int) -> np.ndarray:
    """Returns ``faces`` as contiguous int64 (M, 3); ValueError for another shape or ids outside the mesh."""
    array = np.asarray(faces)
    if array.size == 0:
        return np.zeros((0, 3), dtype=np.int64)
    if array.ndim != 2 or array.shape[1] != 3:
        raise ValueError(f"faces must have shape (M, 3), got {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"faces must hold integers, got {array.dtype}")
    array = np.ascontiguousarray(array, dtype=np.int64)
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= num_vertices:
        raise ValueError(
            f"faces name vertices {low}..{high}, but xyz has {num_vertices} vertices (0..{num_vertices - 1})"
        )
    return array


def check_backend(backend: str) -> None:
    """Raises ValueError unless ``backend`` is 'numba' or 'numpy'."""
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {BACKENDS}, got {backend!r}")


def load_kernels() -> ModuleType:
    """Imports the compiled loops on first use, so that importing the package does not import numba."""
    try:
        return importlib.import_module("meshpose_plugins.rendering.kernels")
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        raise ImportError(
            "backend='numba' needs numba: pip install numba, or pass backend='numpy'"
        ) from error
