"""The predictions file: round trips, and errors that name what is wrong."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from meshpose_plugins.evaluation import (
    PredictionRecord,
    load_predictions,
    save_predictions,
    validate_predictions,
)

TEMPLATE = SimpleNamespace(name='anny', num_vertices=7)


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
        assert (a.image_id, a.instance_id, a.template, a.score) == (
            b.image_id,
            b.instance_id,
            b.template,
            b.score,
        )
        for field in ('box', 'vertices', 'visibility'):
            left, right = getattr(a, field), getattr(b, field)
            assert left.dtype == right.dtype == np.float32
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
        tmp_path / 'evil.npz', format='meshpose_predictions', version=1, image_ids=np.array([{}], object)
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
        (dict(image_id=1.5), 'image_id must be an integer or a string, got 1.5'),
        (dict(image_id=0, instance_id=0), 'appears twice'),
        (dict(image_id='one'), 'image_id must be an integer in all records or a string in all records'),
    ],
)
def test_invalid_records_are_named(changes, message):
    records = [make_record(0), make_record(1, **changes)]
    with pytest.raises(ValueError, match=message):
        validate_predictions(records, TEMPLATE, 'people.npz')


def test_records_of_one_template_must_agree():
    with pytest.raises(ValueError, match=r'record 1 .*vertices must be \(7, 3\)'):
        validate_predictions([make_record(0), make_record(1, 6)])


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
        ('[]', 'holds an object, got list'),
        (text.replace('"version": 1', '"version": 9'), 'version 9 is not known'),
        (text.replace('meshpose_predictions', 'coco'), "format is 'coco'"),
        (text.replace('"records"', '"people"'), "field 'records' is missing"),
        (text.replace('"score"', '"scores"'), 'record 0: .*scores'),
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
    with pytest.raises(ValueError, match='scores has 2 entries, vertex_counts asks for 3'):
        load_predictions(path)
    np.savez(path, **{**content, 'version': 2})
    with pytest.raises(ValueError, match='version 2 is not known'):
        load_predictions(path)


def test_json_is_plain(tmp_path):
    path = save_predictions(tmp_path / 'people.json', [make_record(0)])
    content = json.loads(path.read_text())
    assert (content['format'], content['version']) == ('meshpose_predictions', 1)
    assert set(content['records'][0]) == {
        'image_id',
        'instance_id',
        'box',
        'score',
        'template',
        'vertices',
        'visibility',
    }
