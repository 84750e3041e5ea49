"""Anti-aliased drawing of shaded meshes on photographs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .checks import as_faces, as_vertices
from .rasterizer import Raster, rasterize
from .shading import DEFAULT_LIGHT, shade

DEFAULT_COLOR = (0.66, 0.78, 0.92)


def overlay_mesh(
    image: np.ndarray,  # (H, W, 3)
    xyz: np.ndarray,  # (N, 3)
    faces: np.ndarray,  # (M, 3)
    alpha: float = 0.85,
    color: np.ndarray | Sequence[float] = DEFAULT_COLOR,
    light: Sequence[float] = DEFAULT_LIGHT,
    supersample: int = 2,
    backend: str = "numba",
) -> np.ndarray:
    """Draws a shaded mesh over a photograph.

    Args:
        image: (H, W, 3) uint8 RGB; not changed.
        xyz: (N, 3) x, y in image pixels (integer coordinates are pixel centres), z away from the camera in
            pixels.
        faces: (M, 3) vertex ids.
        alpha: opacity of the mesh, 0 to 1.
        color: RGB in [0, 1] (or uint8), one (3,) or one per vertex (N, 3).
        light: direction towards the light, see :func:`shade`.
        supersample: samples per pixel and axis, at least 1; 2 gives smooth outlines.
        backend: 'numba' or 'numpy'.

    Returns:
        (H, W, 3) uint8 RGB, a new array.

    Raises:
        ValueError: an image that is not uint8 RGB, wrong mesh shapes, or alpha outside [0, 1].
    """
    image = check_image(image)
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
    xyz = as_vertices(xyz)
    faces = as_faces(faces, len(xyz))
    window = mesh_window(xyz, *image.shape[:2])
    result = image.copy()
    if window is None:
        return result
    left, top, right, bottom = window
    local = xyz - np.array([left, top, 0], dtype=np.float32)
    raster, points = rasterize_supersampled(local, faces, bottom - top, right - left, supersample, backend)
    lit = shade(raster, points, faces, color, light=light, backend=backend)
    lit = average_blocks(lit, supersample)
    coverage = average_blocks(raster.mask[..., None].astype(np.float32), supersample)
    under = image[top:bottom, left:right].astype(np.float32)
    blended = under * (1 - alpha * coverage) + 255.0 * alpha * lit
    result[top:bottom, left:right] = np.clip(np.rint(blended), 0, 255).astype(np.uint8)
    return result


def rasterize_supersampled(
    xyz: np.ndarray, faces: np.ndarray, height: int, width: int, factor: int, backend: str = "numba"
) -> tuple[Raster, np.ndarray]:
    """Rasterises at ``factor`` samples per pixel and axis.

    Args:
        xyz: (N, 3) vertices in pixels of the (height, width) picture.
        faces: (M, 3) vertex ids.
        height: rows of the picture.
        width: columns of the picture.
        factor: samples per pixel and axis, at least 1.
        backend: 'numba' or 'numpy'.

    Returns:
        The Raster of size (height * factor, width * factor), and the (N, 3) vertices in its pixels.

    Raises:
        ValueError: a factor below 1, or what :func:`rasterize` refuses.
    """
    if int(factor) != factor or factor < 1:
        raise ValueError(f"supersample must be an integer of at least 1, got {factor}")
    factor = int(factor)
    shift = np.array([0.5, 0.5, 0.0], dtype=np.float32)  # from pixel centres to pixel corners and back
    points = (as_vertices(xyz) + shift) * np.float32(factor) - shift
    return rasterize(points, faces, height * factor, width * factor, backend), points


def average_blocks(picture: np.ndarray, factor: int) -> np.ndarray:
    """Averages (H * factor, W * factor, C) over factor x factor blocks to (H, W, C)."""
    height, width, channels = picture.shape
    return picture.reshape(height // factor, factor, width // factor, factor, channels).mean(axis=(1, 3))


def check_image(image: np.ndarray) -> np.ndarray:
    """Returns ``image`` as an array; ValueError unless it is (H, W, 3) uint8 with at least one pixel."""
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"image must be (H, W, 3) uint8 RGB, got shape {image.shape} of {image.dtype}")
    return image


def mesh_window(xyz: np.ndarray, height: int, width: int) -> tuple[int, int, int, int] | None:
    """Pixels (left, top, right, bottom; ends excluded) that a mesh of vertices (N, 3) can touch, or None."""
    finite = xyz[np.isfinite(xyz).all(axis=1)]
    if not len(finite):
        return None
    low = np.floor(np.clip(finite[:, :2].min(axis=0), -1, [width, height])).astype(int)
    high = np.ceil(np.clip(finite[:, :2].max(axis=0), -1, [width, height])).astype(int) + 1
    left, top = np.maximum(low, 0)
    right, bottom = np.minimum(high, [width, height])
    return (int(left), int(top), int(right), int(bottom)) if left < right and top < bottom else None
