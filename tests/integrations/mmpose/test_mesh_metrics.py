"""MeshMetric and TemporalMetric on samples whose errors are known, whole and in the halves of two processes."""

import numpy as np
import pytest

pytest.importorskip('mmpose')

import meshpose_plugins.integrations.mmpose  # noqa: E402,F401
from mmengine.evaluator import Evaluator  # noqa: E402
from mmpose.registry import METRICS  # noqa: E402
from test_metric import COUNT, SCALE, TEMPLATE, make_sample  # noqa: E402

from meshpose_plugins.evaluation import MeshEvaluation, pa_mpvpe  # noqa: E402
from meshpose_plugins.integrations.mmpose.metric_samples import place_in_time  # noqa: E402


def evaluate(kind, samples, **arguments):
    metric = METRICS.build(dict(type=kind, **arguments))
    metric.process({}, [sample.to_dict() for sample in samples])
    return metric.evaluate(len(samples))


def noisy(identity, size=5.0):
    sample = make_sample(identity)
    sample.pred_instances.vertices += size * np.random.default_rng(identity).normal(size=(1, COUNT, 3))
    return sample


def film(count=8, noise=0.0, sequence='walk', first=0):
    """A person who stretches, over numbered images of a folder."""
    samples = []
    rng = np.random.default_rng(5)
    for frame in range(first, first + count):
        sample = make_sample(0)
        stretch = np.float32(1 + 0.002 * frame**2)
        for holder, name in (
            (sample.gt_instances, 'vertices'),
            (sample.gt_instance_labels, 'vertices_camera'),
        ):
            holder.set_field(holder.get(name) * stretch, name)
        predicted = np.asarray(sample.gt_instance_labels.vertices_camera) * SCALE * (1 + 0.1 * frame)
        sample.pred_instances.vertices = predicted + noise * rng.normal(size=predicted.shape)
        sample.set_metainfo(dict(img_path=f'films/{sequence}/image_{frame:04d}.jpg', img_id=frame))
        samples.append(sample)
    return samples


def test_a_perfect_prediction_has_no_error():
    errors = evaluate('MeshMetric', [make_sample(i) for i in range(2)])
    assert errors.pop('mesh3d/pck_150') == errors.pop('mesh3d/pa_pck_150') == 100
    assert errors.pop('mesh3d/auc') == errors.pop('mesh3d/pa_auc') == pytest.approx(100 * 30 / 31)
    assert len(errors) == 6 + 2 * 8
    for name, value in errors.items():
        assert value == pytest.approx(0, abs=1e-2), name


def test_means_are_those_of_the_evaluation():
    samples = [noisy(0), noisy(1), make_sample(2, mesh=False)]
    errors = evaluate('MeshMetric', samples, joint_regressor='keypoints', prefix='x')
    evaluation = MeshEvaluation(TEMPLATE, 'keypoints')
    people = [
        evaluation.person(
            sample.pred_instances.vertices[0],
            np.asarray(sample.gt_instance_labels.vertices_camera[0]),
            true_image=sample.gt_instances.vertices[0],
        )
        for sample in samples[:2]
    ]
    assert errors == {
        f'x/{name}': pytest.approx((people[0][name] + people[1][name]) / 2) for name in people[0]
    }
    together = evaluate('MeshPoseMetric', samples)
    for name in ('mpvpe', 'pa_mpvpe', 'vertex_error_2d'):
        assert errors[f'x/{name}'] == pytest.approx(together[f'mesh/{name}'])
    assert evaluate('MeshMetric', [make_sample(0, mesh=False)]) == {}


@pytest.mark.parametrize('kind', ['MeshMetric', 'TemporalMetric'])
def test_halves_of_two_processes_give_the_whole(kind):
    samples = film(7, noise=3.0)
    halves = [METRICS.build(dict(type=kind)) for _ in range(2)]
    for i, sample in enumerate(samples):
        halves[i % 2].process({}, [sample.to_dict()])
    joined = halves[0].compute_metrics(halves[1].results + halves[0].results)
    whole = {name.split('/')[1]: value for name, value in evaluate(kind, samples).items()}
    assert len(whole) > 2 and joined == pytest.approx(whole)


