"""Registration of the framework-free network parts and losses in MMPose's registry."""
from __future__ import annotations

from mmengine.registry import MODELS as MMENGINE_MODELS
from mmpose.registry import MODELS

from meshpose_plugins import losses, modeling

PARTS = (modeling.VertexPoseBranch, modeling.RegressionBranch, modeling.VisibilityFusion,
         losses.BarycentricLoss, losses.UVConsistencyLoss, losses.VisibilityLoss, losses.VertexLoss,
         losses.EdgeLengthLoss, losses.VertexHeatmapLoss, losses.FaceNormalLoss, losses.JointLoss,
         losses.SilhouetteLoss)

for part in PARTS:
    MODELS.register_module(module=part)
# mmcv looks layers up in MMEngine's registry where no scope is set.
MMENGINE_MODELS.register_module(module=modeling.Float32DepthwiseConv2d)
