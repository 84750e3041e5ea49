"""One texture square for the 24 DensePose charts."""

from __future__ import annotations

import numpy as np

COLUMNS, ROWS = 6, 4
MARGIN = 0.02


def atlas_uv(
    face_parts: np.ndarray,  # (M,)
    face_uv: np.ndarray,  # (M, 3, 2)
) -> np.ndarray:
    """Lays the 24 charts out in one texture square.

    Six columns, four rows: part 1 top left, part 6 top right, part 24 bottom right. Inside its cell each
    chart keeps a margin of 2 % of the cell, U runs to the right and V up.

    Args:
        face_parts: (M,) part of each face, 1 to 24.
        face_uv: (M, 3, 2) chart coordinates in [0, 1] of each face's corners.

    Returns:
        (M, 3, 2) float32 texture coordinates in [0, 1], origin bottom left (as in OBJ).

    Raises:
        ValueError: wrong shapes or parts outside 1..24.
    """
    face_parts, face_uv = np.asarray(face_parts), np.asarray(face_uv, dtype=np.float64)
    if face_parts.ndim != 1 or face_uv.shape != (len(face_parts), 3, 2):
        raise ValueError(
            f"face_parts must be (M,) and face_uv (M, 3, 2), got {face_parts.shape} and {face_uv.shape}"
        )
    if len(face_parts) and not (face_parts.min() >= 1 and face_parts.max() <= COLUMNS * ROWS):
        raise ValueError(f"face_parts must lie in 1..24, got {face_parts.min()}..{face_parts.max()}")
    row, column = np.divmod(face_parts.astype(np.int64) - 1, COLUMNS)
    inside = MARGIN + (1 - 2 * MARGIN) * np.clip(face_uv, 0, 1)
    u = (column[:, None] + inside[..., 0]) / COLUMNS
    v = (ROWS - 1 - row[:, None] + inside[..., 1]) / ROWS
    return np.stack([u, v], axis=-1).astype(np.float32)
