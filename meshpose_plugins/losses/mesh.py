"""Mesh losses: predicted vertices against those of a true or pseudo mesh."""
from __future__ import annotations

from typing import Optional, Tuple

import torch
from torch import Tensor

from meshpose_plugins.modeling import MeshPoseOutput
from meshpose_plugins.modeling.output import at_least_float32

from .base import MeshPoseLoss, check_shape, masked_mean, mesh_table
from .targets import MeshPoseTargets

PREDICTIONS = ("fused", "regressed", "vertexpose")
UNITS = ("px", "height")
_NO_AREA = 1e-12  # square of twice a face's area, heatmap px ^ 4


def check_which(which: str, allowed=PREDICTIONS) -> str:
    """Return the name of a prediction, or raise ValueError if it is not among those allowed."""
    if which not in allowed:
        raise ValueError(f"which={which!r}: expected one of {', '.join(map(repr, allowed))}")
    return which


def axis_error(predicted: Tensor, target: Tensor, valid: Tensor, z_weight: float) -> Tensor:
    """``(|dx| + |dy|) / 2``, or ``(|dx| + |dy| + z_weight |dz|) / (2 + z_weight)``, of N positions.

    Args:
        predicted: (x, y) or (x, y, z), (B, N, 2 or 3).
        target: the same shape and frame; not read where it is not valid.
        valid: bool, (B, N).
        z_weight: weight of an error in z relative to x and y.

    Returns:
        (B, N), at least float32; 0 where not valid.
    """
    batch, count = valid.shape
    if predicted.shape[-1:] not in {(2,), (3,)}:
        raise ValueError("predicted must have the shape (B, N, 2) or (B, N, 3), got "
                         f"{tuple(predicted.shape)}")
    check_shape("predicted", predicted, batch, count, predicted.shape[-1])
    check_shape("target", target, *predicted.shape)
    difference = at_least_float32(predicted) - target
    difference = difference.where(valid[..., None], difference.new_zeros(())).abs()
    weights = difference.new_tensor([1.0, 1.0, z_weight])[:predicted.shape[-1]]
    return (difference * weights).sum(-1) / weights.sum()


def mesh_heights(vertices: Tensor, valid: Tensor) -> Tensor:
    """Extents in y of meshes.

    Args:
        vertices: (x, y, ...), (B, V, 2 or more).
        valid: bool, (B, V).

    Returns:
        (B,), the vertices' unit; 0 for a mesh without a valid vertex.
    """
    infinity = vertices.new_full((), float("inf"))
    lowest = vertices[..., 1].where(valid, -infinity).amax(1)
    highest = vertices[..., 1].where(valid, infinity).amin(1)
    return (lowest - highest).where(valid.any(1), torch.zeros_like(lowest))


class VertexLoss(MeshPoseLoss):
    """L1 distance of vertices, in heatmap px or heights of the person (ours; published: "mesh cues").

    Mean over valid vertices of ``(|dx| + |dy| + z_weight |dz|) / (2 + z_weight)``. VertexPose predicts no z
    and cannot reach outside the crop: mean over valid vertices in the crop of ``(|dx| + |dy|) / 2``.

    In px, people of whom the crop shows a part rule the sum: they are large in it, and so are their errors.
    With ``unit='height'`` every person's errors are divided by the true mesh's height, as in the 2-D vertex
    error of the evaluation.

    Args:
        loss_weight: factor of this loss in the sum.
        which: 'fused', 'regressed' (that branch alone) or 'vertexpose' (that branch alone).
        z_weight: weight of an error in z relative to x and y.
        unit: 'px' or 'height', percent of the true mesh's height.
        least_height: meshes less high than this, in px, count as if they were as high.
    """

    def __init__(self, loss_weight: float = 1.0, which: str = "fused", z_weight: float = 1.0,
                 unit: str = "px", least_height: float = 8.0) -> None:
        super().__init__(loss_weight)
        if unit not in UNITS:
            raise ValueError(f"VertexLoss: unit={unit!r}: expected one of {', '.join(map(repr, UNITS))}")
        if not least_height > 0:
            raise ValueError(f"VertexLoss: least_height must be positive, got {least_height!r}")
        self.which = check_which(which)
        self.z_weight = float(z_weight)
        self.unit = unit
        self.least_height = float(least_height)

    def forward(self, predicted: Tensor, target: Tensor, valid: Tensor,
                height: Optional[Tensor] = None) -> Tensor:
        """Weighted mean absolute difference.

        Args:
            predicted: (x, y) or (x, y, z), (B, V, 2 or 3).
            target: the same shape and frame.
            valid: bool, (B, V).
            height: of the true meshes, px of that frame, (B,), for ``unit='height'``; if not given, that of
                the valid vertices.

        Returns:
            scalar, px of that frame or percent of the height.
        """
        error = axis_error(predicted, target, valid, self.z_weight)
        if self.unit == "height":
            height = mesh_heights(target, valid) if height is None else height
            check_shape("height", height, len(valid))
            error = 100 * error / height.clamp(min=self.least_height)[:, None]
        return masked_mean(error, valid)

    def from_output(self, output: MeshPoseOutput, targets: MeshPoseTargets) -> Tensor:
        target = targets.vertices / output.stride
        height = mesh_heights(target, targets.vertices_valid) if self.unit == "height" else None
        if self.which == "vertexpose":
            return self(output.xy_vertexpose, target[..., :2], targets.vertices_in_crop(), height)
        predicted = output.xyz_crop if self.which == "fused" else output.xyz_regressed
        return self(predicted / output.stride, target, targets.vertices_valid, height)


