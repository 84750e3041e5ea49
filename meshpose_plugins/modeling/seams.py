"""Vertices that a template holds twice, brought together."""
from __future__ import annotations

from typing import Sequence, Tuple

import torch
from torch import Tensor, nn


class SeamAverage(nn.Module):
    """Replace both vertices of every seam pair by their mean; all others stay as they are, to the bit.

    A template that was cut open along seams has the vertices there twice (the published one has 22 such
    pairs). The exchange is one constant permutation, so that it exports.

    Args:
        seams: S pairs of vertices, no vertex in two of them.
        num_vertices: V.

    Example:
        >>> SeamAverage([(0, 2)], 3)(torch.tensor([[[1.0], [5.0], [3.0]]])).flatten().tolist()
        [2.0, 5.0, 2.0]
    """

    def __init__(self, seams: Sequence[Tuple[int, int]], num_vertices: int) -> None:
        super().__init__()
        pairs = torch.tensor([[int(a), int(b)] for a, b in seams], dtype=torch.int64).reshape(-1, 2)
        if len(pairs.unique()) != pairs.numel():
            raise ValueError(f"seams={pairs.tolist()}: a vertex is in two pairs")
        if len(pairs) and not 0 <= pairs.min() <= pairs.max() < num_vertices:
            raise ValueError(f"seams name vertices {int(pairs.min())} to {int(pairs.max())}, there are "
                             f"{num_vertices}")
        partner = torch.arange(num_vertices)
        partner[pairs[:, 0]], partner[pairs[:, 1]] = pairs[:, 1], pairs[:, 0]
        self.register_buffer("partner", partner, persistent=False)

    def forward(self, xyz: Tensor) -> Tensor:
        """Average positions (B, V, D) over the seams."""
        return (xyz + xyz[:, self.partner]) / 2
