"""The predictions file: round trips, and errors that name what is wrong."""

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshpose_plugins.cli.validate_predictions import main
from meshpose_plugins.evaluation import (
    PredictionRecord,
    PredictionsError,
    body_vertices,
    encode_iuv,
    image_vertices,
    load_predictions,
    read_predictions,
    save_predictions,
    template_vertices,
    validate_predictions,
)
from meshpose_plugins.templates import MeshTemplate, load_template

TEMPLATE = MeshTemplate(name='anny', body='anny', num_vertices=7, upsampler_weights=np.full((20, 7), 1 / 7))


def make_record(seed=0, count=7, **changes):
    rng = np.random.default_rng(seed)
    record = PredictionRecord(
        image_id=seed // 2,
        instance_id=seed,
        box=[1.5, 2, 30, 40 + seed],
        score=rng.random(),
        template='anny',
        vertices=rng.normal(size=(count, 3)) * 100,
        visibility=rng.random(count),
    )
    return replace(record, **changes)


def assert_equal(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second):
        for field in ('image_id', 'instance_id', 'template', 'score', 'vertex_set'):
            assert getattr(a, field) == getattr(b, field), field
        for field in ('box', 'vertices', 'visibility', 'vertices_camera', 'iuv'):
            left, right = getattr(a, field), getattr(b, field)
            assert (left is None) == (right is None), field
            if left is not None:
                assert left.dtype == right.dtype
                np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize('ending', ['.npz', '.json'])
@pytest.mark.parametrize('count', [0, 1, 5])
def test_round_trip_is_exact(tmp_path, ending, count):
    records = [make_record(i) for i in range(count)]
    path = save_predictions(tmp_path / 'deep' / f'people{ending}', records, TEMPLATE)
    assert_equal(load_predictions(path, TEMPLATE), records)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize('ending', ['.npz', '.json'])
def test_string_ids_and_several_templates(tmp_path, ending):
    records = [
        make_record(0, image_id='a/б.jpg', instance_id='x'),
        make_record(1, 4, image_id='b.jpg', instance_id='x', template='other'),
    ]
    path = save_predictions(tmp_path / f'people{ending}', records)
    assert_equal(load_predictions(path), records)


def test_files_need_no_pickle(tmp_path):
    path = save_predictions(tmp_path / 'people.npz', [make_record()])
    with np.load(path, allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)
    np.savez(
        tmp_path / 'evil.npz', format='meshpose_predictions', version=2, image_ids=np.array([{}], object)
    )
    with pytest.raises(ValueError, match='evil.npz: no readable .npz'):
        load_predictions(tmp_path / 'evil.npz')


@pytest.mark.parametrize(
    'changes, message',
    [
        (
            dict(vertices=np.zeros((6, 3))),
            r"vertices must be \(7, 3\) \(template 'anny' has 7 vertices\), got \(6, 3\)",
        ),
        (dict(visibility=np.zeros(6)), r'visibility must be \(7,\)'),
        (dict(vertices=np.where(np.arange(21).reshape(7, 3) == 8, np.nan, 1.0)), r'vertices\[2, 2\] is nan'),
        (dict(score=float('inf')), 'score is inf'),
        (dict(box=[10, 0, 5, 5]), r'x1 <= x2 and y1 <= y2, got \[10.0, 0.0, 5.0, 5.0\]'),
        (dict(box=[1, 2, 3]), r'box must be \(4,\), got \(3,\)'),
        (dict(visibility=np.full(7, 1.5)), r'visibility must lie in \[0, 1\], got 1.5'),
        (dict(template='smpl'), "template is 'smpl', expected 'anny'"),
        (dict(image_id=2**63), 'image_id must fit 64 bits, got 9223372036854775808'),
        (dict(image_id=1.5), 'image_id must be an integer or a string, got 1.5'),
        (dict(image_id=0, instance_id=0), 'appears twice, first in record 0'),
        (dict(image_id='one'), "image_id is a string .'one'., in other records it is an integer"),
        (dict(instance_id=None), 'instance_id is left out .None., in other records it is an integer'),
        (dict(vertices=None, visibility=None), 'neither vertices nor iuv'),
        (dict(vertices=None), 'visibility without vertices'),
        (dict(vertex_set='full'), "vertex_set must be 'template' or 'body', got 'full'"),
        (dict(vertex_set='body'), r"template 'anny' in full has 20 vertices\), got \(7, 3\)"),
        (dict(vertices_camera=np.zeros((6, 3))), r'vertices_camera must be \(7, 3\)'),
        (dict(iuv=np.zeros((4, 4, 3))), 'iuv must be uint8, got float64'),
    ],
)
def test_invalid_records_are_named(changes, message):
    records = [make_record(0), make_record(1), make_record(2, **changes)]
    problems = validate_predictions(records, TEMPLATE)
    assert re.search(message, '\n'.join(problems))
    assert all(problem.startswith('record 2 ') for problem in problems)


