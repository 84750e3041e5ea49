"""Losses of MeshPose in plain PyTorch, one file per family; lengths are in heatmap px."""
from .barycentric import BarycentricLoss
from .base import MeshPoseLoss
from .criterion import MeshPoseCriterion
from .heatmap import VertexHeatmapLoss
from .joints import JointLoss
from .mesh import EdgeLengthLoss, FaceNormalLoss, VertexLoss
from .silhouette import SilhouetteLoss
from .targets import MeshPoseTargets
from .uv_consistency import UVConsistencyLoss
from .visibility import VisibilityLoss

__all__ = ["BarycentricLoss", "EdgeLengthLoss", "FaceNormalLoss", "JointLoss", "MeshPoseCriterion",
           "MeshPoseLoss", "MeshPoseTargets", "SilhouetteLoss", "UVConsistencyLoss", "VertexHeatmapLoss",
           "VertexLoss", "VisibilityLoss"]
