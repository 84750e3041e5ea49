"""From images and boxes to body meshes, with the call habits of MMPose's inferencers."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Iterable, Sequence

import cv2
import mmengine
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.apis.inference import dataset_meta_from_config
from mmpose.apis.inferencers.base_mmpose_inferencer import BaseMMPoseInferencer
from mmpose.registry import INFERENCERS
from mmpose.structures import PoseDataSample, merge_data_samples

from meshpose_plugins.deploy.demo import ImagePeople
from meshpose_plugins.deploy.device import resolve_device
from meshpose_plugins.deploy.images import list_images, read_image
from meshpose_plugins.deploy.weights import load_strictly
from meshpose_plugins.detection import PersonDetector, build_detector, check_boxes
from meshpose_plugins.evaluation.predictions import PredictionRecord
from meshpose_plugins.integrations.mmpose.shipped import load_checkpoint_file, load_config
from meshpose_plugins.visualization import overlay_people


@INFERENCERS.register_module(name='mesh-estimation')
@INFERENCERS.register_module()
class MeshPoseInferencer(BaseMMPoseInferencer):
    """Body meshes of all people in images; all people of a batch of images go through the network together.

    Example::

        inferencer = MeshPoseInferencer('anny-lite')
        for result in inferencer('photo.jpg', return_vis=True):
            people = result['predictions'][0]        # dicts: vertices (V, 3) image px, vertex_visibility, ...
            picture = result['visualization'][0]     # (H, W, 3) uint8 RGB

    Args:
        model: shipped name ('anny-lite'), weights or checkpoint file (which carry their config), config file,
            or Config.
        weights: weights or checkpoint file; needed when `model` is a config.
        device: torch device; None takes the GPU where there is one.
        scope: MMEngine's default scope.
        detector: a `PersonDetector`, or what `build_detector` takes ('auto', 'whole-image', 'hog', ...).
        detector_weights: weights file of a learned detector.
        flip_test: whether to predict the mirrored image too, and average.
        show_progress: whether to show a progress bar over the images.

    Attributes:
        skipped: images of the last folder that could not be read, with the reasons; they are warned of and
            have no result. One that is named itself is an error.

    Raises:
        FileNotFoundError: if a file is missing, naming it.
        ValueError: if the checkpoint does not fit to the config, naming the template or the tensors.
    """

    preprocess_kwargs: set = {'bboxes'}
    forward_kwargs: set = set()
    visualize_kwargs: set = {'return_vis', 'show', 'wait_time', 'vis_out_dir'}
    postprocess_kwargs: set = {'pred_out_dir'}

    def __init__(
        self,
        model: str | Path | Config = 'anny-lite',
        weights: str | Path | None = None,
        device: str | None = None,
        scope: str = 'mmpose',
        detector: str | PersonDetector = 'whole-image',
        detector_weights: str | None = None,
        flip_test: bool = False,
        show_progress: bool = False,
    ) -> None:
        init_default_scope(scope)
        config = model if isinstance(model, Config) else load_config(model)
        if weights is None and not isinstance(model, Config) and Path(str(model)).suffix != '.py':
            weights = model
        if weights is None:
            raise ValueError(
                f'MeshPoseInferencer: the config {getattr(config, "filename", None)} needs weights: '
                f'pass weights=FILE'
            )
        device = resolve_device(device)
        super().__init__(config.copy(), str(weights), device, scope, show_progress=show_progress)
        self.model.test_cfg = dict(self.model.test_cfg or {}, flip_test=flip_test)
        self.template = self.model.head.template
        if not isinstance(detector, PersonDetector):
            detector = build_detector(detector, weights=detector_weights, device=device)
        self.detector = detector
        self._video_input = False
        self._skips_unreadable = False
        self.skipped: dict[str, str] = {}

    def _init_model(self, cfg, weights: str, device: str = 'cpu'):
        """Build the network and load weights that must fit it completely."""
        from mmpose.models import build_pose_estimator

        checkpoint = load_checkpoint_file(weights)
        cfg.model.backbone.init_cfg = None
        cfg.model.train_cfg = None
        model = build_pose_estimator(cfg.model)
        load_strictly(model, checkpoint['state_dict'], weights)
        model.cfg = cfg
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # MMPose says where it found configs/_base_/datasets/coco.py
            # A config for prediction alone has no training data.
            kind = 'train' if 'train_dataloader' in cfg else 'test'
            model.dataset_meta = dataset_meta_from_config(cfg, kind)
        return model.to(device).eval()

    def _init_collate(self, cfg):
        """Crops stay separate; the data preprocessor stacks them."""
        return pseudo_collate

    def _init_visualizer(self, cfg) -> None:
        """Pictures are drawn by this library's own overlays."""
        return None

    def _inputs_to_list(self, inputs) -> list:
        """A path, a folder, an array, or a list of paths and arrays, as a list."""
        self._skips_unreadable = isinstance(inputs, (str, Path)) and Path(inputs).is_dir()
        if isinstance(inputs, (str, Path)):
            return list_images(inputs)
        return [inputs] if isinstance(inputs, np.ndarray) else list(inputs)

    def preprocess(self, inputs: Sequence, batch_size: int = 1, bboxes=None) -> Iterable:
        """Yield what the network takes, and the images, `batch_size` images at a time.

        Args:
            inputs: paths, or (H, W, 3) uint8 arrays in BGR, as everywhere in MMPose.
            batch_size: images whose people go through the network together.
            bboxes: one (P, 4) array of x0, y0, x1, y1 px per input (for one input the array itself will do);
                None asks the detector.

        Yields:
            the collated batch (without inputs where nobody is found) and the images, (H, W, 3) uint8 RGB.
        """
        if bboxes is not None and len(inputs) == 1 and np.ndim(bboxes) == 2:
            bboxes = [bboxes]
        if bboxes is not None and len(bboxes) != len(inputs):
            raise ValueError(
                f'bboxes: expected one (P, 4) array for each of {len(inputs)} inputs, got {len(bboxes)}'
            )
        skips, self._skips_unreadable, self.skipped = self._skips_unreadable, False, {}
        for start in range(0, len(inputs), batch_size):
            items = []
            for index in range(start, min(start + batch_size, len(inputs))):
                try:
                    image, name = as_image(inputs[index], index)
                except (FileNotFoundError, ValueError) as error:
                    if not skips:
                        raise
                    self.skipped[str(inputs[index])] = str(error)
                    print_log(f'image skipped: {error}', 'current', logging.WARNING)
                    continue
                found = self.find_people(image, name, None if bboxes is None else bboxes[index])
                items.append(ImagePeople(image, name, *found))
            if items:
                yield self.collate(items), [item.image for item in items]
        if inputs and len(self.skipped) == len(inputs):
            raise ValueError(f'none of {len(inputs)} images can be read: {next(iter(self.skipped.values()))}')

    def find_people(self, image: np.ndarray, name: str, boxes: np.ndarray | None = None):
        """The boxes of an image: the given ones, checked, or the detector's.

        Args:
            image: (H, W, 3) uint8 RGB.
            name: for messages.
            boxes: (P, 4) x0, y0, x1, y1 px, or None.

        Returns:
            boxes (P, 4) float32 and scores (P,) float32.

        Raises:
            ValueError: if a given box lies outside the image.
        """
        if boxes is None:
            return self.detector.detect(image)
        boxes, _ = check_boxes(boxes, image.shape[1], image.shape[0], name)
        return boxes, np.ones(len(boxes), np.float32)

    def collate(self, items: Sequence[ImagePeople]) -> dict:
        """The network's batch for all people of several images, with the images' names and counts."""
        crops = []
        for item in items:
            bgr = np.ascontiguousarray(item.image[..., ::-1])
            crops += [
                self.pipeline(
                    dict(
                        self.model.dataset_meta,
                        img=bgr,
                        img_path=item.name,
                        bbox=np.asarray(box, np.float32)[None],
                        bbox_score=np.asarray([score], np.float32),
                    )
                )
                for box, score in zip(item.boxes, item.scores)
            ]
        batch = self.collate_fn(crops) if crops else dict(inputs=[], data_samples=[])
        return dict(batch, names=[item.name for item in items], people=[len(item.boxes) for item in items])

    @torch.no_grad()
    def forward(self, inputs: dict, **kwargs) -> list:
        """One data sample per image, holding all its people."""
        samples = []
        if len(inputs['inputs']):
            samples = self.model.test_step({key: inputs[key] for key in ('inputs', 'data_samples')})
        merged, start = [], 0
        for name, count in zip(inputs['names'], inputs['people']):
            merged.append(merge_data_samples(samples[start : start + count]) if count else self.nobody(name))
            start += count
        return merged

    def nobody(self, name: str) -> PoseDataSample:
        """The data sample of an image without people."""
        vertices, keypoints = self.template.num_vertices, len(self.template.keypoint_names)
        sample = PoseDataSample(metainfo=dict(img_path=name))
        sample.pred_instances = InstanceData(
            vertices=np.zeros((0, vertices, 3), np.float32),
            vertex_visibility=np.zeros((0, vertices), np.float32),
            keypoints=np.zeros((0, keypoints, 2), np.float32),
            keypoint_scores=np.zeros((0, keypoints), np.float32),
            bboxes=np.zeros((0, 4), np.float32),
            bbox_scores=np.zeros(0, np.float32),
        )
        return sample

    def predict(
        self, image: np.ndarray, name: str, boxes: np.ndarray, scores: np.ndarray
    ) -> list[PredictionRecord]:
        """The people of one image as prediction records.

        Args:
            image: (H, W, 3) uint8 RGB.
            name: becomes the records' image id.
            boxes: (P, 4) x0, y0, x1, y1 px.
            scores: (P,).

        Returns:
            P records, in the order of the boxes.
        """
        return self.predict_images([ImagePeople(image, name, boxes, scores)])[0]

    def predict_images(self, items: Sequence[ImagePeople]) -> list[list[PredictionRecord]]:
        """The people of several images as prediction records, in the order of the images and their boxes."""
        samples = self.forward(self.collate(items))
        return [self.records(sample, item.name) for sample, item in zip(samples, items)]

    def records(self, sample, image_id) -> list[PredictionRecord]:
        """Prediction records of a merged data sample."""
        people = sample.pred_instances
        return [
            PredictionRecord(
                image_id=image_id,
                instance_id=k,
                box=np.asarray(people.bboxes[k], np.float32),
                score=float(people.bbox_scores[k]),
                template=self.template.name,
                vertices=np.asarray(people.vertices[k], np.float32),
                visibility=np.asarray(people.vertex_visibility[k], np.float32),
            )
            for k in range(len(people))
        ]

    def visualize(
        self,
        inputs: list,
        preds: list,
        return_vis: bool = False,
        show: bool = False,
        wait_time: float = 0,
        vis_out_dir: str = '',
        **kwargs,
    ) -> list[np.ndarray]:
        """Draw the meshes over the images.

        Args:
            inputs: images, (H, W, 3) uint8 RGB.
            preds: what `forward` returned.
            return_vis: whether to return the pictures.
            show: whether to open a window (needs an OpenCV with one).
            wait_time: s to wait in the window; 0 waits for a key.
            vis_out_dir: folder to write NAME.jpg to, '' writes nothing.

        Returns:
            pictures, (H, W, 3) uint8 RGB, or [].
        """
        if not (return_vis or show or vis_out_dir):
            return []
        pictures = []
        for image, sample in zip(inputs, preds):
            picture = overlay_people(
                image, [person.vertices for person in self.records(sample, 0)], self.template
            )
            name = Path(sample.metainfo['img_path']).stem
            if vis_out_dir:
                Path(vis_out_dir).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(Path(vis_out_dir) / f'{name}.jpg'), picture[..., ::-1])
            if show:
                cv2.imshow(name, picture[..., ::-1])
                cv2.waitKey(int(wait_time * 1000))
            pictures.append(picture)
        return pictures if return_vis else []

    def postprocess(
        self,
        preds: list,
        visualization: list,
        return_datasamples: bool = False,
        pred_out_dir: str = '',
        **kwargs,
    ) -> dict:
        """The result of a batch of images.

        Args:
            preds: what `forward` returned.
            visualization: what `visualize` returned.
            return_datasamples: whether to return MMPose's data samples instead of plain numbers.
            pred_out_dir: folder to write NAME.json to ([] where nobody is found), '' writes nothing.

        Returns:
            dict: predictions (one entry per image: a list of people, or a data sample) and visualization.
        """
        result = super().postprocess(preds, visualization, return_datasamples=return_datasamples)
        if not return_datasamples:
            result['predictions'] = [people_as_dicts(sample) for sample in preds]
        if pred_out_dir:
            for sample in preds:
                path = Path(pred_out_dir) / (Path(sample.metainfo['img_path']).stem + '.json')
                mmengine.dump(people_as_dicts(sample), str(path), indent='  ')
        return result