def test_records_of_one_template_must_agree():
    problems = validate_predictions([make_record(0, 6), make_record(1), make_record(2)])
    assert len(problems) == 2  # the vertices and the visibility of the one that differs from most
    assert problems[0].startswith('record 0 ') and 'vertices must be (7, 3)' in problems[0]


def test_an_invalid_record_leaves_the_file_that_is_there(tmp_path):
    path = save_predictions(tmp_path / 'people.json', [make_record(0)])
    before = path.read_bytes()
    with pytest.raises(ValueError):
        save_predictions(path, [make_record(1, score=float('nan'))])
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"ends in .npz or .json, not in '.pkl'"):
        save_predictions(tmp_path / 'people.pkl', [])
    with pytest.raises(FileNotFoundError, match='none.npz: no such predictions file'):
        load_predictions(tmp_path / 'none.npz')
    path = save_predictions(tmp_path / 'people.json', [make_record(0)])
    text = path.read_text()
    for broken, message in (
        (text[:100], 'no valid JSON'),
        ('5', 'holds an object, a DensePose one a list, got int'),
        (text.replace('"version": 2', '"version": 9'), 'version 9 is not known'),
        (text.replace('meshpose_predictions', 'coco'), "format is 'coco'"),
        (text.replace('"records"', '"people"'), "field 'records' is missing"),
        (text.replace('"score"', '"scores"'), 'record 0 .*scores'),
    ):
        path.write_text(broken)
        with pytest.raises(ValueError, match=f'people.json: .*{message}'):
            load_predictions(path)


def test_a_cut_off_npz_is_refused(tmp_path):
    path = save_predictions(tmp_path / 'people.npz', [make_record(i) for i in range(3)])
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match='people.npz: no readable .npz'):
        load_predictions(path)


def test_an_npz_with_columns_of_other_lengths_is_refused(tmp_path):
    path = save_predictions(tmp_path / 'people.npz', [make_record(i) for i in range(3)])
    with np.load(path) as archive:
        content = dict(archive)
    np.savez(path, **{**content, 'scores': content['scores'][:2]})
    with pytest.raises(ValueError, match='scores has 2 entries, image_ids has 3'):
        load_predictions(path)
    np.savez(path, **{**content, 'version': 3})
    with pytest.raises(ValueError, match='version 3 is not known'):
        load_predictions(path)


def test_json_is_plain(tmp_path):
    path = save_predictions(tmp_path / 'people.json', [make_record(0)])
    content = json.loads(path.read_text())
    assert (content['format'], content['version']) == ('meshpose_predictions', 2)
    names = 'image_id instance_id box score template vertex_set vertices visibility'
    assert set(content['records'][0]) == set(names.split())


