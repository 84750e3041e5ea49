"""Images and labels of one data set entry through detectron2's augmentations."""

from __future__ import annotations

import copy
import logging
from typing import Dict, List, Optional

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import DatasetMapper
from detectron2.data import detection_utils as utils
from detectron2.data import transforms as T
from detectron2.data.datasets.builtin_meta import (
    COCO_PERSON_KEYPOINT_FLIP_MAP,
    COCO_PERSON_KEYPOINT_NAMES,
)

from meshpose_plugins.data.affine import carry_points, carry_vertices, is_mirror
from meshpose_plugins.data.densepose import NUM_KEYPOINTS
from meshpose_plugins.data.meshes import MeshLabels, load_meshes
from meshpose_plugins.deploy.images import read_image
from meshpose_plugins.losses import MeshPoseTargets
from meshpose_plugins.templates import load_template

#: So many unreadable images one after the other are an error in training too.
MAX_UNREADABLE = 20
_logger = logging.getLogger(__name__)
_PARTNERS = {**dict(COCO_PERSON_KEYPOINT_FLIP_MAP), **{b: a for a, b in COCO_PERSON_KEYPOINT_FLIP_MAP}}
_MIRRORED_KEYPOINTS = [
    COCO_PERSON_KEYPOINT_NAMES.index(_PARTNERS.get(name, name)) for name in COCO_PERSON_KEYPOINT_NAMES
]


