"""MeshPoseMetric on samples whose errors are known by construction."""

import numpy as np
import pytest

pytest.importorskip('mmpose')

import meshpose_plugins.integrations.mmpose  # noqa: E402,F401
import torch  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402
from mmpose.registry import METRICS  # noqa: E402
from mmpose.structures import PoseDataSample  # noqa: E402

from meshpose_plugins.evaluation import load_predictions, pa_mpvpe  # noqa: E402
from meshpose_plugins.integrations.mmpose.metric import MeshPoseMetric  # noqa: E402
from meshpose_plugins.templates import load_template  # noqa: E402

TEMPLATE = load_template('anny')
COUNT = TEMPLATE.num_vertices
WIDTH, HEIGHT = 200, 300
SCALE = 100.0


def make_sample(identity=0, mesh=True, points=True):
    """A perfect prediction for a person who stands upright with the feet outside the image."""
    rng = np.random.default_rng(identity)
    # Body axes (x left, z up, facing -y) to camera axes (x right, y down, z away).
    rest = TEMPLATE.vertices.astype(np.float64) @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    camera = (rest - TEMPLATE.joint_regressor[TEMPLATE.root_joint] @ rest).astype(np.float32)
    image = camera * SCALE + np.array([100, 250, 0], np.float32)
    outside = image[:, 1] >= HEIGHT - 0.5
    faces = TEMPLATE.faces[rng.integers(0, len(TEMPLATE.faces), 30)]
    barycentrics = rng.dirichlet(np.ones(3), 30).astype(np.float32)
    xy = np.einsum('pk,pkc->pc', barycentrics, image[faces, :2])
    sample = PoseDataSample(
        metainfo=dict(
            id=identity, img_id=10 + identity, img_path=f'{identity}.jpg', ori_shape=(HEIGHT, WIDTH)
        )
    )
    sample.gt_instances = InstanceData(
        bboxes=np.array([[20, 60, 180, 260]], np.float32),
        vertices=image[None] * mesh,
        points_xy=xy[None],
        point_vertex_ids=faces[None],
        point_barycentrics=barycentrics[None],
        point_valid=np.full((1, 30), points),
    )
    sample.gt_instance_labels = InstanceData(
        vertices_valid=torch.full((1, COUNT), mesh),
        vertices_camera=torch.as_tensor(camera)[None] * mesh,
        vertex_visibility=torch.as_tensor(~outside & (np.arange(COUNT) % 2 == 0)).float()[None],
    )
    sample.pred_instances = InstanceData(
        vertices=image[None].copy(),
        vertex_visibility=(0.9 - 0.6 * outside)[None].astype(np.float32),
        bboxes=np.array([[20, 60, 180, 260]], np.float32),
        bbox_scores=np.array([0.8], np.float32),
    )
    return sample


def evaluate(samples, **arguments):
    metric = METRICS.build(dict(type='MeshPoseMetric', **arguments))
    for sample in samples:
        metric.process({}, [sample.to_dict()])
    return metric.evaluate(len(samples))


def test_a_perfect_prediction_has_no_error():
    errors = evaluate([make_sample(i) for i in range(3)])
    assert set(errors) == {
        f'mesh/{name}' for name in ('vertex_error_2d', 'pa_mpvpe', 'mpvpe', 'uv_error', 'visibility_auc')
    }
    assert errors.pop('mesh/visibility_auc') == 1.0
    for name, value in errors.items():
        assert value == pytest.approx(0, abs=1e-3), name


def test_known_shifts_have_known_errors():
    sample = make_sample()
    true_height = np.ptp(sample.gt_instances.vertices[0, :, 1])
    sample.pred_instances.vertices[..., 0] += 6
    sample.pred_instances.vertices[..., 1] += 8
    errors = evaluate([sample])
    assert errors['mesh/vertex_error_2d'] == pytest.approx(1000 / true_height, rel=1e-4)
    assert errors['mesh/uv_error'] == pytest.approx(100 * 10 / 200, rel=1e-4)
    assert errors['mesh/mpvpe'] == pytest.approx(0, abs=1e-3)