@pytest.mark.parametrize('ending', ['.npz', '.json'])
def test_all_optional_fields_round_trip(tmp_path, ending):
    rng = np.random.default_rng(5)
    iuv = np.concatenate([rng.integers(0, 25, (9, 6, 1)), rng.integers(0, 256, (9, 6, 2))], -1).astype(
        np.uint8
    )
    body = rng.normal(size=(20, 3))
    records = [
        make_record(0),
        make_record(1, vertices=body, visibility=None, vertex_set='body', vertices_camera=body / 100),
        make_record(2, template='', vertices=None, visibility=None, iuv=iuv),
        make_record(3, iuv=iuv[:, :2], box=None, visibility=None),
    ]
    assert validate_predictions(records[3:]) == [
        'record 0 (image_id 1, instance_id 3): an iuv map needs a box'
    ]
    records[3] = make_record(3, box=None, visibility=None)
    path = save_predictions(tmp_path / f'people{ending}', records, TEMPLATE)
    assert_equal(load_predictions(path, TEMPLATE), records)
    detections = [replace(record, instance_id=None) for record in records[:3]]
    assert_equal(load_predictions(save_predictions(path, detections)), detections)
    assert validate_predictions([replace(records[3], instance_id=None)]) == [
        'record 0 (image_id 1, instance_id None): a record without instance_id needs a box'
    ]


def test_files_of_version_1_are_read(tmp_path):
    records = [make_record(i) for i in range(3)]
    np.savez_compressed(
        tmp_path / 'old.npz',
        format='meshpose_predictions',
        version=1,
        image_ids=np.array([0, 0, 1]),
        instance_ids=np.arange(3),
        boxes=np.array([record.box for record in records], np.float32),
        scores=np.array([record.score for record in records]),
        templates=np.array(['anny'] * 3),
        vertex_counts=np.array([7, 7, 7]),
        vertices=np.concatenate([record.vertices for record in records]),
        visibility=np.concatenate([record.visibility for record in records]),
    )
    assert_equal(load_predictions(tmp_path / 'old.npz', TEMPLATE), records)
    rows = [
        dict(
            image_id=record.image_id,
            instance_id=record.instance_id,
            box=record.box.tolist(),
            score=record.score,
            template='anny',
            vertices=record.vertices.tolist(),
            visibility=record.visibility.tolist(),
        )
        for record in records
    ]
    (tmp_path / 'old.json').write_text(
        json.dumps(dict(format='meshpose_predictions', version=1, records=rows))
    )
    assert_equal(load_predictions(tmp_path / 'old.json', TEMPLATE), records)


def test_plain_arrays_make_a_file(tmp_path):
    vertices = np.random.default_rng(0).normal(size=(4, 7, 3)).astype(np.float32)
    header = dict(format='meshpose_predictions', version=2, image_ids=np.arange(4))
    path = tmp_path / 'people.npz'
    np.savez(path, **header, instance_ids=np.arange(4), vertices=vertices, templates='anny')
    records = load_predictions(path, TEMPLATE)
    assert [record.template for record in records] == ['anny'] * 4 and records[2].score == 1.0
    np.testing.assert_array_equal(np.stack([record.vertices for record in records]), vertices)
    np.savez(path, **header, vertices=vertices[:3], boxes=np.zeros((2, 4)), colour='red')
    problems = validate_predictions(path)
    assert problems == ["field 'colour' is unknown"]
    np.savez(path, **header, vertices=vertices[:3], boxes=np.zeros((2, 4)))
    assert len(validate_predictions(path)) == 2
    with pytest.raises(PredictionsError, match='vertices has 3 entries, image_ids has 4'):
        load_predictions(path)
    np.savez(path, **{**header, 'image_ids': np.arange(4.0)}, vertices=vertices)
    with pytest.raises(
        PredictionsError, match='image_ids must hold integers or strings in 1 dim.*, got float64'
    ):
        load_predictions(path)


