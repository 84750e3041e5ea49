"""Regions of interest: where the heatmaps of a box lie in its image, to the pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import torch
from torch import Tensor


@dataclass
class RegionFrames:
    """The crop frames of N regions of interest, upright boxes that are stretched to square heatmaps.

    ROIAlign cuts a box into S x S cells and reads the feature map at their centres: pixel i of the heatmap is
    the centre of cell i. The crop frame is what :class:`MeshPoseNetwork` asks for, ``xy_crop = stride *
    xy_heatmap``. Image px are those of this library, where integers are pixel centres; the left border of
    the image is at x = -0.5 there, and at 0 in the coordinates of boxes.

    Args:
        scale: image px per crop px in x and y, (N, 2).
        offset: image px of the crop's origin, (N, 2).
        input_size: (W, H) of the crop, px.

    Example:
        >>> frames = RegionFrames.of_boxes(torch.tensor([[10.0, 20.0, 66.0, 132.0]]), side=56, stride=4)
        >>> frames.to_image(torch.zeros(1, 1, 3)).tolist()
        [[[10.0, 20.5, 0.0]]]
    """

    scale: Tensor
    offset: Tensor
    input_size: Tuple[int, int]

    @classmethod
    def of_boxes(
        cls,
        boxes: Tensor,  # (N, 4)
        side: int,
        stride: float = 4,
    ) -> "RegionFrames":
        """Frames of boxes x0, y0, x1, y1: distances from the image's left and top border.

        Args:
            boxes: corners in px.
            side: S, pixels of a heatmap's side.
            stride: crop px per heatmap px.
        """
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(f"boxes must have the shape (N, 4), got {tuple(boxes.shape)}")
        cell = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3) / side
        return cls(cell / stride, boxes[:, :2] + 0.5 * cell - 0.5, (int(side * stride), int(side * stride)))

    def __len__(self) -> int:
        return len(self.scale)

    def to_image(self, xyz_crop: Tensor) -> Tensor:
        """Bring positions (N, V, 2 or 3) from crop px to image px; z by the root of the determinant."""
        xy = xyz_crop[..., :2] * self.scale[:, None] + self.offset[:, None]
        return torch.cat([xy, xyz_crop[..., 2:] * self._z_scale()], -1)

    def to_crop(self, xyz_image: Tensor) -> Tensor:
        """Bring positions (N, V, 2 or 3) from image px to crop px, the inverse of :meth:`to_image`."""
        xy = (xyz_image[..., :2] - self.offset[:, None]) / self.scale[:, None]
        return torch.cat([xy, xyz_image[..., 2:] / self._z_scale()], -1)

    def _z_scale(self) -> Tensor:
        return self.scale.prod(-1).sqrt()[:, None, None]


def scale_boxes(boxes: Tensor, factor: float) -> Tensor:
    """Grow (or shrink) boxes (N, 4) x0, y0, x1, y1 about their centres."""
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) * (factor / 2)
    return torch.cat([centre - half, centre + half], 1)
