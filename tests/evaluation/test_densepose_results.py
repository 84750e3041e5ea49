"""DensePose results files: both shapes are read exactly, and the usual mistakes are named."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from meshpose_plugins.evaluation import (
    encode_iuv,
    load_densepose_results,
    load_predictions,
    quantise_iuv,
    save_predictions,
    validate_predictions,
)


def make_iuv(height=12, width=9, seed=0):
    rng = np.random.default_rng(seed)
    parts = rng.integers(0, 25, (height, width))
    uv = rng.integers(0, 256, (height, width, 2))
    return np.concatenate([parts[..., None], uv], axis=-1).astype(np.uint8)


def png(pixels):
    """A PNG in base64 by another library than ours: the red channel first."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, 'PNG')
    return base64.b64encode(stream.getvalue()).decode('ascii')


def write(path, rows):
    path.write_text(json.dumps(rows))
    return path


def test_both_shapes_are_read(tmp_path):
    first, second = make_iuv(), make_iuv(7, 5, 1)
    rows = [
        dict(
            image_id=785,
            category_id=1,
            bbox=[20.7, 3.2, 9.6, 12.9],
            score=0.9,
            uv_data=png(first)[:40] + '\n' + png(first)[40:],
            uv_shape=[3, 12, 9],
        ),
        dict(image_id=2, category_id=1, bbox=[0.1, 0.2, 5, 7], score=0.5, iuv_png=png(second)),
    ]
    path = write(tmp_path / 'results.json', rows)
    results, problems = load_densepose_results(path)
    assert problems == [] and [result.position for result in results] == [0, 1]
    assert results[0].bbox.tolist() == [20.7, 3.2, 9.6, 12.9]
    np.testing.assert_array_equal(results[0].iuv, first)
    np.testing.assert_array_equal(results[1].iuv, second)
    records = load_predictions(path)
    assert [(record.image_id, record.instance_id, record.score) for record in records] == [
        (785, 1, 0.9),
        (2, 2, 0.5),
    ]
    assert records[0].box.tolist() == [20.7, 3.2, 20.7 + 9.6, 3.2 + 12.9]
    again = load_predictions(save_predictions(tmp_path / 'people.npz', records))
    assert again[1].box.tolist() == records[1].box.tolist()
    np.testing.assert_array_equal(again[1].iuv, second)


def test_png_is_red_green_blue():
    iuv = make_iuv()
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(encode_iuv(iuv)))))
    np.testing.assert_array_equal(pixels, iuv)


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(iuv_png=png(make_iuv()[..., ::-1])), 'the channels seem to be V, U, I'),
        (dict(iuv_png=png(make_iuv() * np.array([10, 1, 1], np.uint8))), 'I is the part number, not scaled'),
        (dict(iuv_png=png(make_iuv() // np.array([1, 255, 255], np.uint8))), 'must be multiplied by 255'),
        (dict(iuv_png=png(make_iuv(13))), 'iuv_png is 9 x 13 px, the box asks for 9 x 12'),
        (dict(uv_shape=[3, 9, 12]), r'uv_shape is \[3, 9, 12\]'),
        (dict(iuv_png=png(make_iuv()[..., 0])), 'PNG of 3 channels'),
        (dict(iuv_png='%%'), 'no base64'),
        (dict(iuv_png='AAAA'), 'no PNG'),
        (dict(bbox=[1, 2, 3]), 'bbox must be x, y, width, height'),
        (dict(bbox=[1, 2, -3, 4]), 'bbox must be x, y, width, height'),
        (dict(score=float('nan')), 'score is nan'),
        (dict(image_id=None), 'image_id must be an integer or a string'),
    ],
)
def test_mistakes_are_named(tmp_path, changes, message):
    good = dict(image_id=4, category_id=1, bbox=[1.5, 2, 9, 12], score=0.5, iuv_png=png(make_iuv()))
    path = write(tmp_path / 'results.json', [good, {**good, **changes}, good])
    results, problems = load_densepose_results(path)
    assert [result.position for result in results] == [0, 2]
    assert len(problems) == 1 and problems[0].startswith('record 1 ')
    with pytest.raises(ValueError, match=message):
        load_predictions(path)


def test_missing_fields_are_listed_and_other_files_refused(tmp_path):
    path = write(tmp_path / 'results.json', [dict(image_id=4), 7])
    problems = validate_predictions(path)
    assert [problem.split(': ', 1)[1] for problem in problems] == [
        "field 'bbox' is missing",
        "field 'score' is missing",
        "field 'uv_data' or 'iuv_png' is missing",
        'expected an object, got int',
    ]
    with pytest.raises(ValueError, match='holds a list, got dict'):
        load_densepose_results(write(path, {}))
    with pytest.raises(FileNotFoundError, match='none.json'):
        load_densepose_results(tmp_path / 'none.json')


def test_maps_are_quantised_as_densepose_does():
    i, u, v = np.array([[0, 24]]), np.array([[0.0, 1.0]]), np.array([[0.5, 0.999]])
    np.testing.assert_array_equal(quantise_iuv(i, u, v), [[[0, 0, 127], [24, 255, 254]]])
    with pytest.raises(ValueError, match=r'U must lie in \[0, 1\], got 0.0 to 255.0'):
        quantise_iuv(i, u * 255, v)
    with pytest.raises(ValueError, match='must be multiplied by 255'):
        quantise_iuv(i / 255, u, v)
