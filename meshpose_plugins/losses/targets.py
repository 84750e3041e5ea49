"""Labels of a batch of crops, and what they say about visibility."""
from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Callable, Optional, Sequence, Tuple

import torch
from torch import Tensor

from meshpose_plugins.rendering.frame import inside_frame


@dataclass
class MeshPoseTargets:
    """Labels of B crops, each kind with its validity; what is not valid is never read.

    Kinds after ``input_size`` may be None, for batches in which nobody has them.

    Args:
        points_xy: annotated pixels (x, y), crop px, (B, P, 2).
        point_vertex_ids: template triangle of every point, int64, (B, P, 3).
        point_barycentrics: position in that triangle, >= 0, sum 1, (B, P, 3).
        point_valid: bool, (B, P).
        vertices: mesh vertices (x, y, z), crop px, z relative to the root joint, (B, V, 3).
        vertices_valid: bool, (B, V).
        input_size: (W, H) of the crop, px.
        person_mask: covered part of every pixel, in [0, 1], (B, H, W) of the crop or (B, h, w) of the
            heatmaps.
        person_mask_valid: bool, (B,).
        ignore_mask: part of every pixel about which the person mask says nothing (other people, outside the
            image), the shape of person_mask; None: nothing is ignored.
        keypoints: labelled keypoints (x, y), crop px, may lie outside, (B, K, 2).
        keypoints_valid: bool, (B, K).
        joints: joints (x, y, z), crop px, z relative to the root joint, (B, J, 3).
        joints_valid: bool, (B, J).
    """

    points_xy: Tensor
    point_vertex_ids: Tensor
    point_barycentrics: Tensor
    point_valid: Tensor
    vertices: Tensor
    vertices_valid: Tensor
    input_size: Tuple[int, int]
    person_mask: Optional[Tensor] = None
    person_mask_valid: Optional[Tensor] = None
    ignore_mask: Optional[Tensor] = None
    keypoints: Optional[Tensor] = None
    keypoints_valid: Optional[Tensor] = None
    joints: Optional[Tensor] = None
    joints_valid: Optional[Tensor] = None

    def __post_init__(self) -> None:
        batch, points = self.point_valid.shape
        vertices = self.vertices_valid.shape[1:]
        shapes = {"points_xy": (batch, points, 2), "point_vertex_ids": (batch, points, 3),
                  "point_barycentrics": (batch, points, 3), "vertices": (batch, *vertices, 3),
                  "vertices_valid": (batch, *vertices)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must have the shape {shape} beside point_valid of shape "
                                 f"{(batch, points)}, got {tuple(getattr(self, name).shape)}")
        self._check_optional(batch)

    def _check_optional(self, batch: int) -> None:
        """Raise ValueError where a kind comes without its validity, or in another shape."""
        mask = None if self.person_mask is None else (batch, *self.person_mask.shape[1:3])
        expected = {"person_mask": mask, "person_mask_valid": None if mask is None else (batch,),
                    "ignore_mask": None if self.ignore_mask is None else mask or "that of a person_mask"}
        for name, size in (("keypoints", 2), ("joints", 3)):
            values = getattr(self, name)
            count = None if values is None else values.shape[1:2]
            expected[name] = None if values is None else (batch, *count, size)
            expected[f"{name}_valid"] = None if values is None else (batch, *count)
        for name, shape in expected.items():
            value = getattr(self, name)
            have = None if value is None else tuple(value.shape)
            if have != shape:
                raise ValueError(f"{name} must have the shape {shape}, got {have} (masks, keypoints and "
                                 "joints come with a _valid each)")

    @classmethod
    def empty(cls, batch: int, num_points: int, num_vertices: int, input_size: Sequence[int],
              device: torch.device | str = "cpu") -> "MeshPoseTargets":
        """Targets of ``batch`` crops without any label."""
        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(batch, *shape, dtype=dtype, device=device)

        return cls(zeros(num_points, 2), zeros(num_points, 3, dtype=torch.int64), zeros(num_points, 3),
                   zeros(num_points, dtype=torch.bool), zeros(num_vertices, 3),
                   zeros(num_vertices, dtype=torch.bool), tuple(input_size))

    def __len__(self) -> int:
        return len(self.point_valid)

    def __getitem__(self, item) -> "MeshPoseTargets":
        """Select crops; an integer keeps the batch dimension (length 1)."""
        if isinstance(item, int):
            if not -len(self) <= item < len(self):
                raise IndexError(f"crop {item} of MeshPoseTargets of {len(self)} crops")
            item = slice(item % len(self), item % len(self) + 1)
        return self._map(lambda tensor: tensor[item])

    def to(self, *args: Any, **kwargs: Any) -> "MeshPoseTargets":
        """Apply ``Tensor.to`` to every tensor; a dtype changes floating point tensors only."""
        def move(tensor: Tensor) -> Tensor:
            moved = tensor.to(*args, **kwargs)
            return moved if tensor.is_floating_point() else moved.to(tensor.dtype)
        return self._map(move)

    def vertices_in_crop(self) -> Tensor:
        """Vertices with mesh supervision that lie on a pixel of the crop (occluded or not), bool, (B, V)."""
        return self.vertices_valid & self.in_crop(self.vertices)

    def in_crop(self, xy: Tensor) -> Tensor:
        """Positions (..., 2 or 3) that lie on a pixel of the crop, bool, (...)."""
        return inside_frame(xy, *self.input_size)

    def visibility_labels(self) -> Tuple[Tensor, Tensor]:
        """What the labels say about visibility; vertices in neither set carry no label.

        Positive: vertices of the triangles of all valid points. Negative: vertices whose mesh supervision
        lies outside the crop. A positive wins over a negative.

        Returns:
            positive (B, V) and negative (B, V), bool, disjoint.
        """
        positive = self._annotated_vertices()
        return positive, self.vertices_valid & ~self.in_crop(self.vertices) & ~positive

    def _annotated_vertices(self) -> Tensor:
        hits = torch.zeros(self.vertices_valid.shape, dtype=torch.int64, device=self.point_valid.device)
        valid = self.point_valid[..., None].expand_as(self.point_vertex_ids)
        ids = self.point_vertex_ids.where(valid, torch.zeros_like(self.point_vertex_ids))
        return hits.scatter_add_(1, ids.flatten(1), valid.flatten(1).long()) > 0

    def _map(self, function: Callable[[Tensor], Tensor]) -> "MeshPoseTargets":
        changed = {field.name: function(getattr(self, field.name)) for field in dataclasses.fields(self)
                   if isinstance(getattr(self, field.name), Tensor)}
        return dataclasses.replace(self, **changed)