def test_depth_errors_are_in_millimetres():
    sample = make_sample()
    noise = 0.02 * np.random.default_rng(0).choice([-1, 1], COUNT)
    sample.pred_instances.vertices[0, :, 2] += SCALE * noise
    off_root = np.abs(noise - TEMPLATE.joint_regressor[TEMPLATE.root_joint] @ noise).mean()
    errors = evaluate([sample])
    assert errors['mesh/vertex_error_2d'] == pytest.approx(0, abs=1e-4)
    assert errors['mesh/mpvpe'] == pytest.approx(1000 * off_root, rel=0.02)
    assert errors['mesh/pa_mpvpe'] == pytest.approx(
        pa_mpvpe(sample.pred_instances.vertices[0], sample.gt_instance_labels.vertices_camera[0].numpy())
    )
    assert errors['mesh/pa_mpvpe'] <= errors['mesh/mpvpe']


def test_means_are_over_the_people_that_have_the_label():
    shifted = make_sample(1)
    shifted.pred_instances.vertices[..., 0] += 20
    without_mesh = make_sample(2, mesh=False)
    without_mesh.pred_instances.vertices[..., 0] += 40
    without_points = make_sample(3, points=False)
    errors = evaluate([shifted, without_mesh, without_points])
    true_height = np.ptp(shifted.gt_instances.vertices[0, :, 1])
    assert errors['mesh/vertex_error_2d'] == pytest.approx(100 * 20 / true_height / 2, rel=1e-4)
    assert errors['mesh/uv_error'] == pytest.approx((10 + 20) / 2, rel=1e-4)


def test_errors_nobody_has_labels_for_are_left_out():
    assert set(evaluate([make_sample(mesh=False)])) == {'mesh/uv_error'}
    assert evaluate([make_sample(mesh=False, points=False)]) == {}


def test_visibility_is_pooled_over_people():
    first, second = make_sample(0), make_sample(1)
    second.pred_instances.vertex_visibility[:] = 0.2
    second.pred_instances.vertex_visibility[0, second.gt_instances.vertices[0, :, 1] >= HEIGHT - 0.5] = 0.1
    # Each alone is perfect; together the seen ones of the second lie below the unseen ones of the first
    # (0.3).
    assert evaluate([first])['mesh/visibility_auc'] == evaluate([second])['mesh/visibility_auc'] == 1.0
    assert evaluate([first, second])['mesh/visibility_auc'] == pytest.approx(0.75)


def test_halves_of_two_processes_give_the_whole():
    samples = [make_sample(i, mesh=i != 2, points=i != 1) for i in range(4)]
    for i, sample in enumerate(samples):
        sample.pred_instances.vertices += np.random.default_rng(i).normal(size=(1, COUNT, 3)) * (i + 1)
    halves = [MeshPoseMetric(), MeshPoseMetric()]
    for i, sample in enumerate(samples):
        halves[i % 2].process({}, [sample.to_dict()])
    joined = halves[0].compute_metrics(halves[0].results + halves[1].results)
    whole = evaluate(samples, prefix='all')
    assert {f'all/{name}': pytest.approx(value) for name, value in joined.items()} == whole


def test_predictions_are_written(tmp_path):
    samples = [make_sample(i) for i in range(3)]
    evaluate(samples, outfile_prefix=str(tmp_path / 'out' / 'val'))
    evaluate(samples, outfile_prefix=str(tmp_path / 'val.json'))
    for path in (tmp_path / 'out' / 'val.npz', tmp_path / 'val.json'):
        records = load_predictions(path, TEMPLATE)
        assert [(r.image_id, r.instance_id) for r in records] == [(10, 0), (11, 1), (12, 2)]
        np.testing.assert_array_equal(records[1].vertices, samples[1].pred_instances.vertices[0])
        assert records[1].score == pytest.approx(0.8) and records[1].box.tolist() == [20, 60, 180, 260]


def test_unfit_predictions_are_explained():
    sample = make_sample()
    del sample.pred_instances.vertices
    with pytest.raises(ValueError, match="model=dict\\(type='MeshPoseEstimator'"):
        evaluate([sample])
    sample = make_sample()
    sample.pred_instances.vertices = np.zeros((1, COUNT - 1, 3), np.float32)
    with pytest.raises(ValueError, match=rf"template 'anny' has {COUNT}: give the head and MeshPoseMetric"):
        evaluate([sample])
    sample = make_sample()
    sample.pred_instances.vertices[0, 3, 1] = np.nan
    with pytest.raises(ValueError, match='not finite for 0.jpg'):
        evaluate([sample])
