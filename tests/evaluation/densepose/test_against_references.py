"""The evaluator against the public evaluation's own numbers, and against plain loops on random instances."""

import importlib.util
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import zoom

from meshpose_plugins.cli.evaluate import main
from meshpose_plugins.data.rle import decode_mask
from meshpose_plugins.evaluation.densepose import EvaluationSurface, Evaluator, load_surface
from meshpose_plugins.evaluation.densepose.similarity import resize_mask
from meshpose_plugins.evaluation.densepose_results import parse_results

HERE = Path(__file__).parent


def load(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made_up, plain = load('made_up'), load('plain_evaluation')


@pytest.fixture(scope='module')
def golden(tmp_path_factory):
    folder = tmp_path_factory.mktemp('golden')
    with zipfile.ZipFile(HERE / 'golden.zip') as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.parametrize('scores', ['scored', 'constant_score'])
def test_command_gives_the_golden_statistics(golden, tmp_path, scores):
    """The numbers that detectron2's DensePose evaluation gives for made-up instances."""
    arguments = [golden / 'detections.json', '--annotations', golden / 'annotations.json']
    arguments += ['--surface', golden / 'surface.npz', '--protocol', 'P3', '--out', tmp_path, '--worst', 2]
    arguments += ['--constant-score'] if scores == 'constant_score' else []
    assert main([str(argument) for argument in arguments]) == 0
    found = json.loads((tmp_path / 'metrics.json').read_text())
    for mode, statistics in json.loads((golden / 'statistics.json').read_text())[scores].items():
        for name, value in statistics.items():
            assert abs(found['P3'][mode][name] - value) < 1e-9, (mode, name)
    assert found['P3']['kappa'].startswith('per part') and found['P3']['protocol'].startswith('P3 detector')
    assert found['P3']['surface'] == 'surface.npz' and 'Euclidean' in found['P3']['geodesics']
    assert found['problems'] == {'counts': {}, 'entries': []}
    assert (tmp_path / 'report.html').is_file()


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('constant', [False, True])
def test_random_instances_equal_the_plain_reference(seed, constant):
    rng = np.random.default_rng(seed)
    surface = made_up.make_surface(rng)
    annotations, rows = made_up.make_case(rng, surface, constant=constant)
    detections, problems = parse_results(rows)
    assert not problems and len(detections) > 5
    expected = plain.evaluate(annotations, rows, surface)
    evaluator = Evaluator(annotations, EvaluationSurface(surface[0], surface[1], positions=surface[2]))
    found = evaluator.evaluate(detections, ['P3'])['P3'].metrics
    assert 0.02 < expected['gps']['AP'] < 0.98
    assert_same(found, expected)


def test_special_cases_equal_the_plain_reference():
    """25 duplicates of which 20 count, kappa 0.255, nobody predicted, and nobody annotated."""
    rng = np.random.default_rng(7)
    surface = made_up.make_surface(rng)
    own = EvaluationSurface(surface[0], surface[1], positions=surface[2])
    annotations, rows = made_up.make_case(rng, surface, images=5)
    rows = rows[:4] + [dict(rows[0], score=0.1 + 0.01 * n) for n in range(25)] + rows[4:]
    for detections, kappa in ((rows, None), (rows, 0.255), ([], None)):
        evaluator = Evaluator(annotations, own, kappa=kappa or 'parts')
        found = evaluator.evaluate(parse_results(detections)[0], ['P3'])['P3']
        assert_same(found.metrics, plain.evaluate(annotations, detections, surface, kappa=kappa))
        assert found.kappa == ('per part (DensePose-COCO)' if kappa is None else '0.255 m everywhere')
    assert found.metrics['gps']['AP'] == 0 and all(person.position == -1 for person in found.people)
    nobody = dict(annotations, annotations=[])
    found = Evaluator(nobody, own).evaluate(parse_results(rows)[0], ['P3'])['P3'].metrics
    assert set(found['gps'].values()) == {-1.0}
    assert_same(found, plain.evaluate(nobody, rows, surface))


def test_any_distance_matrix_can_be_plugged_in(golden):
    surface = load_surface(golden / 'surface.npz')
    with np.load(golden / 'surface.npz') as arrays:
        part, uv, position = (arrays[name] for name in ('part', 'uv', 'position_m'))
    keep = np.flatnonzero(np.arange(len(part)) % 20 == 0)
    part, uv, position = part[keep], uv[keep], position[keep].astype(np.float64)
    matrix = np.linalg.norm(position[:, None] - position[None], axis=2)
    detections = parse_results(json.loads((golden / 'detections.json').read_text()))[0]
    results = [
        Evaluator(golden / 'annotations.json', own).evaluate(detections, ['P3'])['P3'].metrics
        for own in (
            EvaluationSurface(part, uv, positions=position),
            EvaluationSurface(part, uv, matrix),
            EvaluationSurface(part, uv, lambda a, b: matrix[a, b]),
            EvaluationSurface(part, uv, np.pad(matrix, (3, 0)), vertex_ids=np.arange(len(part)) + 3),
        )
    ]
    for other in results[1:]:
        assert_same(other, results[0])
    full = Evaluator(golden / 'annotations.json', surface).evaluate(detections, ['P3'])['P3'].metrics
    assert abs(full['gps']['AP'] - results[0]['gps']['AP']) < 0.05


def test_masks_are_resized_as_scipy_does():
    annotation_masks = made_up.encode_labels(made_up.labels(np.random.default_rng(0), 256, 256), 6)
    mask = sum(decode_mask(part) for part in annotation_masks).astype(np.float64)
    rng = np.random.default_rng(1)
    for width, height in [(0.3, 40), (1, 1), (256, 256), (511, 17.5), *rng.uniform(1, 400, (12, 2))]:
        size = max(height, 1) / 256, max(width, 1) / 256
        np.testing.assert_array_equal(
            resize_mask(mask, width, height), zoom(mask, size, order=1, prefilter=False) > 0.5
        )


def assert_same(found, expected):
    for mode, statistics in expected.items():
        assert set(found[mode]) == set(statistics)
        for name, value in statistics.items():
            assert found[mode][name] == pytest.approx(value, abs=1e-9), (mode, name)
