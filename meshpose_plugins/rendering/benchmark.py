"""How fast drawing is: compiled loops and NumPy references on the same mesh, in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .rasterizer import Raster, rasterize
from .shading import shade, vertex_normals
from .visibility import vertex_visibility


@dataclass(frozen=True)
class Timing:
    """Median milliseconds of one function with each backend, and whether both gave the same result.

    Attributes:
        name: what was measured.
        numba_ms: compiled loop, after compilation.
        numpy_ms: NumPy reference.
        agrees: bit for bit, or for shading within 1e-6.
    """

    name: str
    numba_ms: float
    numpy_ms: float
    agrees: bool

    @property
    def ratio(self) -> float:
        """How many times faster the compiled loop is."""
        return self.numpy_ms / self.numba_ms


def fit_to_picture(
    vertices: np.ndarray,  # (N, 3)
    height: int,
    width: int,
) -> np.ndarray:
    """Places a body (Z up, facing -Y; any unit) upright in a picture, with a margin of 5 %.

    Args:
        vertices: (N, 3) body coordinates.
        height: rows of the picture.
        width: columns of the picture.

    Returns:
        (N, 3) x, y, z in px of the picture.
    """
    turned = np.asarray(vertices, dtype=np.float64) @ np.array(
        [[1, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=np.float64
    )
    low, high = turned.min(axis=0), turned.max(axis=0)
    scale = 0.9 * min(width / (high[0] - low[0]), height / (high[1] - low[1]))
    middle = (low + high) / 2
    return (turned - middle) * scale + [(width - 1) / 2, (height - 1) / 2, 0]


def benchmark(xyz: np.ndarray, faces: np.ndarray, height: int, width: int, repeats: int = 30) -> list[Timing]:
    """Times rasterising, normals, shading and visibility with both backends.

    Args:
        xyz: (N, 3) vertices in px.
        faces: (M, 3) vertex ids.
        height: rows of the picture.
        width: columns of the picture.
        repeats: runs of each compiled function; the references run a tenth as often, at least three times.

    Returns:
        One Timing per function.

    Raises:
        ValueError: repeats below 1, or what :func:`rasterize` refuses.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    raster = rasterize(xyz, faces, height, width)
    colors = np.random.default_rng(0).random((len(xyz), 3))
    some = np.arange(0, len(xyz), max(1, len(xyz) // 500))
    functions: dict[str, Callable[[str], object]] = {
        f"rasterize {len(faces)} faces": lambda backend: rasterize(xyz, faces, height, width, backend),
        "vertex_normals": lambda backend: vertex_normals(xyz, faces, backend),
        "shade": lambda backend: shade(raster, xyz, faces, colors, backend=backend),
        f"vertex_visibility of {len(some)}": lambda backend: vertex_visibility(
            raster, xyz, faces, some, backend=backend
        ),
    }
    return [_time(name, function, repeats) for name, function in functions.items()]


def _time(name: str, function: Callable[[str], object], repeats: int) -> Timing:
    agrees = _same(function("numba"), function("numpy"))  # also compiles
    fast = _median_ms(lambda: function("numba"), repeats)
    plain = _median_ms(lambda: function("numpy"), max(3, repeats // 10))
    return Timing(name, fast, plain, agrees)


def _same(a, b) -> bool:
    if isinstance(a, Raster):
        return all(
            getattr(a, key).tobytes() == getattr(b, key).tobytes()
            for key in ("face_ids", "barycentrics", "depth")
        )
    return a.shape == b.shape and bool(np.abs(a.astype(np.float64) - b).max() <= 1e-6)


def _median_ms(function: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times) * 1e3)
