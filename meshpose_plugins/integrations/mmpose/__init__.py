"""MeshPose for MMPose 1.x. Importing this module registers all parts; a config does so with the line

``custom_imports = dict(imports=['meshpose_plugins.integrations.mmpose'], allow_failed_imports=False)``
"""
from . import compat

compat.apply()  # before anything of MMPose is imported

from . import backbone, checkpoint_hook, checkpoints, loops, mobilenet, modeling, neck, optim, shipped  # noqa: E402,F401
from .augmentation import RandomOcclusion, RandomTruncation  # noqa: E402
from .dataset import MeshPoseDataset  # noqa: E402
from .densepose_metric import DensePoseMetric  # noqa: E402
from .estimator import MeshPoseEstimator  # noqa: E402
from .formatting import PackMeshPoseInputs  # noqa: E402
from .head import MeshPoseHead, targets_of_data_samples  # noqa: E402
from .mesh_metrics import MeshMetric, TemporalMetric  # noqa: E402
from .metric import MeshPoseMetric  # noqa: E402
from .mixture import MixtureSampler  # noqa: E402
from .training_hooks import LossWeightSchedule, StagedTraining  # noqa: E402
from .transforms import MeshPoseTransform  # noqa: E402
from .visualization_hook import MeshPoseVisualizationHook  # noqa: E402

__all__ = ["DensePoseMetric", "LossWeightSchedule", "MeshMetric", "MeshPoseDataset", "MeshPoseEstimator",
           "MeshPoseHead", "MeshPoseMetric", "MeshPoseTransform", "MeshPoseVisualizationHook",
           "MixtureSampler", "PackMeshPoseInputs", "RandomOcclusion", "RandomTruncation", "StagedTraining",
           "TemporalMetric", "targets_of_data_samples"]
