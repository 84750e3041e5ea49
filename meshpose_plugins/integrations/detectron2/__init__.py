"""MeshPose for detectron2. Importing this module registers all parts in its registries.

A config gets its keys with ``add_meshpose_config(cfg)``, or becomes that of a MeshPose model with
``enable_meshpose(cfg)``.
"""

try:
    import detectron2  # noqa: F401
except ImportError as error:
    raise ImportError(
        "meshpose_plugins.integrations.detectron2 needs detectron2, which is not installed. After torch and "
        "torchvision: pip install --no-build-isolation "
        "'git+https://github.com/facebookresearch/detectron2' (docs/installation.md says what else there is)"
    ) from error

from . import backbone  # noqa: F401,E402
from .catalog import register_densepose_coco, register_folder, register_from_config  # noqa: E402
from .config import add_meshpose_config, enable_meshpose  # noqa: E402
from .detectors import Detectron2Detector, PredictorDetector  # noqa: E402
from .evaluator import MeshPoseEvaluator, PersonBoxEvaluator  # noqa: E402
from .head import (  # noqa: E402
    ROI_MESHPOSE_HEAD_REGISTRY,
    MeshPoseConvHead,
    MeshPosePredictor,
    build_meshpose_head,
)
from .mapper import MeshPoseDatasetMapper  # noqa: E402
from .meta_arch import MeshPoseRCNN, resize_meshes  # noqa: E402
from .roi_heads import MeshPoseCascadeROIHeads, MeshPoseROIHeads, MeshPoseROIHeadsMixin  # noqa: E402
from .trainer import MeshPoseTrainer  # noqa: E402
from .tta import MeshPoseRCNNWithTTA  # noqa: E402

__all__ = [
    "Detectron2Detector",
    "MeshPoseCascadeROIHeads",
    "MeshPoseConvHead",
    "MeshPoseDatasetMapper",
    "MeshPoseEvaluator",
    "MeshPosePredictor",
    "MeshPoseRCNN",
    "MeshPoseRCNNWithTTA",
    "MeshPoseROIHeads",
    "MeshPoseROIHeadsMixin",
    "MeshPoseTrainer",
    "PersonBoxEvaluator",
    "PredictorDetector",
    "ROI_MESHPOSE_HEAD_REGISTRY",
    "add_meshpose_config",
    "build_meshpose_head",
    "enable_meshpose",
    "register_densepose_coco",
    "register_folder",
    "register_from_config",
    "resize_meshes",
]
