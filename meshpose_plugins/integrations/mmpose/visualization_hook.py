"""Pictures of what a network predicts while it trains, validates and is tested."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS

from meshpose_plugins.data.affine import image_to_crop
from meshpose_plugins.templates import MeshTemplate, load_template
from meshpose_plugins.visualization import draw_truth_and_prediction


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
    meta, labels = sample.metainfo, sample.gt_instance_labels
    # The crop's rotation is left out here as on the way to the image: what the network said comes out exactly.
    predicted = image_to_crop(
        _array(sample.pred_instances.vertices)[0],
        meta['input_size'],
        meta['input_center'],
        meta['input_scale'],
    )
    has_mesh = 'vertices_valid' in labels and bool(labels.vertices_valid.all())
    vertices = _array(labels.vertices_crop)[0] if has_mesh else None
    points = _array(labels.points_xy)[_array(labels.point_valid)] if 'point_valid' in labels else None
    return draw_truth_and_prediction(crop, predicted, template, vertices, points, panel_height)


def _array(value) -> np.ndarray:
    """Return a tensor or array as an array in main memory."""
    return value.detach().cpu().numpy() if hasattr(value, 'detach') else np.asarray(value)
