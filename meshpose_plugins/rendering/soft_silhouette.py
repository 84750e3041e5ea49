"""Silhouettes of meshes in plain PyTorch: how much of every pixel the mesh covers, differentiable in x and y.

The area of a pixel that a triangle covers is a sum over its directed edges: of the area to the right of the
edge, inside the pixel, positive where the edge runs down and negative where it runs up. Summed over all
triangles that face the camera, an edge between two of them cancels, and what remains is the outline. So only
outline edges are drawn, cut at the borders of rows and columns; back faces, inner edges and whatever lies
outside the picture cost nothing, and no tensor has an entry per face and pixel.

Coverage is exact: shared edges leave no seam, the outline lies at coverage 0.5, and a mesh that covers the
right pixels has no gradient that pulls it off.
"""
from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor, nn


class SilhouetteRasterizer(nn.Module):
    """Draw the silhouettes of a batch of meshes of one topology, on CPUs and GPUs.

    Args:
        faces: vertex ids, counter-clockwise seen from outside, (F, 3); the silhouette is that of the faces
            towards the camera, which for a closed mesh is the silhouette of all.
    """

    def __init__(self, faces: Tensor) -> None:
        super().__init__()
        faces = torch.as_tensor(faces, dtype=torch.int64)
        if faces.ndim != 2 or faces.shape[1] != 3:
            raise ValueError(f"faces must have the shape (F, 3), got {tuple(faces.shape)}")
        directed = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
        edges, side_edge = directed.sort(1).values.unique(dim=0, return_inverse=True)
        self.register_buffer("faces", faces, persistent=False)
        self.register_buffer("edges", edges, persistent=False)
        # Every side of every face: its edge, and whether it runs along the edge (1) or against it (-1).
        self.register_buffer("side_edge", side_edge, persistent=False)
        self.register_buffer("side_sign", 1 - 2 * (directed[:, 0] > directed[:, 1]).long(), persistent=False)

    def forward(self, xy: Tensor, height: int, width: int) -> Tensor:
        """Covered part of every pixel.

        Args:
            xy: vertices (x, y) in px of the picture, integers at pixel centres, (B, V, 2); may lie outside.
            height: rows h of the picture.
            width: columns w of the picture.

        Returns:
            (B, h, w) in [0, 1]. Where two limbs overlap at their outlines, their coverages add up.

        Raises:
            ValueError: xy has not the shape (B, V, 2).
        """
        return self.layers(xy, height, width).clamp(0, 1)

    def layers(self, xy: Tensor, height: int, width: int) -> Tensor:
        """Number of faces towards the camera over every pixel, parts of pixels included, (B, h, w)."""
        if xy.ndim != 3 or xy.shape[-1] != 2:
            raise ValueError(f"xy must have the shape (B, V, 2), got {tuple(xy.shape)}")
        sample, edge, weight = self._outline(xy.detach())
        start, end = (xy[sample, self.edges[edge, side]] + 0.5 for side in (0, 1))
        pieces = _cut_at_rows(start, end, height, width)
        pieces = _cut_at_columns(*pieces, width)
        source, row, column, area, rest = pieces
        weight = weight[source].to(xy.dtype)
        index = (sample[source] * height + row) * (width + 1) + column
        steps = xy.new_zeros(len(xy) * height * (width + 1))
        steps = steps.index_add(0, index, weight * area).index_add(0, index + 1, weight * rest)
        return steps.reshape(len(xy), height, width + 1).cumsum(-1)[..., :-1]

    def _outline(self, xy: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Edges that don't cancel: sample, edge, how often and in which direction it counts, (N,) each."""
        front = (signed_areas(xy, self.faces) < 0).long()
        sides = front.repeat_interleave(3, dim=1) * self.side_sign
        counts = sides.new_zeros(len(xy), len(self.edges)).index_add(1, self.side_edge, sides)
        sample, edge = counts.nonzero(as_tuple=True)
        return sample, edge, counts[sample, edge]


def signed_areas(xy: Tensor, faces: Tensor) -> Tensor:
    """Twice the areas of projected faces, (B, F); negative for faces towards the camera (y points down)."""
    a, b, c = xy[:, faces].unbind(2)
    return ((b - a) * (c - a).flip(-1) * xy.new_tensor([1.0, -1.0])).sum(-1)


def dense_layers(xy: Tensor, faces: Tensor, height: int, width: int) -> Tensor:
    """What :meth:`SilhouetteRasterizer.layers` gives, every front face on every pixel: a plain reference.

    Args:
        xy: (V, 2) px of the picture.
        faces: (F, 3).
        height: rows h.
        width: columns w.

    Returns:
        (h, w); memory is O(F x h x w).
    """
    front = faces[signed_areas(xy[None], faces)[0] < 0]
    start, end = (xy[front[:, order]].reshape(-1, 1, 1, 2) + 0.5 for order in ([0, 1, 2], [1, 2, 0]))
    row = torch.arange(height, dtype=xy.dtype, device=xy.device)[:, None]
    column = torch.arange(width, dtype=xy.dtype, device=xy.device)
    in_row = _reaches(start, end, row, row + 1, axis=1)
    start, end = _clip(start, end, row, row + 1, axis=1)
    area = xy.new_zeros(())
    for low in (column, torch.full_like(column, -torch.inf)):  # the pixel itself, and all to its left
        high = column + 1 if low is column else column
        first, last = _clip(start, end, low, high, axis=0)
        part = (last - first)[..., 1]
        if low is column:
            part = part * (high - (first + last)[..., 0] / 2)
        area = area + part.where(in_row & _reaches(start, end, low, high, axis=0), torch.zeros_like(part))
    return area.sum(0)


def _reaches(start: Tensor, end: Tensor, low: Tensor, high: Tensor, axis: int) -> Tensor:
    """Segments (..., 2) of which a piece lies at low <= coordinate <= high."""
    a, b = start[..., axis], end[..., axis]
    return (torch.maximum(a, b) >= low) & (torch.minimum(a, b) <= high)


def _clip(start: Tensor, end: Tensor, low: Tensor, high: Tensor, axis: int) -> Tuple[Tensor, Tensor]:
    """Ends of the pieces of segments (..., 2) with low <= coordinate <= high, without length outside.

    An end that is not cut keeps its own gradient, also where the segment runs along the border.
    """
    length = (end - start)[..., axis]
    other = (end - start)[..., 1 - axis] / length.where(length != 0, torch.ones_like(length))
    clipped = []
    for corner in (start, end):
        value = corner[..., axis].clamp(low, high)
        across = corner[..., 1 - axis] + (value - corner[..., axis]) * other
        clipped.append(torch.stack([across, value] if axis else [value, across], -1))
    return clipped[0], clipped[1]


def _spread(first: Tensor, last: Tensor) -> Tuple[Tensor, Tensor]:
    """One entry for every number of every range first..last: which range, and the number, (M,) each."""
    counts = (last - first + 1).clamp(min=0)
    source = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
    position = torch.arange(len(source), device=counts.device) - (counts.cumsum(0) - counts)[source]
    return source, first[source] + position


def _bins(values: Tensor, low: int, high: int) -> Tensor:
    """Integer part between two bounds; the bounds come first, as numbers may be too large for integers."""
    return values.clamp(low, high).floor().long()


def _cut_at_rows(start: Tensor, end: Tensor, height: int, width: int) -> Tuple[Tensor, ...]:
    """Cut edges (N, 2) into pieces of one row: edge (M,), row (M,), start and end (M, 2)."""
    with torch.no_grad():
        low, high = torch.minimum(start, end), torch.maximum(start, end)
        seen = (high[:, 1] > 0) & (low[:, 1] < height) & (low[:, 0] < width)
        first, last = _bins(low[:, 1], 0, height - 1), _bins(high[:, 1], 0, height - 1)
        source, row = _spread(first, last.where(seen, first - 1))
    border = row.to(start.dtype)
    return (source, row, *_clip(start[source], end[source], border, border + 1, axis=1))


def _cut_at_columns(source: Tensor, row: Tensor, start: Tensor, end: Tensor,
                    width: int) -> Tuple[Tensor, ...]:
    """Cut pieces of one row into pieces of one pixel, what lies left of the picture being one piece.

    Returns:
        edge, row and column of every piece (M,); the area right of it in its pixel, and the rest of the
        piece's height, which is what each further pixel of the row gets on top, (M,).
    """
    with torch.no_grad():
        low = torch.minimum(start[:, 0], end[:, 0])
        high = torch.maximum(start[:, 0], end[:, 0])
        piece, column = _spread(_bins(low, -1, width), _bins(high, -1, width - 1))
    left = column < 0
    border = column.to(start.dtype)
    start, end = _clip(start[piece], end[piece], border.masked_fill(left, -torch.inf), border + 1, axis=0)
    height = end[:, 1] - start[:, 1]
    inner = (border + 1 - (start[:, 0] + end[:, 0]) / 2).masked_fill(left, 1)
    return source[piece], row[piece], column.clamp(min=0), height * inner, height * (1 - inner)
