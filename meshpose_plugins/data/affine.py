"""Labels that follow their image through flips and crops, and predictions that come back from a crop.

An affine map of the image is a (2, 3) matrix from pixels before to pixels after,
``xy_after = matrix @ (x, y, 1)``, as OpenCV's ``warpAffine`` takes it. A map that mirrors exchanges
left and right of a body: its labels then also move to the left-right partners of their vertices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from meshpose_plugins.data.records import SurfacePoints

#: Direction in which what is kept of a box moves when the named side is cut off.
KEPT_DIRECTIONS = {'bottom': (0, -1), 'top': (0, 1), 'left': (1, 0), 'right': (-1, 0)}


def compose(
    second: np.ndarray,  # (2, 3)
    first: np.ndarray,  # (2, 3)
) -> np.ndarray:
    """Return the (2, 3) matrix that applies ``first`` and then ``second``.

    Raises:
        ValueError: a matrix is not (2, 3).
    """
    second, first = _check_matrix(second), _check_matrix(first)
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])


def is_mirror(matrix: np.ndarray) -> bool:
    """Tell whether a (2, 3) matrix mirrors, so that left and right of a body change places.

    Raises:
        ValueError: the matrix is not (2, 3).
    """
    return bool(np.linalg.det(_check_matrix(matrix)[:, :2]) < 0)


def carry_points(
    points: SurfacePoints,
    matrix: np.ndarray,  # (2, 3)
    symmetry: np.ndarray,  # (V,)
) -> SurfacePoints:
    """Move surface points by an affine map of the image.

    Args:
        points: points in pixels of the frame before.
        matrix: maps pixels before to pixels after.
        symmetry: left-right permutation of the template's vertices, applied where the map mirrors.

    Returns:
        a new record in pixels of the frame after; ``valid`` stays.

    Raises:
        ValueError: the matrix is not (2, 3).
    """
    points = points.affine(matrix)
    if is_mirror(matrix):
        points = SurfacePoints(points.xy, symmetry[points.vertex_ids], points.barycentrics, points.valid)
    return points


def carry_vertices(
    vertices: np.ndarray,  # (..., V, 3)
    matrix: np.ndarray,  # (2, 3)
    symmetry: np.ndarray,  # (V,)
) -> np.ndarray:
    """Move mesh vertices by an affine map of the image.

    Args:
        vertices: x and y in pixels of the frame before, z in the same pixels relative to the root joint.
        matrix: maps pixels before to pixels after.
        symmetry: left-right permutation of the template's vertices, applied where the map mirrors.

    Returns:
        (..., V, 3) float32: x and y by the map, z by its scale ``sqrt(abs(det))``.

    Raises:
        ValueError: vertices are not (..., V, 3) for V entries of symmetry, or the matrix is not (2, 3).
    """
    matrix = _check_matrix(matrix)
    if np.shape(vertices)[-2:] != (len(symmetry), 3):
        raise ValueError(f'vertices must be (..., {len(symmetry)}, 3), got {np.shape(vertices)}')
    vertices = vertices[..., symmetry, :] if is_mirror(matrix) else vertices
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    moved = np.empty(vertices.shape, np.float32)
    moved[..., :2] = vertices[..., :2] @ matrix[:, :2].T + matrix[:, 2]
    moved[..., 2] = vertices[..., 2] * scale
    return moved


def carry_camera_vertices(
    vertices: np.ndarray,  # (..., V, 3)
    matrix: np.ndarray,  # (2, 3)
    symmetry: np.ndarray,  # (V,)
) -> np.ndarray:
    """Turn and mirror a metric mesh as an affine map turns the image; sizes stay.

    Args:
        vertices: metres relative to the root joint, x right, y down, z away from the camera.
        matrix: maps pixels before to pixels after; only its turn and mirroring count.
        symmetry: left-right permutation of the template's vertices, applied where the map mirrors.

    Returns:
        (..., V, 3) float32 metres.

    Raises:
        ValueError: as :func:`carry_vertices`.
    """
    matrix = _check_matrix(matrix)
    linear = matrix[:, :2] / np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    return carry_vertices(vertices, np.column_stack([linear, np.zeros(2)]), symmetry)


def crop_to_image(
    xyz_crop: np.ndarray,  # (..., 3)
    input_size: Sequence[float],
    input_center: Sequence[float],
    input_scale: Sequence[float],
) -> np.ndarray:
    """Bring predicted vertices from an upright crop back to its image.

    Args:
        xyz_crop: crop px, z relative to the root joint.
        input_size: (W, H) of the crop in px.
        input_center: (x, y) of the crop's centre in the image, px.
        input_scale: (width, height) of the crop's area in the image, px.

    Returns:
        (..., 3) image px in the dtype of xyz_crop; z is scaled by the square root of the map's determinant.
    """
    scale = np.asarray(input_scale, np.float64) / np.asarray(input_size, np.float64)
    xy = xyz_crop[..., :2] * scale + np.asarray(input_center) - 0.5 * np.asarray(input_scale)
    z = xyz_crop[..., 2:] * np.sqrt(abs(scale.prod()))
    return np.concatenate([xy, z], axis=-1).astype(xyz_crop.dtype)


def image_to_crop(
    xyz_image: np.ndarray,  # (..., 3)
    input_size: Sequence[float],
    input_center: Sequence[float],
    input_scale: Sequence[float],
) -> np.ndarray:
    """Take vertices from an image to an upright crop of it, the inverse of :func:`crop_to_image`.

    Args:
        xyz_image: image px, z relative to the root joint.
        input_size: (W, H) of the crop in px.
        input_center: (x, y) of the crop's centre in the image, px.
        input_scale: (width, height) of the crop's area in the image, px.

    Returns:
        (..., 3) crop px in the dtype of xyz_image.
    """
    scale = np.asarray(input_size, np.float64) / np.asarray(input_scale, np.float64)
    xy = (xyz_image[..., :2] - np.asarray(input_center)) * scale + 0.5 * np.asarray(input_size)
    z = xyz_image[..., 2:] * np.sqrt(abs(scale.prod()))
    return np.concatenate([xy, z], axis=-1).astype(xyz_image.dtype)


def truncate_box(
    center: np.ndarray,  # (..., 2)
    scale: np.ndarray,  # (..., 2)
    keep: float,
    side: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Shrink a box in proportion and push it away from one side, so that its crop cuts the body off there.

    Args:
        center: (x, y) of the box's centre, px.
        scale: (width, height) of the box, px, floating point.
        keep: part of the width and of the height that is kept, in (0, 1].
        side: 'bottom', 'top', 'left' or 'right', where the body is cut off; the opposite side stays in place.

    Returns:
        center and scale of the smaller box, (..., 2) each, in the dtype of scale.

    Raises:
        ValueError: an unknown side, or keep outside (0, 1].
    """
    if side not in KEPT_DIRECTIONS:
        raise ValueError(f"side must be one of {', '.join(map(repr, KEPT_DIRECTIONS))}, got {side!r}")
    if not 0 < keep <= 1:
        raise ValueError(f'keep must be in (0, 1], got {keep}')
    shift = 0.5 * (1.0 - keep) * scale * np.array(KEPT_DIRECTIONS[side], np.float32)
    return center + shift.astype(scale.dtype), scale * scale.dtype.type(keep)