def as_image(item, index: int) -> tuple[np.ndarray, str]:
    """One input of the inferencer as an RGB image with a name.

    Args:
        item: a path, or an (H, W, 3) or (H, W) uint8 array in BGR.
        index: its place among the inputs, names an array.

    Returns:
        (H, W, 3) uint8 RGB, and a name.

    Raises:
        FileNotFoundError, ValueError: naming the input and what is wrong with it.
    """
    if isinstance(item, (str, Path)):
        return read_image(item), str(item)
    array = np.asarray(item)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or array.size == 0:
        raise ValueError(
            f'input {index}: expected a path or an (H, W, 3) uint8 BGR array, '
            f'got shape {array.shape}, {array.dtype}'
        )
    return np.ascontiguousarray(array[..., ::-1]), f'{index:06d}.jpg'


def people_as_dicts(sample) -> list[dict]:
    """The people of a merged data sample as plain numbers.

    Args:
        sample: PoseDataSample with pred_instances.

    Returns:
        per person: vertices (V, 3) and keypoints (17, 2) in image px, vertex_visibility (V,),
        keypoint_scores (17,), bbox x0, y0, x1, y1 and bbox_score, as lists and floats.
    """
    people = sample.pred_instances
    names = dict(
        vertices='vertices',
        vertex_visibility='vertex_visibility',
        keypoints='keypoints',
        keypoint_scores='keypoint_scores',
        bboxes='bbox',
        bbox_scores='bbox_score',
    )
    return [
        {name: np.asarray(people[field][k]).tolist() for field, name in names.items()}
        for k in range(len(people))
    ]
