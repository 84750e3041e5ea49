"""Pictures of what a network predicts while it trains, validates and is tested."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import cv2
import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS

from meshpose_plugins.rendering import overlay_mesh
from meshpose_plugins.templates import MeshTemplate, load_template

TRUTH_COLOR = (0.60, 0.85, 0.60)
PREDICTION_COLOR = (0.66, 0.78, 0.92)
_TITLE_HEIGHT = 22


@HOOKS.register_module()
class MeshPoseVisualizationHook(Hook):
    """Draw network input, true mesh and predicted mesh side by side, for the first samples of some batches.

    The pictures go to the runner's visualizer, whose backends keep them: the default one as
    ``<work_dir>/<time>/vis_data/vis_image/{train,val,test}_mesh_<iteration>.png``, others in TensorBoard or
    elsewhere.

    Args:
        template: name or path of the template.
        train_interval: draw every so many training iterations; 0 never.
        val_interval: draw every so many batches of a validation, from the first; 0 never.
        test_interval: likewise for tests.
        max_samples: people per picture, one per row.
        panel_height: small crops are enlarged by a whole factor to about this height in px.
    """

    priority = 'LOW'

    def __init__(
        self,
        template: str = 'anny',
        train_interval: int = 500,
        val_interval: int = 50,
        test_interval: int = 50,
        max_samples: int = 4,
        panel_height: int = 384,
    ) -> None:
        for name, value in (
            ('train_interval', train_interval),
            ('val_interval', val_interval),
            ('test_interval', test_interval),
        ):
            if value < 0:
                raise ValueError(f'MeshPoseVisualizationHook: {name} must be at least 0, got {value}')
        if max_samples < 1:
            raise ValueError(f'MeshPoseVisualizationHook: max_samples must be at least 1, got {max_samples}')
        self.template = load_template(template)
        self.train_interval = train_interval
        self.val_interval = val_interval
        self.test_interval = test_interval
        self.max_samples = max_samples
        self.panel_height = panel_height

    @master_only
    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Predict the first samples of the training batch, as they were augmented, and draw them."""
        if not (self.train_interval and self.every_n_train_iters(runner, self.train_interval)):
            return
        batch = {key: deepcopy(value[: self.max_samples]) for key, value in data_batch.items()}
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.eval()
        try:
            with torch.no_grad():
                samples = model.test_step(batch)
        finally:
            model.train()
        self._draw(runner, 'train_mesh', data_batch['inputs'], samples, runner.iter + 1)

    @master_only
    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: Sequence | None = None
    ) -> None:
        """Draw the first samples of a validation batch."""
        if self.val_interval and batch_idx % self.val_interval == 0:
            self._draw(runner, 'val_mesh', data_batch['inputs'], outputs, runner.iter + batch_idx)

    @master_only
    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: Sequence | None = None
    ) -> None:
        """Draw the first samples of a test batch."""
        if self.test_interval and batch_idx % self.test_interval == 0:
            self._draw(runner, 'test_mesh', data_batch['inputs'], outputs, batch_idx)

    def _draw(
        self, runner: Runner, name: str, inputs: Sequence[torch.Tensor], samples: Sequence, step: int
    ) -> None:
        rows = [
            draw_sample(image, sample, self.template, self.panel_height)
            for image, sample in zip(inputs[: self.max_samples], samples)
        ]
        runner.visualizer.add_image(name, np.concatenate(rows), step=step)


def draw_sample(inputs: torch.Tensor, sample, template: MeshTemplate, panel_height: int = 384) -> np.ndarray:
    """Draw one person: the network's input, the truth on it, the prediction on it.

    Args:
        inputs: (3, H, W) the crop as the packer left it, uint8 BGR.
        sample: its PoseDataSample with ``pred_instances.vertices`` in image px and the labels of
            MeshPoseTransform.
        template: the template of the vertices.
        panel_height: small crops are enlarged by a whole factor to about this height in px.

    Returns:
        (H', W', 3) uint8 RGB, three labelled panels.
    """
    crop = np.ascontiguousarray(inputs.cpu().numpy().transpose(1, 2, 0)[..., ::-1]).astype(np.uint8)
    factor = max(1, round(panel_height / crop.shape[0]))
    image = cv2.resize(crop, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    meta = sample.metainfo
    predicted = image_to_crop(
        _array(sample.pred_instances.vertices)[0],
        meta['input_size'],
        meta['input_center'],
        meta['input_scale'],
    )
    truth, title = _draw_truth(image, sample.gt_instance_labels, template, factor)
    prediction = overlay_mesh(image, _enlarge(predicted, factor), template.faces, color=PREDICTION_COLOR)
    panels = [_with_title(image, 'input'), _with_title(truth, title), _with_title(prediction, 'prediction')]
    return np.concatenate(panels, axis=1)


def _draw_truth(image: np.ndarray, labels, template: MeshTemplate, factor: int) -> tuple[np.ndarray, str]:
    """Return the picture of a person's truth, its mesh or else its points, and a title."""
    if 'vertices_valid' in labels and bool(labels.vertices_valid.all()):
        vertices = _enlarge(_array(labels.vertices_crop)[0], factor)
        return overlay_mesh(image, vertices, template.faces, color=TRUTH_COLOR), 'truth'
    if 'point_valid' not in labels or not bool(labels.point_valid.any()):
        return image, 'no truth'
    picture = image.copy()
    for x, y in _enlarge(_array(labels.points_xy)[_array(labels.point_valid)], factor):
        cv2.circle(picture, (int(round(x)), int(round(y))), 2, (90, 230, 90), -1, cv2.LINE_AA)
    return picture, 'annotated points'


def image_to_crop(
    xyz_image: np.ndarray, input_size: Sequence, input_center: Sequence, input_scale: Sequence
) -> np.ndarray:
    """Take vertices (..., 3) from image px to crop px, the inverse of how predictions come to the image.

    Like MMPose's estimator it knows no rotation, so that what the network said in the crop comes out exactly.
    """
    scale = np.asarray(input_size, np.float64) / np.asarray(input_scale, np.float64)
    xy = (xyz_image[..., :2] - np.asarray(input_center)) * scale + 0.5 * np.asarray(input_size)
    z = xyz_image[..., 2:] * np.sqrt(abs(scale.prod()))
    return np.concatenate([xy, z], axis=-1)


def _enlarge(xyz: np.ndarray, factor: int) -> np.ndarray:
    """Take x, y (and z) to an image enlarged by a whole factor; pixel centres are integers in both."""
    enlarged = np.asarray(xyz, np.float32) * factor
    enlarged[..., :2] += (factor - 1) / 2
    return enlarged


def _with_title(image: np.ndarray, title: str) -> np.ndarray:
    """Return the picture with a dark strip and its title on top."""
    strip = np.full((_TITLE_HEIGHT, image.shape[1], 3), 30, np.uint8)
    cv2.putText(
        strip, title, (6, _TITLE_HEIGHT - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (235, 235, 235), 1, cv2.LINE_AA
    )
    return np.concatenate([strip, np.ascontiguousarray(image)])


def _array(value) -> np.ndarray:
    """Return a tensor or array as an array in main memory."""
    return value.detach().cpu().numpy() if hasattr(value, 'detach') else np.asarray(value)
