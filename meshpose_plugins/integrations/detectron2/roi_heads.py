"""A mesh head beside the box, mask and keypoint heads of an R-CNN."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, List, Optional, Tuple

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling.meta_arch.semantic_seg import SemSegFPNHead
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY, CascadeROIHeads, StandardROIHeads
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn

from meshpose_plugins.losses import MeshPoseTargets
from meshpose_plugins.modeling import ImageMeshes, RegionFrames, scale_boxes

from .head import MeshPosePredictor, build_meshpose_head


class MeshPoseROIHeadsMixin:
    """Adds a mesh head to ROI heads derived from ``StandardROIHeads``; stands first among the base classes.

    The box, mask and keypoint heads work as before. In training the sampled proposals of labelled people go
    through the mesh head; their ``gt_mesh`` (MeshPoseTargets in image px) comes from MeshPoseDatasetMapper.
    At test time the detected people get the field ``pred_mesh`` (ImageMeshes).

    Args:
        meshpose_in_features: names of the levels that are read.
        meshpose_decoder: fuses them into one map, or None.
        meshpose_pooler: pools boxes from the levels, or from the fused map.
        meshpose_head: from pooled maps to the maps that the predictor reads.
        meshpose_predictor: from those to vertices.
        meshpose_box_scale: boxes are grown by this factor before pooling.
        meshpose_person_class: class of people.
        meshpose_train_regions: proposals per image that are trained on at most.
        meshpose_test_regions: boxes that go through the head at once at test time.
        meshpose_on: False: as without this mixin.
        **kwargs: of the other base class.
    """

    @configurable
    def __init__(
        self,
        *,
        meshpose_in_features: List[str],
        meshpose_decoder: Optional[SemSegFPNHead],
        meshpose_pooler: ROIPooler,
        meshpose_head: nn.Module,
        meshpose_predictor: MeshPosePredictor,
        meshpose_box_scale: float = 1.1,
        meshpose_person_class: int = 0,
        meshpose_train_regions: int = 16,
        meshpose_test_regions: int = 32,
        meshpose_on: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.meshpose_in_features = meshpose_in_features
        self.meshpose_decoder = meshpose_decoder
        self.meshpose_pooler = meshpose_pooler
        self.meshpose_head = meshpose_head
        self.meshpose_predictor = meshpose_predictor
        self.meshpose_box_scale = meshpose_box_scale
        self.meshpose_person_class = meshpose_person_class
        self.meshpose_train_regions = meshpose_train_regions
        self.meshpose_test_regions = meshpose_test_regions
        self.meshpose_on = meshpose_on

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Dict[str, ShapeSpec]) -> dict:
        return {**super().from_config(cfg, input_shape), **cls._init_meshpose_head(cfg, input_shape)}

    @classmethod
    def _init_meshpose_head(cls, cfg: CfgNode, input_shape: Dict[str, ShapeSpec]) -> dict:
        node, in_features = cfg.MODEL.ROI_MESHPOSE_HEAD, cfg.MODEL.ROI_HEADS.IN_FEATURES
        if not 0 <= node.PERSON_CLASS < cfg.MODEL.ROI_HEADS.NUM_CLASSES:
            raise ValueError(
                f"MODEL.ROI_MESHPOSE_HEAD.PERSON_CLASS={node.PERSON_CLASS}, but the detector has "
                f"MODEL.ROI_HEADS.NUM_CLASSES={cfg.MODEL.ROI_HEADS.NUM_CLASSES}"
            )
        shapes = {name: input_shape[name] for name in in_features}
        decoder, strides = None, [shape.stride for shape in shapes.values()]
        channels = next(iter(shapes.values())).channels
        if node.DECODER_ON:
            channels, strides = node.DECODER_CONV_DIM, [node.DECODER_COMMON_STRIDE]
            decoder = SemSegFPNHead(
                shapes,
                num_classes=channels,
                conv_dims=channels,
                norm=node.DECODER_NORM,
                common_stride=node.DECODER_COMMON_STRIDE,
            )
        pooler = ROIPooler(
            node.POOLER_RESOLUTION,
            scales=[1.0 / stride for stride in strides],
            sampling_ratio=node.POOLER_SAMPLING_RATIO,
            pooler_type=node.POOLER_TYPE,
        )
        side = node.POOLER_RESOLUTION
        head = build_meshpose_head(cfg, ShapeSpec(channels=channels, height=side, width=side))
        return dict(
            meshpose_in_features=in_features,
            meshpose_decoder=decoder,
            meshpose_pooler=pooler,
            meshpose_head=head,
            meshpose_predictor=MeshPosePredictor(cfg, head.output_shape),
            meshpose_box_scale=node.BOX_SCALE,
            meshpose_person_class=node.PERSON_CLASS,
            meshpose_train_regions=node.TRAIN_REGIONS_PER_IMAGE,
            meshpose_test_regions=node.TEST_REGIONS_PER_PASS,
            meshpose_on=cfg.MODEL.MESHPOSE_ON,
        )

    def forward(
        self,
        images,
        features: Dict[str, Tensor],
        proposals: List[Instances],
        targets: Optional[List[Instances]] = None,
    ) -> Tuple[List[Instances], Dict[str, Tensor]]:
        """As ``StandardROIHeads.forward``, with mesh losses in training and ``pred_mesh`` at test time."""
        instances, losses = super().forward(images, features, proposals, targets)
        if self.training:
            losses.update(self._meshpose_losses(features, instances))
        return instances, losses

    def forward_with_given_boxes(
        self, features: Dict[str, Tensor], instances: List[Instances]
    ) -> List[Instances]:
        """As ``StandardROIHeads.forward_with_given_boxes``; people also get ``pred_mesh``."""
        instances = super().forward_with_given_boxes(features, instances)
        if self.meshpose_on:
            self._predict_meshes(features, instances)
        return instances

    def _pool(self, features: Dict[str, Tensor], boxes: List[Tensor]) -> Tensor:
        """Pooled maps of the boxes of all images, (N, C, P, P)."""
        if self.meshpose_decoder is not None:
            levels = [
                self.meshpose_decoder.layers({name: features[name] for name in self.meshpose_in_features})
            ]
        else:
            levels = [features[name] for name in self.meshpose_in_features]
        return self.meshpose_pooler(levels, [Boxes(tensor) for tensor in boxes])

    def _frames(self, boxes: List[Tensor]) -> RegionFrames:
        return RegionFrames.of_boxes(
            torch.cat(boxes), self.meshpose_head.output_shape.height, self.meshpose_predictor.network.stride
        )

    def _meshpose_losses(self, features: Dict[str, Tensor], proposals: List[Instances]) -> Dict[str, Tensor]:
        """Losses of the labelled people among the sampled proposals."""
        if not self.meshpose_on:
            return {}
        people = [self._labelled_people(per_image) for per_image in proposals]
        boxes = [
            scale_boxes(per_image.proposal_boxes.tensor, self.meshpose_box_scale) for per_image in people
        ]
        if not sum(map(len, people)):
            parts = [self.meshpose_head] + (
                [self.meshpose_decoder] if self.meshpose_decoder is not None else []
            )
            return self.meshpose_predictor.zero_losses(*parts)
        output = self.meshpose_predictor(self.meshpose_head(self._pool(features, boxes)))
        targets = MeshPoseTargets.cat(
            [self._targets(per_image, rows) for per_image, rows in zip(people, boxes) if len(per_image)]
        )
        return self.meshpose_predictor.losses(output, targets)

    def _targets(self, people: Instances, boxes: Tensor) -> MeshPoseTargets:
        """Labels of one image's proposals in the crops of their grown boxes; masks at the heatmaps' size."""
        targets = people.gt_mesh.in_regions(self._frames([boxes]))
        if self._reads_masks(people):
            masks = people.gt_masks.crop_and_resize(boxes, self.meshpose_head.output_shape.height)
            masks = masks.to(boxes.device)
            valid = people.gt_masks.nonempty().to(boxes.device)
            targets = replace(targets, person_mask=masks.to(boxes.dtype), person_mask_valid=valid)
        return targets

    def _reads_masks(self, people: Instances) -> bool:
        return "silhouette" in self.meshpose_predictor.criterion.losses and people.has("gt_masks")

    def _labelled_people(self, proposals: Instances) -> Instances:
        """Proposals of one image on people with labels of any kind, at most meshpose_train_regions."""
        if not proposals.has("gt_boxes"):  # nobody in the image
            return proposals[:0]
        if not proposals.has("gt_mesh"):
            raise ValueError(
                "the training data have no 'gt_mesh': build the data loader with "
                "mapper=MeshPoseDatasetMapper(cfg, is_train=True), as MeshPoseTrainer does"
            )
        labelled = proposals.gt_mesh.labelled()
        if self._reads_masks(proposals):
            labelled = labelled | proposals.gt_masks.nonempty().to(labelled.device)
        chosen = ((proposals.gt_classes == self.meshpose_person_class) & labelled).nonzero()[:, 0]
        order = torch.randperm(len(chosen), device=chosen.device)[: self.meshpose_train_regions]
        return proposals[chosen[order]]

    def _predict_meshes(self, features: Dict[str, Tensor], instances: List[Instances]) -> None:
        """Set ``pred_mesh`` of all images' instances; all people go through the network together."""
        people = [(found.pred_classes == self.meshpose_person_class).nonzero()[:, 0] for found in instances]
        boxes = [
            scale_boxes(found.pred_boxes.tensor[index], self.meshpose_box_scale)
            for found, index in zip(instances, people)
        ]
        count = self.meshpose_predictor.template.num_vertices
        vertices, visibility = self._vertices(features, boxes)
        start = 0
        for found, index in zip(instances, people):
            piece = slice(start, start + len(index))
            mesh = ImageMeshes(
                vertices.new_full((len(found), count, 3), float("nan")),
                visibility.new_zeros(len(found), count),
                found.image_size,
            )
            mesh.vertices[index], mesh.visibility[index] = vertices[piece], visibility[piece]
            found.pred_mesh = mesh
            start += len(index)

    def _vertices(self, features: Dict[str, Tensor], boxes: List[Tensor]) -> Tuple[Tensor, Tensor]:
        """Vertices (N, V, 3) in image px and visibility (N, V) of the people in all boxes."""
        count = self.meshpose_predictor.template.num_vertices
        if not sum(map(len, boxes)):
            return boxes[0].new_zeros(0, count, 3), boxes[0].new_zeros(0, count)
        outputs = [
            self.meshpose_predictor(self.meshpose_head(piece))
            for piece in self._pool(features, boxes).split(self.meshpose_test_regions)
        ]
        xyz_crop = torch.cat([output.xyz_crop for output in outputs])
        return self._frames(boxes).to_image(xyz_crop), torch.cat([output.visibility for output in outputs])


@ROI_HEADS_REGISTRY.register()
class MeshPoseROIHeads(MeshPoseROIHeadsMixin, StandardROIHeads):
    """``StandardROIHeads`` with a mesh head."""


@ROI_HEADS_REGISTRY.register()
class MeshPoseCascadeROIHeads(MeshPoseROIHeadsMixin, CascadeROIHeads):
    """``CascadeROIHeads`` with a mesh head."""