def box_corners(box: np.ndarray) -> np.ndarray:
    """Return the corners x0, y0, x1, y1 (4,) of a box x, y, width, height (4,)."""
    return np.concatenate([box[:2], box[:2] + box[2:]])


def clip_to_image(box: np.ndarray, image_size: tuple[float, float]) -> np.ndarray | None:
    """Clip a box to the image as MMPose's CocoDataset does, to the last pixel's centre.

    Args:
        box: (4,) x0, y0, x1, y1 px.
        image_size: (width, height) px; (0, 0) where it is not known, which leaves the box as it is.

    Returns:
        (4,) float32: x0, y0, x1, y1, or None where the box lies outside the image, or no more than a point is
        left of it.
    """
    corners = np.asarray(box, np.float32)
    if min(image_size) <= 0:
        return corners
    size = np.array(image_size, np.float32)
    if (corners[:2] >= size).any() or (corners[2:] <= 0).any():
        return None
    corners = np.clip(corners, 0, np.tile(size - 1, 2))
    return corners if (corners[2:] > corners[:2]).any() else None


def _check_matrix(matrix: np.ndarray) -> np.ndarray:
    matrix = np.asarray(matrix)
    if matrix.shape != (2, 3):
        raise ValueError(f'matrix must be (2, 3), got {matrix.shape}')
    return matrix