class _WholeMeshLoss(MeshPoseLoss):
    """A comparison of whole meshes in heatmap px, z stretched by ``z_weight``."""

    def __init__(self, loss_weight: float, which: str, z_weight: float) -> None:
        super().__init__(loss_weight)
        self.which = check_which(which, PREDICTIONS[:2])
        self.z_weight = float(z_weight)

    def from_output(self, output: MeshPoseOutput, targets: MeshPoseTargets) -> Tensor:
        predicted = output.xyz_crop if self.which == "fused" else output.xyz_regressed
        return self(predicted / output.stride, targets.vertices / output.stride, targets.vertices_valid)

    def _stretched(self, predicted: Tensor, target: Tensor, valid: Tensor) -> Tuple[Tensor, Tensor]:
        """Both meshes (B, V, 3), checked, with z stretched; the true one 0 where it is not valid."""
        batch, vertices = valid.shape
        check_shape("predicted", predicted, batch, vertices, 3)
        check_shape("target", target, batch, vertices, 3)
        target = target.where(valid[..., None], target.new_zeros(()))
        return tuple(xyz * xyz.new_tensor([1.0, 1.0, self.z_weight])
                     for xyz in (at_least_float32(predicted), target))


class EdgeLengthLoss(_WholeMeshLoss):
    """L1 difference of the predicted and the true mesh's edge lengths, in heatmap px (our choice).

    Args:
        edges: vertex ids of every edge, (E, 2).
        template: name or path of the template whose edges are taken; give this or ``edges``.
        loss_weight: factor of this loss in the sum.
        which: 'fused' or 'regressed'.
        z_weight: factor of z before lengths are measured.
    """

    def __init__(self, edges=None, template: Optional[str] = None, loss_weight: float = 1.0,
                 which: str = "fused", z_weight: float = 1.0) -> None:
        super().__init__(loss_weight, which, z_weight)
        self.register_buffer("edges", mesh_table(self, "edges", edges, template), persistent=False)

    def forward(self, predicted: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Mean over the edges whose two vertices are valid.

        Args:
            predicted: (x, y, z), (B, V, 3).
            target: the same shape and frame.
            valid: bool, (B, V).

        Returns:
            scalar, px of that frame.
        """
        predicted, target = self._stretched(predicted, target, valid)
        difference = self._lengths(predicted) - self._lengths(target)
        return masked_mean(difference.abs(), valid[:, self.edges].all(-1))

    def _lengths(self, xyz: Tensor) -> Tensor:
        """Edge lengths, (B, E); the small constant keeps the gradient of a collapsed edge finite."""
        ends = xyz[:, self.edges]
        return ((ends[:, :, 0] - ends[:, :, 1]).square().sum(-1) + 1e-12).sqrt()


class FaceNormalLoss(_WholeMeshLoss):
    """How far the normals of predicted faces turn away from the true mesh's (our choice).

    With c the cross product of two sides of a face (its normal, twice as long as its area is large):
    ``sum |c_true| - c_true . c / max(|c|, softness |c_true|)``, over ``sum |c_true|``: the mean of 1 - cos of
    the angles, weighted by the true faces' areas, for every person, and the mean over people. A true face
    without an area says nothing, and the gradient of a predicted face that has collapsed stays bounded.

    Args:
        faces: vertex ids of every face, (F, 3); give this or ``template``.
        template: name or path of the template whose faces are taken.
        loss_weight: factor of this loss in the sum.
        which: 'fused' or 'regressed'.
        z_weight: factor of z before normals are taken.
        softness: predicted faces with less than this part of the true area count by their area, not by their
            angle alone.
    """

    def __init__(self, faces=None, template: Optional[str] = None, loss_weight: float = 1.0,
                 which: str = "fused", z_weight: float = 1.0, softness: float = 0.1) -> None:
        super().__init__(loss_weight, which, z_weight)
        if not 0 < softness <= 1:
            raise ValueError(f"FaceNormalLoss: softness must be in (0, 1], got {softness}")
        self.register_buffer("faces", mesh_table(self, "faces", faces, template), persistent=False)
        self.softness = float(softness)

    def forward(self, predicted: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Mean over people with a face whose three vertices are valid.

        Args:
            predicted: (x, y, z), (B, V, 3).
            target: the same shape and frame.
            valid: bool, (B, V).

        Returns:
            scalar in [0, 2].
        """
        normals, truth = map(self._normals, self._stretched(predicted, target, valid))
        size = truth.square().sum(-1)
        counts = valid[:, self.faces].all(-1) & (size > _NO_AREA)
        size = size.where(counts, torch.ones_like(size))
        length = torch.maximum(normals.square().sum(-1), self.softness ** 2 * size).sqrt()
        size = size.sqrt()
        cost = (size - (normals * truth).sum(-1) / length).where(counts, torch.zeros_like(size)).sum(1)
        return masked_mean(cost / (size * counts).sum(1).where(counts.any(1), torch.ones_like(cost)),
                           counts.any(1))

    def _normals(self, xyz: Tensor) -> Tensor:
        """Cross products of two sides of every face, (B, F, 3)."""
        a, b, c = xyz[:, self.faces].unbind(2)
        return torch.linalg.cross(b - a, c - a)
