"""What a MeshPose network predicts for a batch of crops."""
from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Callable, Optional

import torch
from torch import Tensor


@dataclass
class MeshPoseOutput:
    """Predictions of B crops for the V vertices of a template.

    Coordinates are x right, y down, z away from the camera; integer coordinates are pixel centres, and
    ``xy_crop = stride * xy_heatmap`` without a half-pixel shift.

    Args:
        heatmaps: VertexPose logits, (B, V, h, w).
        xy_vertexpose: expectation of the heatmaps (x, y), heatmap px, (B, V, 2).
        xyz_regressed: the regression branch alone, crop px, (B, V, 3).
        visibility_logits: logits of the fusion weight (large: trust VertexPose), (B, V).
        xyz_crop: the fused vertices, seams averaged, crop px, z relative to the root joint, (B, V, 3).
        heatmap_logsumexp: logsumexp over positions of ``gain * heatmaps``, (B, V), where the VertexPose
            branch computed it on the way (in training), else None.
        stride: crop px per heatmap px.
        gain: factor of the logits inside the spatial softmax.
    """

    heatmaps: Tensor
    xy_vertexpose: Tensor
    xyz_regressed: Tensor
    visibility_logits: Tensor
    xyz_crop: Tensor
    heatmap_logsumexp: Optional[Tensor] = None
    stride: float = 4.0
    gain: float = 10.0

    def __len__(self) -> int:
        return len(self.heatmaps)

    def __getitem__(self, item) -> "MeshPoseOutput":
        """Select crops; an integer keeps the batch dimension (length 1)."""
        if isinstance(item, int):
            if not -len(self) <= item < len(self):
                raise IndexError(f"crop {item} of a MeshPoseOutput of {len(self)} crops")
            item = slice(item % len(self), item % len(self) + 1)
        return self._map(lambda tensor: tensor[item])

    def to(self, *args: Any, **kwargs: Any) -> "MeshPoseOutput":
        """Apply ``Tensor.to`` to every tensor."""
        return self._map(lambda tensor: tensor.to(*args, **kwargs))

    def detach(self) -> "MeshPoseOutput":
        """Cut every tensor off the graph."""
        return self._map(torch.Tensor.detach)

    @property
    def visibility(self) -> Tensor:
        """Fusion weight as a probability, (B, V), at least float32."""
        return at_least_float32(self.visibility_logits).sigmoid()

    def _map(self, function: Callable[[Tensor], Tensor]) -> "MeshPoseOutput":
        changed = {field.name: function(getattr(self, field.name)) for field in dataclasses.fields(self)
                   if isinstance(getattr(self, field.name), Tensor)}
        return dataclasses.replace(self, **changed)


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return half precision as float32 and leave float32 and float64 as they are."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