class MeshPoseDatasetMapper(DatasetMapper):
    """``DatasetMapper`` whose instances also have ``gt_mesh``: points and meshes where the image was taken.

    All augmentations of detectron2 that move pixels by an affine map are followed: resizing, cropping,
    flipping, rotating. Images are read as everywhere in this library: gray, 16-bit, palette and transparent
    ones work.

    Args:
        is_train: as in ``DatasetMapper``.
        template: name or path of the template.
        need_masks: read the masks of people, though no mask head needs them.
        need_keypoints: ``gt_mesh`` holds keypoints too.
        **kwargs: as in ``DatasetMapper``.
    """

    @configurable
    def __init__(
        self,
        is_train: bool,
        *,
        template: str = "anny",
        need_masks: bool = False,
        need_keypoints: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(is_train, **kwargs)
        self.template = load_template(template)
        self.need_masks = need_masks
        self.need_keypoints = need_keypoints
        self._mesh_files: Dict[str, MeshLabels] = {}
        self._unreadable_in_a_row = 0
        if self.image_format not in ("RGB", "BGR"):
            raise ValueError(f"INPUT.FORMAT={self.image_format!r}: MeshPoseDatasetMapper reads RGB and BGR")

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict:
        node = cfg.MODEL.ROI_MESHPOSE_HEAD
        return {
            **super().from_config(cfg, is_train),
            "template": node.TEMPLATE,
            "need_masks": cfg.MODEL.MESHPOSE_ON and node.LOSS_WEIGHTS.SILHOUETTE > 0,
            "need_keypoints": node.LOSS_WEIGHTS.KEYPOINT > 0,
        }

    def __call__(self, dataset_dict: dict) -> dict:
        """Return a model input: ``image``, and in training ``instances``.

        In training None stands for an image that cannot be read: it is named in the log, and detectron2's
        data set draws another one. Many in a row are an error.
        """
        dataset_dict = copy.deepcopy(dataset_dict)
        try:
            image = self._read(dataset_dict)
        except (FileNotFoundError, ValueError) as error:
            self._unreadable_in_a_row += 1
            if not self.is_train or self._unreadable_in_a_row >= MAX_UNREADABLE:
                raise
            _logger.warning("image skipped: %s", error)
            return None
        self._unreadable_in_a_row = 0
        aug_input = T.AugInput(image)
        height, width = aug_input.image.shape[:2]
        transforms = self.augmentations(aug_input)
        shape = aug_input.image.shape[:2]
        dataset_dict["image"] = torch.as_tensor(np.ascontiguousarray(aug_input.image.transpose(2, 0, 1)))
        if self.proposal_topk is not None:
            utils.transform_proposals(dataset_dict, shape, transforms, proposal_topk=self.proposal_topk)
        annotations = dataset_dict.pop("annotations", None)
        if self.is_train and annotations is not None:
            people = [annotation for annotation in annotations if not annotation.get("iscrowd", 0)]
            labels = self._labels(people, affine_map(transforms, width, height), shape)
            dataset_dict["instances"] = self._instances(people, labels, transforms, shape)
        return dataset_dict

    def _read(self, dataset_dict: dict) -> np.ndarray:
        """The image in the config's format, (H, W, 3) uint8, of the size that the annotations say."""
        image = read_image(dataset_dict["file_name"])
        utils.check_image_size(dataset_dict, image)
        return image if self.image_format == "RGB" else np.ascontiguousarray(image[..., ::-1])

    def _labels(self, people: List[dict], matrix: np.ndarray, shape) -> MeshPoseTargets:
        """Points and meshes in px of the augmented image."""
        symmetry, size = np.asarray(self.template.symmetry), (shape[1], shape[0])
        points = [person.get("surface_points") for person in people]
        points = [None if p is None else carry_points(p, matrix, symmetry).inside(*size) for p in points]
        meshes = [self._mesh(person) for person in people]
        meshes = [None if mesh is None else carry_vertices(mesh, matrix, symmetry) for mesh in meshes]
        keypoints = None
        if self.need_keypoints:
            keypoints = np.zeros((len(people), NUM_KEYPOINTS, 3))
            for row, person in zip(keypoints, people):
                row[:] = _carry_keypoints(person.get("keypoints"), matrix)
        return MeshPoseTargets.of_people(points, meshes, len(symmetry), size, keypoints)

    def _mesh(self, person: dict) -> Optional[np.ndarray]:
        row = person.get("mesh_index", -1)
        if row < 0:
            return None
        path = person["mesh_file"]
        if path not in self._mesh_files:  # mapped from disk, once per process
            self._mesh_files[path] = load_meshes(path, self.template)
        return np.asarray(self._mesh_files[path].vertices_image[row])

    def _instances(self, people: List[dict], labels: MeshPoseTargets, transforms, shape):
        """Instances of what the config's heads need, without those that have left the image."""
        annotations = []
        for person in people:
            annotation: Dict = {key: person[key] for key in ("bbox", "bbox_mode", "category_id")}
            if self.use_instance_mask or self.need_masks:
                annotation["segmentation"] = person.get("segmentation", [])
            if self.use_keypoint:
                annotation["keypoints"] = person.get("keypoints", [0.0] * (3 * NUM_KEYPOINTS))
            annotations.append(
                utils.transform_instance_annotations(
                    annotation, transforms, shape, keypoint_hflip_indices=self.keypoint_hflip_indices
                )
            )
        instances = utils.annotations_to_instances(annotations, shape, mask_format=self.instance_mask_format)
        instances.gt_mesh = labels
        if self.recompute_boxes:
            instances.gt_boxes = instances.gt_masks.get_bounding_boxes()
        return utils.filter_empty_instances(instances, by_mask=self.use_instance_mask)


def _carry_keypoints(keypoints: Optional[list], matrix: np.ndarray) -> np.ndarray:
    """Keypoints of detectron2 (distances from the image's border) in px of the augmented image, (17, 3)."""
    if keypoints is None:
        return np.zeros((NUM_KEYPOINTS, 3))
    keypoints = np.reshape(np.asarray(keypoints, np.float64), (-1, 3))
    moved = np.column_stack([(keypoints[:, :2] - 0.5) @ matrix[:, :2].T + matrix[:, 2], keypoints[:, 2]])
    return moved[_MIRRORED_KEYPOINTS] if is_mirror(matrix) else moved


def affine_map(transforms, width: int, height: int) -> np.ndarray:
    """The (2, 3) matrix by which augmentations of detectron2 move pixels, integers being pixel centres.

    Args:
        transforms: a ``TransformList``, or anything with ``apply_coords`` in distances from the image's
            border.
        width, height: of the image before, px.

    Raises:
        ValueError: the map is not affine.
    """
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
    moved = np.asarray(transforms.apply_coords(corners.copy()), np.float64)
    linear = np.column_stack([(moved[1] - moved[0]) / width, (moved[2] - moved[0]) / height])
    if np.abs(moved[1] + moved[2] - moved[0] - moved[3]).max() > 1e-3:
        raise ValueError(
            f"points and meshes cannot follow an augmentation that is no affine map: {transforms}"
        )
    return np.column_stack([linear, moved[0] + linear @ [0.5, 0.5] - 0.5])
