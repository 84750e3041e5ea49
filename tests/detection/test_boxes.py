"""Boxes given by the user: every malformed one gets a message that names file, field and value."""

import json

import numpy as np
import pytest

from meshpose_plugins.detection import check_boxes, parse_bbox, read_detections


def test_parse_bbox_gives_corners():
    np.testing.assert_array_equal(parse_bbox('10, 20,30.5,40'), [10, 20, 40.5, 60])


@pytest.mark.parametrize('text', ['1,2,3', '1,2,3,4,5', 'a,b,c,d', '', '1 2 3 4'])
def test_parse_bbox_names_what_it_got(text):
    with pytest.raises(ValueError, match='expected four numbers x,y,w,h.*got ') as error:
        parse_bbox(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize('text', ['0,0,0,5', '0,0,5,-1', 'nan,0,5,5', 'inf,0,5,5'])
def test_parse_bbox_refuses_empty_and_infinite_boxes(text):
    with pytest.raises(ValueError, match='positive|finite'):
        parse_bbox(text)


def test_box_inside_is_untouched_and_box_over_the_border_is_clipped_with_a_note():
    boxes, notes = check_boxes([[1, 2, 30, 40], [-5, 10, 50, 200]], 64, 48, 'a.jpg')
    np.testing.assert_array_equal(boxes, [[1, 2, 30, 40], [0, 10, 50, 48]])
    assert len(notes) == 1 and 'a.jpg' in notes[0] and '-5,10,55,190' in notes[0] and '64 x 48' in notes[0]


@pytest.mark.parametrize('box', [[70, 0, 90, 20], [0, 50, 10, 60], [-30, -30, -1, -1], [64, 0, 80, 10]])
def test_box_wholly_outside_is_an_error(box):
    with pytest.raises(ValueError, match=r'a.jpg: bbox .* lies outside the image of 64 x 48 px'):
        check_boxes([box], 64, 48, 'a.jpg')


def test_read_boxes_by_name_and_from_coco(tmp_path):
    plain, coco = tmp_path / 'plain.json', tmp_path / 'coco.json'
    plain.write_text(json.dumps({'sub/a.jpg': [[1, 2, 3, 4]], 'b.jpg': []}))
    coco.write_text(
        json.dumps(
            dict(
                images=[dict(id=7, file_name='a.jpg')],
                annotations=[
                    dict(id=1, image_id=7, bbox=[1, 2, 3, 4]),
                    dict(id=2, image_id=7, bbox=[0, 0, 9, 9], iscrowd=1),
                ],
            )
        )
    )
    for boxes in (read_detections(plain), read_detections(coco)):
        np.testing.assert_array_equal(boxes['a.jpg'][0], [[1, 2, 4, 6]])
    assert read_detections(plain)['b.jpg'][0].shape == (0, 4)


@pytest.mark.parametrize(
    'content, message',
    [
        ('{"a.jpg": [[1, 2', 'truncated'),
        ('3', 'expected an object'),
        ('[1]', "result 0: field 'image_id' is missing"),
        (
            '[{"image_id": 4, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}]',
            'image_id 4.*--boxes-images',
        ),
        ('{"a.jpg": 3}', 'a.jpg'),
        ('{"a.jpg": [[1, 2, 3]]}', 'bbox 0.*four'),
        ('{"a.jpg": [[1, 2, "x", 3]]}', 'bbox 0'),
        ('{"images": [{"id": 1}], "annotations": []}', 'file_name'),
        (
            '{"images": [], "annotations": [{"id": 5, "image_id": 1, "bbox": [0, 0, 1, 1]}]}',
            'annotation id 5.*image has id 1',
        ),
        (
            '{"images": [], "annotations": [{"id": 5, "image_id": 1}]}',
            "annotation id 5: field 'bbox' is missing",
        ),
    ],
)
def test_read_boxes_names_file_and_field(tmp_path, content, message):
    path = tmp_path / 'boxes.json'
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        read_detections(path)
    assert str(path) in str(error.value)


def test_read_boxes_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.json does not exist'):
        read_detections(tmp_path / 'nothing.json')


def test_coco_results_keep_their_scores_and_the_images_without_detections(tmp_path):
    results, images = tmp_path / 'results.json', tmp_path / 'annotations.json'
    rows = [(7, 1, 0.25), (7, 3, 0.9), (9, 1, 0.5)]
    results.write_text(
        json.dumps(
            [
                dict(image_id=image, category_id=category, bbox=[1, 2, 3, 4], score=score)
                for image, category, score in rows
            ]
        )
    )
    images.write_text(
        json.dumps(
            dict(
                images=[dict(id=identity, file_name=f'sub/{identity}.jpg') for identity in (7, 8, 9)],
                annotations=[],
                categories=[dict(id=1, name='person'), dict(id=3, name='car')],
            )
        )
    )
    found = read_detections(results, images)
    assert {name: scores.tolist() for name, (_, scores) in found.items()} == {
        '7.jpg': [0.25],
        '8.jpg': [],
        '9.jpg': [0.5],
    }
    np.testing.assert_array_equal(found['9.jpg'][0], [[1, 2, 4, 6]])
    results.write_text(json.dumps([dict(image_id=5, category_id=1, bbox=[1, 2, 3, 4], score=1)]))
    with pytest.raises(ValueError, match='image_id 5 is not among the images of .*annotations.json'):
        read_detections(results, images)