@pytest.mark.parametrize('ending', ['.npz', '.json'])
def test_every_problem_is_listed_and_the_rest_is_read(tmp_path, ending):
    records = [make_record(i) for i in range(6)]
    path = save_predictions(tmp_path / f'people{ending}', records)
    if ending == '.npz':
        with np.load(path) as archive:
            content = dict(archive)
        content['vertices'][7 * 1 + 2, 1] = np.nan
        content['vertices'][7 * 1 + 5, 0] = np.inf
        content['scores'][3] = np.nan
        content['instance_ids'][4:] = 4
        content['image_ids'][4:] = 2
        np.savez(path, **content)
    else:
        content = json.loads(path.read_text())
        rows = content['records']
        rows[1]['vertices'][2][1] = rows[1]['vertices'][5][0] = float('nan')
        rows[3]['score'] = float('nan')
        rows[5].update(image_id=2, instance_id=4)
        path.write_text(json.dumps(content))
    good, problems = read_predictions(path, TEMPLATE)
    assert_equal(good, [records[i] for i in (0, 2, 4)])
    assert validate_predictions(path, TEMPLATE) == problems
    assert [problem.split(' (')[0] for problem in problems] == ['record 1', 'record 3', 'record 5']
    assert 'vertices[2, 1] is nan, and 1 more values are not finite' in problems[0]
    with pytest.raises(PredictionsError) as error:
        load_predictions(path, TEMPLATE)
    assert error.value.problems == problems


def test_rows_that_are_no_records_keep_their_place(tmp_path):
    path = save_predictions(tmp_path / 'people.json', [make_record(i) for i in range(4)])
    content = json.loads(path.read_text())
    del content['records'][0]['image_id']
    content['records'][0]['colour'] = 'red'
    content['records'][1] = 5
    content['records'][2]['vertices'] = [[1, 2], [3]]
    content['records'][3]['score'] = float('inf')
    path.write_text(json.dumps(content))
    good, problems = read_predictions(path)
    assert good == [] and [problem.split()[1].rstrip(':') for problem in problems] == ['0', '1', '2', '3']
    assert "field 'colour' is unknown; field 'image_id' is missing" in problems[0]


def test_long_lists_of_problems_are_counted():
    error = PredictionsError('people.npz', [f'record {i}: score is nan' for i in range(8)])
    assert str(error).endswith('record 4: score is nan\n... and 3 more problems') and len(error.problems) == 8


def test_vertices_of_template_and_body():
    template = load_template('anny')
    body = np.asarray(template.surface.vertices)
    full = PredictionRecord(0, 0, template='anny', vertices=body, vertex_set='body')
    low = PredictionRecord(0, 1, template='anny', vertices=template.vertices)
    assert validate_predictions([full, low], template) == []
    np.testing.assert_array_equal(template_vertices(full, template), template.vertices)
    np.testing.assert_array_equal(template_vertices(low, template), low.vertices)
    np.testing.assert_array_equal(body_vertices(full, template), body)
    assert body_vertices(low, template).shape == body.shape
    assert np.abs(body_vertices(low, template) - body).max() < 0.05


def test_perspective_vertices_are_projected_with_relative_depth():
    vertices = np.array([[0.0, 0.0, 4.0], [0.5, -1.0, 4.0], [0.0, 0.0, 4.4]])
    placed = image_vertices(vertices, focal=800, center=(320, 240), root=[0.0, 0.0, 4.0])
    np.testing.assert_allclose(placed, [[320, 240, 0], [420, 40, 0], [320, 240, 80]], atol=1e-9)
    with pytest.raises(ValueError, match='in front of the camera, got the depth -4'):
        image_vertices(-vertices + [0, 0, 0.4], 800, (320, 240), [0, 0, 4])