@pytest.mark.parametrize('kind', ['MeshMetric', 'TemporalMetric'])
def test_unfit_predictions_are_explained(kind):
    sample = make_sample()
    sample.pred_instances.vertices = np.zeros((1, COUNT - 1, 3), np.float32)
    with pytest.raises(ValueError, match=rf"template 'anny' has {COUNT}: give the head and {kind}"):
        evaluate(kind, [sample])
    sample = make_sample()
    sample.pred_instances.vertices[0, 3, 1] = np.nan
    with pytest.raises(ValueError, match='not finite for 0.jpg'):
        evaluate(kind, [sample])
    del sample.pred_instances.vertices
    with pytest.raises(ValueError, match=f"{kind} needs pred_instances.vertices"):
        evaluate(kind, [sample])


def test_a_film_predicted_perfectly_has_no_acceleration_error():
    errors = evaluate('TemporalMetric', film(), fps=30)
    # float32 labels of metres, differenced: a micrometre
    assert errors['time/acceleration_error'] == pytest.approx(0, abs=1e-2)
    assert errors['time/jitter'] == pytest.approx(errors['time/true_jitter'], abs=1e-2)
    assert set(errors) == {
        f'time/{name}'
        for base, order in (('acceleration_error', 2), ('jitter', 3), ('true_jitter', 3))
        for name in (base, f'{base}_m_s{order}')
    }
    shaken = evaluate('TemporalMetric', film(noise=3.0), fps=30)
    assert shaken['time/acceleration_error'] > 1 and shaken['time/jitter'] > 2 * errors['time/jitter']
    assert shaken['time/acceleration_error_m_s2'] == pytest.approx(shaken['time/acceleration_error'] * 0.9)
    assert 'time/jitter_m_s3' not in evaluate('TemporalMetric', film())


def test_sequences_are_apart_and_order_does_not_matter():
    walk, run = film(6, 2.0), film(9, 4.0, 'run', first=30)
    both = evaluate('TemporalMetric', walk + run)
    mixed = [sample for pair in zip(run, walk[::-1]) for sample in pair] + run[6:]
    assert evaluate('TemporalMetric', mixed) == pytest.approx(both)
    first, second = evaluate('TemporalMetric', walk), evaluate('TemporalMetric', run)
    expected = (4 * first['time/acceleration_error'] + 7 * second['time/acceleration_error']) / 11
    assert both['time/acceleration_error'] == pytest.approx(expected)
    assert evaluate('TemporalMetric', walk[:2]) == {}
    assert evaluate('TemporalMetric', film(6), points='vertices').keys() == first.keys()


def test_people_of_one_image_need_tracks():
    walk = film(4, 2.0)
    other = film(4, 6.0)
    with pytest.raises(ValueError, match="sequence 'films/walk' has frame 0 twice: .* 'track_id'"):
        evaluate('TemporalMetric', walk + other)
    for track, people in enumerate((walk, other)):
        for sample in people:
            sample.set_metainfo(dict(track_id=track))
    assert evaluate('TemporalMetric', walk + other)['time/jitter'] > 0


def test_place_in_time():
    assert place_in_time(dict(img_path='a/b/frame12.png')) == (('a/b', None), 12)
    assert place_in_time(dict(img_path='a/x.png', img_id=7)) == (('a', None), 7)
    sample = dict(img_path='a/1.png', sequence='s', track_id=2, frame_id=40)
    assert place_in_time(sample) == (('s', 2), 40)
    with pytest.raises(ValueError, match="no frame number for a/x.png: give samples a 'frame_id'"):
        place_in_time(dict(img_path='a/x.png', img_id='one'))


def test_metrics_work_together_in_an_evaluator():
    kinds = ('MeshPoseMetric', 'MeshMetric', 'TemporalMetric')
    evaluator = Evaluator([METRICS.build(dict(type=kind)) for kind in kinds])
    samples = film(5, 1.0)
    evaluator.process(samples)
    metrics = evaluator.evaluate(5)
    assert metrics['mesh/pa_mpvpe'] == pytest.approx(metrics['mesh3d/pa_mpvpe'])
    expected = np.mean(
        [
            pa_mpvpe(s.pred_instances.vertices[0], np.asarray(s.gt_instance_labels.vertices_camera[0]))
            for s in samples
        ]
    )
    assert metrics['mesh3d/pa_mpvpe'] == pytest.approx(expected)
    assert all(isinstance(value, float) for value in metrics.values())
