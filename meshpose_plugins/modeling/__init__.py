"""Network parts of MeshPose in plain PyTorch: the two branches, their fusion, and what they predict."""
from .flip import average_flipped
from .fusion import VisibilityFusion
from .network import MeshPoseNetwork
from .output import MeshPoseOutput
from .regression import BinnedRegressor, RegressionBranch
from .seams import SeamAverage
from .soft_argmax import soft_argmax_1d, soft_argmax_2d, spatial_softmax_statistics
from .vertexpose import VertexPoseBranch

__all__ = ["BinnedRegressor", "MeshPoseNetwork", "MeshPoseOutput", "RegressionBranch", "SeamAverage",
           "VertexPoseBranch", "VisibilityFusion", "average_flipped", "soft_argmax_1d", "soft_argmax_2d",
           "spatial_softmax_statistics"]
