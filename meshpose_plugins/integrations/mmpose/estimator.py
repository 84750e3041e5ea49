"""MMPose estimator that also brings the vertices back to the image."""
from __future__ import annotations

from typing import Tuple

import torch
from mmengine.logging import print_log
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.registry import MODELS
from torch import Tensor

from meshpose_plugins.data.affine import crop_to_image

from .pretrained import report_pretrained


@MODELS.register_module()
class MeshPoseEstimator(TopdownPoseEstimator):
    """MMPose's top-down estimator whose predictions also hold vertices in image px.

    ``forward(inputs, None, mode='tensor')`` returns the MeshPoseOutput of the head, in crop px.

    Args:
        channels_last: keep feature maps in channels-last memory order; on CPUs convolutions run faster so.
        **kwargs: arguments of TopdownPoseEstimator.
    """

    def __init__(self, *args, channels_last: bool = False, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.channels_last = channels_last
        # Backbones freeze their stages in train(); DistributedDataParallel has to find them frozen.
        self.train()

    def init_weights(self) -> None:
        """Initialise as MMEngine does; log how much of the backbone a pretrained checkpoint filled."""
        report = report_pretrained(self.backbone, "backbone")
        super().init_weights()
        if report is not None:
            print_log(report, logger="current")

    def extract_feat(self, inputs: Tensor) -> Tuple[Tensor, ...]:
        """Backbone and neck features of crops (B, 3, H, W)."""
        if self.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return super().extract_feat(inputs)

    def add_pred_to_datasample(self, batch_pred_instances: list, batch_pred_fields,
                               batch_data_samples: list) -> list:
        """Store predictions in the data samples, keypoints and vertices in image px.

        Args:
            batch_pred_instances: B InstanceData of MeshPoseHead.predict, crop px.
            batch_pred_fields: passed on.
            batch_data_samples: B data samples; ``pred_instances`` is set.

        Returns:
            the data samples.
        """
        for instances, sample in zip(batch_pred_instances, batch_data_samples):
            instances.vertices = crop_to_image(instances.vertices, **{
                name: sample.metainfo[name] for name in ("input_size", "input_center", "input_scale")})
        return super().add_pred_to_datasample(batch_pred_instances, batch_pred_fields, batch_data_samples)
