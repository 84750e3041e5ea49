"""Boxes: written as an option, turned into corners, compared with their image."""

from __future__ import annotations

import numpy as np

from meshpose_plugins.data.affine import box_corners


def parse_bbox(text: str) -> np.ndarray:
    """Read one box written as x,y,w,h.

    Args:
        text: four numbers separated by commas, px of the image: left, top, width, height.

    Returns:
        (4,) float32: x0, y0, x1, y1.

    Raises:
        ValueError: naming the text and what is wrong with it.
    """
    parts = text.split(',')
    try:
        x, y, width, height = (float(part) for part in parts)
    except ValueError:
        raise ValueError(
            f'bbox: expected four numbers x,y,w,h (left, top, width, height in px), got {text!r}'
        ) from None
    return xywh_to_xyxy([x, y, width, height], f'bbox {text!r}')


def xywh_to_xyxy(box, source: str) -> np.ndarray:
    """Turn left, top, width, height into corners, and check them.

    Args:
        box: four numbers.
        source: where the box comes from, for messages.

    Returns:
        (4,) float32: x0, y0, x1, y1.

    Raises:
        ValueError: if it is not four finite numbers with a positive width and height.
    """
    try:
        box = np.asarray(box, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f'{source}: expected [x, y, w, h], got {box!r}') from None
    if box.shape != (4,) or not np.isfinite(box).all():
        raise ValueError(f'{source}: expected four finite numbers x, y, w, h, got {box.tolist()}')
    if box[2] <= 0 or box[3] <= 0:
        raise ValueError(f'{source}: width and height must be positive, got w={box[2]:g}, h={box[3]:g}')
    return box_corners(box).astype(np.float32)


def check_boxes(boxes: np.ndarray, width: int, height: int, source: str) -> tuple[np.ndarray, list[str]]:
    """Clip boxes to the image; a box that lies wholly outside is an error.

    Args:
        boxes: (P, 4) x0, y0, x1, y1 px, or one of (4,).
        width: of the image, px.
        height: of the image, px.
        source: the image's name, for messages.

    Returns:
        boxes: (P, 4) float32 inside [0, width] x [0, height].
        notes: one sentence per box that was clipped.

    Raises:
        ValueError: naming the image, the box and the image's size.
    """
    boxes = np.atleast_2d(np.asarray(boxes, np.float32))
    if boxes.size and boxes.shape[1:] != (4,):
        raise ValueError(f'{source}: boxes must have the shape (P, 4), got {boxes.shape}')
    boxes = boxes.reshape(-1, 4)
    limit = np.asarray([width, height, width, height], np.float32)
    clipped = np.clip(boxes, 0, limit)
    notes = []
    for box, inside in zip(boxes, clipped):
        x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
        given = f'bbox {x:g},{y:g},{w:g},{h:g} (x,y,w,h)'
        if not np.isfinite(box).all() or (inside[2:] - inside[:2] < 1).any():
            raise ValueError(f'{source}: {given} lies outside the image of {width} x {height} px')
        if not np.array_equal(box, inside):
            notes.append(
                f'{source}: {given} reaches over the border of the image of {width} x {height} px: clipped'
            )
    return clipped, notes