def test_the_command_lists_problems(tmp_path, capsys):
    template = load_template('anny')
    right = PredictionRecord(0, 0, template='anny', vertices=template.vertices)
    path = save_predictions(tmp_path / 'good.npz', [right])
    assert main([str(path)]) == 0
    assert "0 problems; 1 valid person in 1 image (1 with 'anny' template of 499)" in capsys.readouterr().out
    short = replace(right, vertices=template.vertices[:7])
    path = save_predictions(tmp_path / 'bad.json', [short])  # consistent in itself
    assert main([str(path)]) == 1
    assert "has 499 vertices), got (7, 3)" in capsys.readouterr().out
    with pytest.raises(SystemExit, match='^validate_predictions: .*no such predictions file') as stop:
        main([str(tmp_path / 'none.npz')])
    assert stop.value.code == 2


def test_the_page_shows_what_runs(tmp_path, monkeypatch, capsys):
    template = load_template('anny')
    page = (Path(__file__).parents[2] / 'docs' / 'predictions.md').read_text(encoding='utf-8')
    blocks = re.findall(r'```python\n(.*?)```', page, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    save_predictions('predictions.npz', [PredictionRecord(0, 0, template='anny', vertices=template.vertices)])
    for block in blocks:
        exec(block, {})
    assert capsys.readouterr().out.splitlines() == ['[]', '[]'] and len(blocks) == 2
    assert len(load_predictions('predictions.json')) == 1
    assert load_predictions('other_method.npz')[1].vertices.shape == (6890, 3)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=4)
    | st.dictionaries(st.text(max_size=4), children, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    field=st.sampled_from([*(f.name for f in fields(PredictionRecord) if f.name != 'iuv'), 'iuv_png', 'x']),
    value=ANYTHING,
    row=st.integers(0, 2),
)
def test_whatever_a_field_holds_the_validator_lists_it(tmp_path, field, value, row):
    rows = [
        dict(image_id=i, instance_id=i, box=[0, 0, 9, 9], template='anny', vertices=np.zeros((7, 3)).tolist())
        for i in range(3)
    ]
    rows[row][field] = value
    path = tmp_path / 'people.json'
    path.write_text(json.dumps(dict(format='meshpose_predictions', version=2, records=rows)))
    good, problems = read_predictions(path, TEMPLATE)
    assert len(good) + bool(problems) >= 3 and all(problem.startswith('record ') for problem in problems)
    save_predictions(tmp_path / 'good.npz', good, TEMPLATE)
    assert_equal(load_predictions(tmp_path / 'good.npz', TEMPLATE), good)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    field=st.sampled_from(['image_id', 'bbox', 'score', 'uv_data', 'uv_shape', 'category_id']), value=ANYTHING
)
def test_whatever_a_densepose_entry_holds_the_validator_lists_it(tmp_path, field, value):
    entry = dict(image_id=1, bbox=[0, 0, 2, 3], score=1.0, uv_data=encode_iuv(np.zeros((3, 2, 3), np.uint8)))
    path = tmp_path / 'results.json'
    path.write_text(json.dumps([entry, {**entry, field: value}, value]))
    good, problems = read_predictions(path)
    assert 1 <= len(good) <= 2 and any(problem.startswith('record 2 ') for problem in problems)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_an_array_holds_the_validator_lists_it(tmp_path, data):
    iuv = np.zeros((4, 4, 3), np.uint8)
    path = save_predictions(tmp_path / 'people.npz', [make_record(i, iuv=iuv) for i in range(3)])
    with np.load(path) as archive:
        content = dict(archive)
    name = data.draw(st.sampled_from(sorted(content)))
    shape = data.draw(st.lists(st.integers(0, 4), max_size=3))
    dtype = data.draw(st.sampled_from(['f4', 'i8', 'u1', 'U3', '?', 'c8', 'M8[s]']))
    content[name] = np.ones(shape, np.int64).astype(dtype)
    np.savez(path, **content)
    assert all(isinstance(problem, str) for problem in validate_predictions(path, TEMPLATE))


def test_full_body_of_a_template_that_does_not_know_it():
    partly = MeshTemplate(name='anny', body='anny', num_vertices=7)
    full = make_record(count=20, vertex_set='body', visibility=None)
    problem, = validate_predictions([full], partly)
    assert "does not know its full body" in problem
