"""Joint loss: joints regressed from the predicted vertices, in 2-D or 3-D."""
from __future__ import annotations

from typing import Optional, Sequence

import numpy as np
import torch
from torch import Tensor

from meshpose_plugins.modeling import MeshPoseOutput
from meshpose_plugins.modeling.output import at_least_float32

from .base import MeshPoseLoss, check_shape
from .mesh import PREDICTIONS, axis_error, check_which
from .targets import MeshPoseTargets

#: What the predicted joints are compared with -> the template's regressor for it.
REGRESSOR_OF_TARGET = {"keypoints": "keypoints", "joints": "joints", "mesh": "joints"}


class JointLoss(MeshPoseLoss):
    """L1 distance of joints, which are affine combinations of the predicted vertices, in heatmap px.

    Weighted mean over valid joints of ``(|dx| + |dy|) / 2`` in 2-D, ``(|dx| + |dy| + z_weight |dz|) / (2 +
    z_weight)`` in 3-D (our choice). Joints outside the crop count, except those of VertexPose alone, which
    cannot reach there.

    Args:
        target: 'keypoints' (2-D, ``targets.keypoints``), 'joints' (3-D, ``targets.joints``) or 'mesh' (3-D,
            the true mesh through the same regressor).
        regressor: 'keypoints' or 'joints' of the template (made symmetric), or a matrix (J, V), taken as it
            is; default: the template's for the target.
        template: name or path of the template, for regressors that are named.
        loss_weight: factor of this loss in the sum.
        which: 'fused', 'regressed' or 'vertexpose'; the latter in 2-D whatever the target.
        weights: weight of every joint, (J,); default: all 1.
        z_weight: weight of an error in z relative to x and y.
    """

    def __init__(self, target: str = "keypoints", regressor=None, template: Optional[str] = None,
                 loss_weight: float = 1.0, which: str = "fused", weights: Optional[Sequence[float]] = None,
                 z_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        if target not in REGRESSOR_OF_TARGET:
            raise ValueError(f"JointLoss: target={target!r}: expected one of "
                             f"{', '.join(map(repr, REGRESSOR_OF_TARGET))}")
        self.target = target
        self.which = check_which(which, PREDICTIONS)
        self.z_weight = float(z_weight)
        regressor = _regressor(REGRESSOR_OF_TARGET[target] if regressor is None else regressor, template)
        self.register_buffer("regressor", regressor, persistent=False)
        weights = torch.ones(len(regressor)) if weights is None else torch.as_tensor(weights).float()
        check_shape("weights", weights, len(regressor))
        if not (weights >= 0).all() or not weights.sum() > 0:
            raise ValueError(f"JointLoss: weights must be >= 0 and not all 0, got {weights.tolist()}")
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, predicted: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Weighted mean absolute difference over all valid joints of the batch.

        Args:
            predicted: joints (x, y) or (x, y, z), (B, J, 2 or 3).
            target: the same shape and frame.
            valid: bool, (B, J).

        Returns:
            scalar, px of that frame.
        """
        check_shape("valid", valid, None, len(self.weights))
        error = axis_error(predicted, target, valid, self.z_weight)
        counts = self.weights.to(error.dtype) * valid
        total = counts.sum()
        return (error * counts).sum() / total.where(total > 0, torch.ones_like(total))

    def from_output(self, output: MeshPoseOutput, targets: MeshPoseTargets) -> Tensor:
        predicted = {"fused": output.xyz_crop, "regressed": output.xyz_regressed,
                     "vertexpose": output.xy_vertexpose * output.stride}[self.which]
        joints = self.regress(at_least_float32(predicted))
        target, valid = self._labels(targets, joints)
        if target.shape[-1] < joints.shape[-1]:
            joints = joints[..., :2]
        target = target[..., :joints.shape[-1]]
        if self.which == "vertexpose":
            valid = valid & targets.in_crop(target)
        return self(joints / output.stride, target / output.stride, valid)

    def regress(self, vertices: Tensor) -> Tensor:
        """Joints (B, J, D) of vertices (B, V, D)."""
        check_shape("vertices", vertices, None, self.regressor.shape[1], None)
        with torch.autocast(vertices.device.type, enabled=False):
            return self.regressor.to(vertices.dtype) @ vertices

    def _labels(self, targets: MeshPoseTargets, like: Tensor):
        """True joints in crop px, and which there are; none at all without labels of this kind."""
        if self.target == "mesh":
            needed = self.regressor != 0
            missing = (needed & ~targets.vertices_valid[:, None]).any(-1)
            valid = targets.vertices_valid[..., None]
            vertices = targets.vertices.where(valid, targets.vertices.new_zeros(()))
            return self.regress(vertices.to(like.dtype)), ~missing
        target = getattr(targets, self.target)
        if target is None:
            return like.detach(), torch.zeros(like.shape[:2], dtype=torch.bool, device=like.device)
        return target.to(like.dtype), getattr(targets, f"{self.target}_valid")


def symmetric_regressor(regressor: np.ndarray, vertices: np.ndarray, symmetry: np.ndarray) -> np.ndarray:
    """Mean of a regressor and its mirror image, so that a flipped person's joints are the flipped joints.

    Regressors are fitted side by side; ours differ by up to 9 mm between left and right.

    Args:
        regressor: (J, V); joints come in left-right pairs, or lie in the middle.
        vertices: rest pose, (V, 3).
        symmetry: left-right partner of every vertex, (V,).

    Returns:
        (J, V).

    Raises:
        ValueError: a joint has no partner.
    """
    mirrored = regressor[:, symmetry]
    distances = np.linalg.norm((mirrored @ vertices)[:, None] - regressor @ vertices, axis=-1)
    partner = distances.argmin(1)
    if (partner[partner] != np.arange(len(partner))).any():
        alone = int(np.flatnonzero(partner[partner] != np.arange(len(partner)))[0])
        raise ValueError(f"joint {alone} of the regressor has no left-right partner")
    return (regressor + mirrored[partner]) / 2


def _regressor(regressor, template: Optional[str]) -> Tensor:
    """Matrix (J, V) of a name or of itself."""
    if isinstance(regressor, str):
        names = ("keypoints", "joints")
        if regressor not in names:
            raise ValueError(f"JointLoss: regressor={regressor!r}: expected 'keypoints', 'joints' or a "
                             "matrix (J, V)")
        if template is None:
            raise ValueError(f"JointLoss: regressor={regressor!r} needs template='anny', or give a matrix "
                             "(J, V)")
        from meshpose_plugins.templates import load_template
        loaded = load_template(template)
        matrix = loaded.keypoint_regressor if regressor == "keypoints" else loaded.joint_regressor
        regressor = symmetric_regressor(matrix, loaded.vertices, loaded.symmetry)
    matrix = torch.tensor(regressor) if not isinstance(regressor, Tensor) else regressor
    check_shape("regressor", matrix, "J", "V")
    return matrix if matrix.is_floating_point() else matrix.float()
