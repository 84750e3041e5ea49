"""Network parts of MeshPose in plain PyTorch: the two branches, their fusion, and what they predict."""
from .depthwise import Float32DepthwiseConv2d
from .flip import average_flipped
from .fusion import VisibilityFusion
from .image_meshes import ImageMeshes
from .network import MeshPoseNetwork
from .output import MeshPoseOutput
from .regions import RegionFrames, scale_boxes
from .regression import BinnedRegressor, RegressionBranch
from .seams import SeamAverage
from .soft_argmax import soft_argmax_1d, soft_argmax_2d, spatial_softmax_statistics
from .vertexpose import VertexPoseBranch

__all__ = ["BinnedRegressor", "Float32DepthwiseConv2d", "ImageMeshes", "MeshPoseNetwork", "MeshPoseOutput",
           "RegionFrames", "RegressionBranch", "SeamAverage", "VertexPoseBranch", "VisibilityFusion",
           "average_flipped", "scale_boxes", "soft_argmax_1d", "soft_argmax_2d", "spatial_softmax_statistics"]
