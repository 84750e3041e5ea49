"""The meshes of the people of one image, as a field of a framework's instances."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Sequence, Tuple

import torch
from torch import Tensor

from meshpose_plugins.templates import MeshTemplate


@dataclass
class ImageMeshes:
    """Predicted vertices of N people of one image; indexed, moved and joined like a tensor of N rows.

    Args:
        vertices: (N, V, 3); x, y in image px (integers are pixel centres), z in image px relative to the root
            joint, away from the camera. NaN for instances that are no people.
        visibility: (N, V) in [0, 1].
        image_size: (height, width) of that image, px.
    """

    vertices: Tensor
    visibility: Tensor
    image_size: Tuple[int, int]

    def __post_init__(self) -> None:
        if self.vertices.ndim != 3 or self.vertices.shape[2] != 3:
            raise ValueError(f"vertices must have the shape (N, V, 3), got {tuple(self.vertices.shape)}")
        if self.visibility.shape != self.vertices.shape[:2]:
            raise ValueError(
                f"visibility must have the shape {tuple(self.vertices.shape[:2])} beside vertices, "
                f"got {tuple(self.visibility.shape)}"
            )
        self.image_size = (int(self.image_size[0]), int(self.image_size[1]))

    def __len__(self) -> int:
        return len(self.vertices)

    def __getitem__(self, item) -> "ImageMeshes":
        """Select people; an integer keeps the dimension (length 1)."""
        if isinstance(item, int):
            if not -len(self) <= item < len(self):
                raise IndexError(f"person {item} of ImageMeshes of {len(self)} people")
            item = slice(item % len(self), item % len(self) + 1)
        return replace(self, vertices=self.vertices[item], visibility=self.visibility[item])

    def to(self, *args: Any, **kwargs: Any) -> "ImageMeshes":
        """Apply ``Tensor.to`` to both tensors."""
        return replace(
            self, vertices=self.vertices.to(*args, **kwargs), visibility=self.visibility.to(*args, **kwargs)
        )

    @staticmethod
    def cat(meshes: Sequence["ImageMeshes"]) -> "ImageMeshes":
        """Join the people of several records of one image.

        Raises:
            ValueError: there is none, or the image sizes differ.
        """
        if len({record.image_size for record in meshes}) != 1:
            raise ValueError(
                "ImageMeshes.cat needs records of one image, got the sizes "
                f"{[record.image_size for record in meshes]}"
            )
        return replace(
            meshes[0],
            vertices=torch.cat([record.vertices for record in meshes]),
            visibility=torch.cat([record.visibility for record in meshes]),
        )

    def resized(self, image_size: Sequence[int]) -> "ImageMeshes":
        """The same people after the image was resized to (height, width)."""
        sy, sx = (float(new) / old for new, old in zip(image_size, self.image_size))
        scale = self.vertices.new_tensor([sx, sy, (sx * sy) ** 0.5])
        half = self.vertices.new_tensor([0.5, 0.5, 0.0])
        return replace(self, vertices=(self.vertices + half) * scale - half, image_size=tuple(image_size))

    def mirrored(self, template: MeshTemplate) -> "ImageMeshes":
        """The same people in the mirrored image; left and right vertices change places."""
        return replace(
            self,
            vertices=template.mirror(self.vertices, width=self.image_size[1]),
            visibility=template.mirror(self.visibility[..., None])[..., 0],
        )
