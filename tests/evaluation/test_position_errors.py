"""Joints, parts, PCK and AUC: plain references, MMPose's and roma's results, and properties."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshpose_plugins.evaluation import (
    MeshEvaluation,
    PredictionRecord,
    auc_3d,
    evaluate_meshes,
    load_joint_regressor,
    mpvpe,
    pa_mpvpe,
    part_errors,
    part_shares,
    pck_3d,
    pck_curve,
    root_errors,
    save_predictions,
    similarity_errors,
    vertex_error_px,
)
from meshpose_plugins.data.meshes import MeshLabels
from meshpose_plugins.templates import load_template

TEMPLATE = load_template('anny')
COUNT = TEMPLATE.num_vertices
FULL = len(TEMPLATE.surface.vertices)


def rotation_of(rng):
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return rotation * np.sign(np.linalg.det(rotation))


def people(seed, count=3, noise=0.05):
    """True meshes in metres and noisy predictions of them in px."""
    rng = np.random.default_rng(seed)
    rest = np.asarray(TEMPLATE.vertices, np.float64)
    true = np.stack([rest @ rotation_of(rng).T for _ in range(count)])
    return 100 * (true + noise * rng.normal(size=true.shape)) + [50, 80, 0], true


def test_root_errors_equal_a_plain_reference():
    predicted, true = people(0)
    for scale in ('least_squares', 'none'):
        errors = root_errors(predicted, true, predicted[:, 3], true[:, 3], scale)
        for p, t, row in zip(predicted, true, errors):
            p, t = p - p[3], t - t[3]
            best = np.vdot(p, t) / np.vdot(p, p) if scale == 'least_squares' else 1.0
            for i in range(0, COUNT, 50):
                assert row[i] == pytest.approx(1000 * np.sqrt(((best * p[i] - t[i]) ** 2).sum()))
    with pytest.raises(ValueError, match="scale must be one of least_squares, none, got 'height'"):
        root_errors(predicted, true, predicted[:, 3], true[:, 3], 'height')


def test_the_scale_is_the_best_one():
    predicted, true = people(1, 1)
    p, t = predicted[0] - predicted[0, 3], true[0] - true[0, 3]
    best = (root_errors(predicted, true, predicted[:, 3], true[:, 3]) ** 2).sum()
    for factor in np.linspace(0.005, 0.02, 40):
        assert ((1000 * (factor * p - t)) ** 2).sum() >= best


def test_errors_equal_those_of_mmpose():
    pytest.importorskip('mmpose')
    import meshpose_plugins.integrations.mmpose  # noqa: F401  makes it importable beside numpy 2
    from mmpose.evaluation import functional

    predicted, true = people(2, 4)
    regressor = load_joint_regressor('joints', TEMPLATE)
    predicted, true = regressor @ predicted, regressor @ true
    mask = np.ones(true.shape[:2], bool)
    p, t = predicted - predicted[:, :1], true - true[:, :1]
    ours = root_errors(predicted, true, predicted[:, 0], true[:, 0])
    assert ours.mean() == pytest.approx(1000 * functional.keypoint_mpjpe(p, t, mask, 'scale'))
    aligned = similarity_errors(predicted, true)
    assert aligned.mean() == pytest.approx(1000 * functional.keypoint_mpjpe(p, t, mask, 'procrustes'))


def test_pck_and_auc_equal_a_plain_loop():
    distances = np.random.default_rng(0).uniform(0, 300, (5, 17))
    distances[0, 0] = 150.0  # not below the threshold
    for row, pck, auc, curve in zip(distances, pck_3d(distances), auc_3d(distances), pck_curve(distances)):
        expected = [100 * sum(d < threshold for d in row) / 17 for threshold in range(0, 151, 5)]
        np.testing.assert_allclose(curve, expected)
        assert pck == pytest.approx(expected[-1]) and auc == pytest.approx(np.mean(expected))
    assert pck_3d(np.zeros(17)) == 100 and auc_3d(np.zeros(17)) == pytest.approx(100 * 30 / 31)
    assert np.isnan(pck_3d(np.array([1.0, np.nan]))) and np.isnan(auc_3d(np.array([1.0, np.nan])))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_pck_rises_with_the_threshold_and_falls_with_the_error(seed):
    rng = np.random.default_rng(seed)
    distances = rng.gamma(2, 60, 20)
    curve = pck_curve(distances, np.sort(rng.uniform(0, 400, 12)))
    assert (np.diff(curve) >= 0).all() and (curve >= 0).all() and (curve <= 100).all()
    worse = distances + rng.gamma(1, 20, 20)
    assert pck_3d(worse) <= pck_3d(distances) and auc_3d(worse) <= auc_3d(distances)


@pytest.mark.parametrize('coarse', [True, False])
def test_parts_average_to_the_whole(coarse):
    shares = part_shares(TEMPLATE, coarse)
    assert len(shares) == (8 if coarse else 24)
    np.testing.assert_allclose(sum(shares.values()), 1)
    distances = np.random.default_rng(0).gamma(2, 40, (3, COUNT))
    errors = part_errors(distances, shares)
    whole = sum(errors[name] * share.sum() for name, share in shares.items()) / COUNT
    np.testing.assert_allclose(whole, distances.mean(-1))


def test_a_wrong_head_is_an_error_of_the_head():
    shares = part_shares(TEMPLATE)
    errors = part_errors(100.0 * (shares['head'] == 1), shares)
    assert errors.pop('head') > 80 and max(errors.values()) < 5
    # The head of the template is above its feet.
    height = part_errors(np.asarray(TEMPLATE.vertices[:, 2], np.float64), shares)
    assert height['head'] > height['torso'] > height['upper_legs'] > height['lower_legs'] > height['feet']


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(0.01, 300))
def test_procrustes_figures_ignore_similarities_but_not_mirrors(seed, scale):
    rng = np.random.default_rng(seed)
    predicted, true = (array[0] for array in people(seed, 1))
    evaluation = MeshEvaluation(TEMPLATE)
    moved = scale * predicted @ rotation_of(rng).T + 100 * rng.normal(size=3)
    first, second = evaluation.person(predicted, true), evaluation.person(moved, true)
    for name in first:
        if name.startswith('pa_') and 'mp' in name:
            assert second[name] == pytest.approx(first[name], rel=1e-6), name
    mirrored = evaluation.person(true * [-1, 1, 1], true)
    assert mirrored['pa_mpvpe'] > 10 and mirrored['pa_mpjpe'] > 10


def test_one_person_has_every_figure():
    predicted, true = (array[0] for array in people(5, 1))
    image = predicted + [3, 4, 0]
    root = TEMPLATE.joint_regressor[TEMPLATE.root_joint]
    evaluation = MeshEvaluation(TEMPLATE)
    result = evaluation.person(predicted, true, predicted, image)
    assert result['mpvpe'] == pytest.approx(mpvpe(predicted, true, root))
    assert result['pa_mpvpe'] == pytest.approx(pa_mpvpe(predicted, true))
    joints, true_joints = TEMPLATE.joint_regressor @ predicted, TEMPLATE.joint_regressor @ true
    assert result['pa_mpjpe'] == pytest.approx(pa_mpvpe(joints, true_joints))
    assert result['mpjpe'] == pytest.approx(
        mpvpe(joints, true_joints, np.eye(len(joints))[TEMPLATE.root_joint])
    )
    assert result['vertex_error_px'] == pytest.approx(5) == pytest.approx(vertex_error_px(predicted, image))
    assert result['vertex_error_2d'] == pytest.approx(100 * 5 / np.ptp(image[:, 1]))
    assert {f'{prefix}pve_{name}' for prefix in ('', 'pa_') for name in evaluation.shares} <= set(result)
    assert 'times <p, t> / <p, p>' in evaluation.rules['scale_rule']
    assert evaluation.part_means(result)['head'] == result['pa_pve_head']
    assert list(evaluation.part_means(result, aligned=False)) == list(evaluation.shares)


def test_metres_need_no_scale():
    true = people(6, 1)[1][0]
    larger = 1.1 * true
    errors = MeshEvaluation(TEMPLATE, scale='none').person(larger, true)
    root = TEMPLATE.joint_regressor[TEMPLATE.root_joint] @ true
    assert errors['mpvpe'] == pytest.approx(100 * np.linalg.norm(true - root, axis=1).mean())
    assert errors['pa_mpvpe'] == pytest.approx(0, abs=1e-6)
    assert MeshEvaluation(TEMPLATE).person(larger, true)['mpvpe'] == pytest.approx(0, abs=1e-6)
    assert 'no scale' in MeshEvaluation(TEMPLATE, scale='none').rules['scale_rule']
    with pytest.raises(ValueError, match="scale must be one of least_squares, none, got 'px'"):
        MeshEvaluation(TEMPLATE, scale='px')


def test_degenerate_meshes_are_not_scored_well_by_accident():
    true = people(7, 1)[1][0]
    evaluation = MeshEvaluation(TEMPLATE)
    point = evaluation.person(np.full((COUNT, 3), 4.0), true)
    assert point['pa_mpvpe'] > 100 and np.isfinite(list(point.values())).all()
    line = evaluation.person(np.linspace(0, 1, COUNT)[:, None] * [1.0, 2.0, 3.0], true)
    assert line['pa_mpvpe'] > 100 and np.isfinite(list(line.values())).all()
    # A true mesh of one point: every prediction would fit it.
    collapsed = evaluation.person(true, np.zeros((COUNT, 3)))
    assert np.isnan(collapsed['pa_mpvpe']) and np.isnan(collapsed['mpvpe']) and np.isnan(collapsed['pck_150'])
    broken = true.copy()
    broken[7, 1] = np.nan
    with pytest.raises(ValueError, match=r'predicted \(or source\) point \[7, 1\] is nan'):
        evaluation.person(broken, true)
    with pytest.raises(ValueError, match=r"template 'anny' needs vertices \(499, 3\), got \(498, 3\)"):
        evaluation.person(true[1:], true)


def test_means_leave_out_who_has_no_figure():
    means = MeshEvaluation(TEMPLATE).summarise([dict(a=1.0, b=np.nan), dict(a=3.0), dict(a=np.nan, b=np.nan)])
    assert means == dict(a=2.0)


def test_joint_regressors_of_either_resolution(tmp_path):
    rng = np.random.default_rng(0)
    low = rng.dirichlet(np.ones(COUNT), 14)
    np.testing.assert_allclose(load_joint_regressor(low, TEMPLATE), low)
    full = rng.dirichlet(np.ones(FULL), 14)
    np.save(tmp_path / 'j14.npy', full)
    vertices = people(1, 1)[1][0]
    expected = full @ TEMPLATE.upsample(vertices)
    np.testing.assert_allclose(
        load_joint_regressor(tmp_path / 'j14.npy', TEMPLATE) @ vertices, expected, atol=1e-5
    )
    assert load_joint_regressor('keypoints', TEMPLATE).shape == (17, COUNT)
    with pytest.raises(
        ValueError, match=r"expected \(joints, 499\) or \(joints, 12272\) for template 'anny'"
    ):
        load_joint_regressor(full[:, 1:], TEMPLATE)
    with pytest.raises(ValueError, match='the rows must sum to 1, row 3 sums to 2'):
        load_joint_regressor(np.where(np.arange(14)[:, None] == 3, 2 * low, low), TEMPLATE)
    with pytest.raises(FileNotFoundError, match="'joints', 'keypoints' or an .npy file, got 'hips'"):
        load_joint_regressor('hips', TEMPLATE)
    (tmp_path / 'no.npy').write_text('no')
    with pytest.raises(ValueError, match='no.npy: no readable .npy file'):
        load_joint_regressor(tmp_path / 'no.npy', TEMPLATE)


def test_records_are_compared_with_the_annotations_meshes():
    predicted, true = people(3, 4)
    labels = MeshLabels('anny', np.array([11, 12, 13, 14]), predicted, np.ones((4, COUNT)), true)

    def record(identity, vertices, **fields):
        return PredictionRecord(1, identity, template='anny', vertices=vertices, **fields)

    body = np.random.default_rng(0).normal(size=(FULL, 3))
    body[TEMPLATE.source_vertex_ids] = predicted[1]
    records = [
        record(11, predicted[0]),
        record(12, body, vertex_set='body'),
        record(13, predicted[2], vertices_camera=true[2]),
        record(13, predicted[2]),
        record(99, predicted[0]),
        PredictionRecord(1, 14, [0, 0, 4, 4], iuv=np.zeros((4, 4, 3), np.uint8)),
    ]
    errors, problems = evaluate_meshes(records, labels, MeshEvaluation(TEMPLATE))
    assert list(errors) == [11, 12, 13]
    for row, identity in enumerate(errors):
        assert errors[identity]['vertex_error_px'] == pytest.approx(0, abs=1e-3)
        expected = 0 if identity == 13 else pa_mpvpe(predicted[row].astype(np.float32), true[row])
        assert errors[identity]['pa_mpvpe'] == pytest.approx(expected, rel=1e-4, abs=1e-3)
    text = '\n'.join(problems)
    assert len(problems) == 4 and 'annotation 14: no prediction' in text and 'has a record already' in text
    images = {11: 1, 12: 2, 13: 1, 14: 1}
    errors, problems = evaluate_meshes(records, labels, MeshEvaluation(TEMPLATE), images)
    assert list(errors) == [11, 13] and 'instance_id 12): the annotation of this id is in image 2' in str(
        problems
    )
    assert 'instance_id 99): there is no mesh' in text and "no vertices, expected those of 'anny'" in text


def test_the_documented_example_runs(tmp_path, monkeypatch, capsys):
    predicted, true = people(3, 2)
    page = (Path(__file__).parents[2] / 'docs' / 'evaluation.md').read_text(encoding='utf-8')
    blocks = [b for b in re.findall(r'```python\n(.*?)```', page, flags=re.DOTALL) if 'evaluate_meshes(' in b]
    monkeypatch.chdir(tmp_path)
    records = [PredictionRecord(1, k, template='anny', vertices=predicted[k]) for k in range(2)]
    save_predictions('predictions.npz', records)
    np.savez(
        'meshes.npz',
        template='anny',
        version=1,
        annotation_ids=np.arange(2),
        vertices_image=predicted.astype(np.float32),
        visibility=np.ones((2, COUNT), np.uint8),
        vertices_camera=true.astype(np.float32),
    )
    names: dict = {}
    exec(blocks[0], names)
    errors = [person['pa_mpvpe'] for person in names['people'].values()]
    np.testing.assert_allclose(errors, pa_mpvpe(predicted, true), rtol=1e-4)
    assert 'roots together' in capsys.readouterr().out and not names['problems']
