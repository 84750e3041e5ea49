"""Test-time augmentation that averages meshes over sizes and mirror images."""

from __future__ import annotations

from typing import List

import torch
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.modeling.test_time_augmentation import GeneralizedRCNNWithTTA
from detectron2.structures import Instances
from fvcore.transforms import HFlipTransform

from meshpose_plugins.modeling import ImageMeshes


class MeshPoseRCNNWithTTA(GeneralizedRCNNWithTTA):
    """``GeneralizedRCNNWithTTA`` whose results also have ``pred_mesh``.

    Boxes are merged over all augmented images as before. The meshes of the merged boxes are predicted in
    every augmented image, brought back to the image (mirrored ones with left and right exchanged) and
    averaged.
    """

    def _turn_off_roi_heads(self, attrs):
        return super()._turn_off_roi_heads([*attrs, "meshpose_on"])

    def _inference_one_image(self, input):
        size = (input["height"], input["width"])
        augmented, transforms = self._get_augmented_inputs(input)
        with self._turn_off_roi_heads(["mask_on", "keypoint_on"]):
            found = self._get_augmented_boxes(augmented, transforms)
        merged = self._merge_detections(*found, size)
        if self.cfg.MODEL.MASK_ON or self.cfg.MODEL.MESHPOSE_ON:
            outputs = self._batch_inference(
                augmented, self._rescale_detected_boxes(augmented, merged, transforms)
            )
            if self.cfg.MODEL.MESHPOSE_ON:
                merged.pred_mesh = self._average_meshes(outputs, transforms, size)
            if self.cfg.MODEL.MASK_ON:
                merged.pred_masks = self._reduce_pred_masks(outputs, transforms)
                merged = detector_postprocess(merged, *size)
        return {"instances": merged}

    def _average_meshes(self, outputs: List[Instances], transforms: List, size) -> ImageMeshes:
        """Mean over the augmented images, in px of the original one."""
        template = self.model.roi_heads.meshpose_predictor.template
        meshes = []
        for output, transform in zip(outputs, transforms):
            mesh = output.pred_mesh
            if any(isinstance(step, HFlipTransform) for step in transform.transforms):
                mesh = mesh.mirrored(template)
            meshes.append(mesh.resized(size))
        return ImageMeshes(
            torch.stack([mesh.vertices for mesh in meshes]).mean(0),
            torch.stack([mesh.visibility for mesh in meshes]).mean(0),
            size,
        )
