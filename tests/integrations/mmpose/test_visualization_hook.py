"""Pictures of MeshPoseVisualizationHook: when they are drawn, where they go, and what is on them."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip('mmpose')

import meshpose_plugins.integrations.mmpose  # noqa: E402,F401
import torch  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402
from mmengine.visualization import Visualizer  # noqa: E402
from mmpose.registry import HOOKS  # noqa: E402
from mmpose.structures import PoseDataSample  # noqa: E402

from meshpose_plugins.data.affine import crop_to_image  # noqa: E402
from meshpose_plugins.integrations.mmpose.visualization_hook import draw_sample  # noqa: E402
from meshpose_plugins.templates import load_template  # noqa: E402

TEMPLATE = load_template('anny')
META = dict(input_size=(48, 64), input_center=np.array([120.0, 90.0]), input_scale=np.array([96.0, 128.0]))


def make_sample(mesh=True, points=False):
    """A person whose prediction is the truth."""
    rest = TEMPLATE.vertices @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)
    crop = ((rest - rest.mean(0)) * 28 + [24, 32, 0]).astype(np.float32)[None]
    sample = PoseDataSample(metainfo=META)
    sample.gt_instance_labels = InstanceData(
        vertices_crop=torch.as_tensor(crop),
        vertices_valid=torch.full(crop.shape[:2], mesh),
        points_xy=torch.full((1, 4, 2), 20.0),
        point_valid=torch.full((1, 4), points),
    )
    sample.pred_instances = InstanceData(vertices=crop_to_image(crop, **META))
    return sample


def make_batch(count):
    return dict(
        inputs=[torch.full((3, 64, 48), 100 + i, dtype=torch.uint8) for i in range(count)],
        data_samples=[make_sample() for _ in range(count)],
    )


class Model:
    """Predicts what the samples already hold, and tells how it was called."""

    def __init__(self):
        self.training = True
        self.calls = []

    def train(self, mode=True):
        self.training = mode

    def eval(self):
        self.train(False)

    def test_step(self, batch):
        self.calls.append((len(batch['inputs']), self.training, torch.is_grad_enabled()))
        return batch['data_samples']


@pytest.fixture
def runner(tmp_path):
    visualizer = Visualizer(vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path))
    return SimpleNamespace(
        iter=0, model=Model(), visualizer=visualizer, folder=tmp_path / 'vis_data' / 'vis_image'
    )


def pictures(runner):
    return sorted(path.name for path in runner.folder.glob('*')) if runner.folder.exists() else []


def test_a_perfect_prediction_covers_the_truth():
    sample = make_sample()
    inputs = torch.zeros((3, 64, 48), dtype=torch.uint8)
    inputs[0] = 200  # blue
    picture = draw_sample(inputs, sample, TEMPLATE, panel_height=128)
    assert picture.shape == (128 + 22, 3 * 96, 3) and picture.dtype == np.uint8
    image, truth, prediction = np.split(picture[22:].astype(int), 3, axis=1)
    assert (image == [0, 0, 200]).all()
    drawn = [np.abs(panel - image).max(-1) > 20 for panel in (truth, prediction)]
    assert 0.05 < drawn[0].mean() < 0.8
    assert (drawn[0] != drawn[1]).mean() < 0.01
    assert np.abs(truth - prediction)[drawn[0] & drawn[1]].max() > 10, 'the colours tell them apart'
    # The drawn body lies where the labels say.
    rows = np.flatnonzero(drawn[0].any(1)) / 2
    vertices = sample.gt_instance_labels.vertices_crop[0, :, 1]
    assert rows.min() == pytest.approx(vertices.min(), abs=1.5) and rows.max() == pytest.approx(
        vertices.max(), abs=1.5
    )


def test_people_without_mesh_show_points_or_nothing():
    inputs = torch.zeros((3, 64, 48), dtype=torch.uint8)
    for points, some in ((True, True), (False, False)):
        picture = draw_sample(inputs, make_sample(mesh=False, points=points), TEMPLATE, panel_height=64)
        assert bool((picture[22:, 48:96] > 50).any()) == some


def test_training_pictures_come_at_the_interval(runner):
    hook = HOOKS.build(
        dict(type='MeshPoseVisualizationHook', train_interval=3, max_samples=2, panel_height=64)
    )
    for iteration in range(7):
        runner.iter = iteration
        hook.after_train_iter(runner, iteration, make_batch(5), {})
    assert pictures(runner) == ['train_mesh_3.png', 'train_mesh_6.png']
    assert runner.model.calls == [(2, False, False)] * 2
    assert runner.model.training
    height, width, _ = cv2.imread(str(runner.folder / 'train_mesh_3.png')).shape
    assert (height, width) == (2 * (64 + 22), 3 * 48)


def test_the_model_trains_on_after_an_error(runner):
    hook = HOOKS.build(dict(type='MeshPoseVisualizationHook', train_interval=1))
    runner.model.test_step = lambda batch: 1 / 0
    with pytest.raises(ZeroDivisionError):
        hook.after_train_iter(runner, 0, make_batch(1), {})
    assert runner.model.training


def test_validation_and_test_pictures(runner):
    hook = HOOKS.build(
        dict(type='MeshPoseVisualizationHook', val_interval=2, test_interval=3, panel_height=64)
    )
    runner.iter = 100
    for index in range(4):
        batch = make_batch(2)
        hook.after_val_iter(runner, index, batch, batch['data_samples'])
        hook.after_test_iter(runner, index, batch, batch['data_samples'])
    assert pictures(runner) == ['test_mesh_0.png', 'test_mesh_3.png', 'val_mesh_100.png', 'val_mesh_102.png']


def test_zero_draws_nothing_and_less_is_an_error(runner):
    hook = HOOKS.build(
        dict(type='MeshPoseVisualizationHook', train_interval=0, val_interval=0, test_interval=0)
    )
    batch = make_batch(1)
    hook.after_train_iter(runner, 0, batch, {})
    hook.after_val_iter(runner, 0, batch, batch['data_samples'])
    hook.after_test_iter(runner, 0, batch, batch['data_samples'])
    assert pictures(runner) == [] and runner.model.calls == []
    with pytest.raises(ValueError, match='train_interval must be at least 0, got -1'):
        HOOKS.build(dict(type='MeshPoseVisualizationHook', train_interval=-1))
