"""What it means that a position lies inside a picture, for NumPy and torch alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def inside_frame(
    xy: np.ndarray | Tensor,  # (..., 2 or more)
    width: float,
    height: float,
) -> np.ndarray | Tensor:
    """Tells which positions lie on a pixel of a frame, a pixel being the square around its integer centre.

    A position on the border of two pixels belongs to the right and lower one, so that neighbouring frames
    share no position: ``-0.5 <= x < width - 0.5``, and y likewise.

    Args:
        xy: x and y in px of the frame; further coordinates are ignored.
        width: width of the frame in px.
        height: height of the frame in px.

    Returns:
        (...) bool of the same kind, an array or a tensor; False where x or y is NaN.

    Raises:
        ValueError: a position has fewer than two coordinates.

    Example:
        >>> inside_frame(np.array([[-0.5, 0.0], [9.5, 0.0]]), 10, 5)
        array([ True, False])
    """
    if xy.ndim < 1 or xy.shape[-1] < 2:
        raise ValueError(f"xy must be (..., 2 or more), got {tuple(xy.shape)}")
    x, y = xy[..., 0], xy[..., 1]
    return (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
