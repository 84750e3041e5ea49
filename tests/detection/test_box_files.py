"""Files of boxes: every malformed one gets a message that names file, field and value."""

import json

import numpy as np
import pytest

from meshpose_plugins.detection import read_detections
from meshpose_plugins.detection.box_files import read_person_results


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
                    dict(id=3, image_id=7, bbox=[0, 0, 8, 8], category_id=18),
                    dict(id=4, image_id=7, bbox=[0, 0, 7, 7], category_id=2),
                ],
                categories=[dict(id=2, name='person'), dict(id=18, name='dog')],
            )
        )
    )
    np.testing.assert_array_equal(read_detections(plain)['a.jpg'][0], [[1, 2, 4, 6]])
    np.testing.assert_array_equal(read_detections(coco)['a.jpg'][0], [[1, 2, 4, 6], [0, 0, 7, 7]])
    assert read_detections(plain)['b.jpg'][0].shape == (0, 4)


@pytest.mark.parametrize(
    'content, message',
    [
        ('{"a.jpg": [[1, 2', 'the file seems to be cut off'),
        ('{"a.jp', 'the file seems to be cut off'),
        ('3', 'expected an object'),
        ('[1]', "result 0: field 'image_id' is missing"),
        (
            '[{"image_id": 4, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}]',
            'image_id 4.*--boxes-images',
        ),
        ('[{"image_id": [4], "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}]', 'result 0: image_id must be'),
        ('[{"image_id": "a", "category_id": [1], "bbox": [0, 0, 1, 1], "score": 1}]', 'category_id must be'),
        ('[{"image_id": "a", "category_id": 1, "bbox": null, "score": 1}]', 'result 0: bbox: expected'),
        ('[{"image_id": "a", "category_id": 1, "bbox": [0, 0, 1, 1], "score": null}]', 'score must be.*None'),
        ('[{"image_id": "a", "category_id": 1, "bbox": [0, 0, 1, 1], "score": "x"}]', 'score must be.*x'),
        ('[{"image_id": "a", "category_id": 1, "bbox": [0, 0, 1, 1], "score": NaN}]', 'score must be.*nan'),
        ('{"images": [], "annotations": null}', "needs a list 'annotations'"),
        ('{"images": [], "annotations": [5]}', r"annotations\[0\]: field 'image_id' is missing"),
        (f'[{{"image_id": "a", "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1{"0" * 400}}}]', 'score must be'),
        ('[{"image_id": "a", "category_id": 0, "bbox": [0, 0, 1, 1], "score": 1}]', r"than 'person' \(category_id 1\)"),
        (
            '{"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "Person"}], '
            '"annotations": [{"id": 5, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}]}',
            r"all 1 boxes are of other categories than 'person' \(category_id not there\)",
        ),
        ('{"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}], "annotations": []}', 'id 1 is that of'),
        ('{"images": [], "annotations": [], "info": [1]}', 'info must be an object'),
        ('{"a.jpg": 3}', 'a.jpg'),
        ('{"a.jpg": [[1, 2, 3]]}', 'bbox 0.*four'),
        ('{"a.jpg": [[1, 2, "x", 3]]}', 'bbox 0'),
        ('{"images": [{"id": 1}], "annotations": []}', 'file_name'),
        (
            '{"images": [], "annotations": [{"id": 5, "image_id": 1, "bbox": [0, 0, 1, 1]}]}',
            r'annotations\[0\] \(id 5\): no image has id 1',
        ),
        (
            '{"images": [], "annotations": [{"id": 5, "image_id": 1}]}',
            r"annotations\[0\]: field 'bbox' is missing",
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


def test_results_of_a_data_set_leave_out_and_name_what_cannot_be_used(tmp_path):
    good = dict(image_id=7, category_id=2, bbox=[1, 2, 30, 40], score=0.25)
    changes = [
        {},
        dict(category_id=1),
        dict(image_id=9),
        dict(bbox=[70, 2, 30, 40]),
        dict(bbox=[1, 2, 0, 40]),
        dict(bbox=[1, 2, float('nan'), 40]),
        dict(score=None),
        dict(image_id=8, score=2),
    ]
    results, annotations = tmp_path / 'results.json', tmp_path / 'annotations.json'
    results.write_text(json.dumps([{**good, **change} for change in changes] + [5]))
    images = [dict(id=7, file_name='a.jpg', width=64, height=48), dict(id=8, file_name='b.jpg')]
    categories = [dict(id=2, name='person'), dict(id=1, name='car')]
    annotations.write_text(json.dumps(dict(images=images, annotations=[], categories=categories)))
    problems = []
    found = read_person_results(results, annotations, problems)
    assert [(f.image_id, f.box.tolist(), f.score, f.file_name) for f in found] == [
        (7, [1, 2, 31, 42], 0.25, 'a.jpg'),
        (8, [1, 2, 31, 42], 2, 'b.jpg'),
    ]
    text = '\n'.join(problems)
    for message in (
        'image_id 9 is not among the images of',
        'bbox from (70, 2) to (100, 42) lies outside image 7',
        'result 4: bbox: width and height must be positive, got w=0',
        'result 5: bbox: expected four finite numbers',
        'result 6: score must be a finite number, got None',
        "result 8: field 'image_id' is missing",
    ):
        assert message in text
    assert len(problems) == 6
    for content, message in (('[{"im', 'cut off'), ('{}', 'must hold a list of detections, got dict')):
        results.write_text(content)
        with pytest.raises(ValueError, match=f'results.json: .*{message}'):
            read_person_results(results, annotations, [])
    with pytest.raises(FileNotFoundError, match='none.json: no such file of detections'):
        read_person_results(tmp_path / 'none.json', annotations, [])
