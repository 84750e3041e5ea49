"""Who is who among detections, and the errors of those who are found."""

import numpy as np
import pytest

from meshpose_plugins.data.densepose import PersonRecord
from meshpose_plugins.data.meshes import MeshLabels
from meshpose_plugins.data.records import SurfacePoints
from meshpose_plugins.evaluation import PredictionRecord
from meshpose_plugins.evaluation.detected_people import detected_people_errors, match_boxes
from meshpose_plugins.templates import load_template

TEMPLATE = load_template('anny')
COUNT = TEMPLATE.num_vertices


def iou(a, b):
    width, height = (max(min(a[k + 2], b[k + 2]) - max(a[k], b[k]), 0) for k in (0, 1))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def plain_match(boxes, scores, true_boxes, threshold):
    """The same rule, one pair at a time."""
    free, pairs = set(range(len(true_boxes))), []
    for detection in sorted(range(len(boxes)), key=lambda k: -scores[k]):
        overlaps = [(iou(boxes[detection], true_boxes[k]), -k) for k in free]
        if overlaps and max(overlaps)[0] >= threshold:
            person = -max(overlaps)[1]
            pairs.append((detection, person))
            free.remove(person)
    return pairs


@pytest.mark.parametrize('seed', range(20))
def test_matching_equals_the_plain_rule(seed):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 20, (9, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(8, 20, (9, 2))], 1)
    scores = rng.random(5)
    assert match_boxes(boxes[:5], scores, boxes[5:], 0.3) == plain_match(boxes[:5], scores, boxes[5:], 0.3)


def test_matching_without_anybody():
    assert match_boxes([], [], [[0, 0, 1, 1]]) == []
    assert match_boxes([[0, 0, 1, 1]], [1.0], []) == []


def make_people():
    """Two people 100 px high, of the rest pose; the first also has a point on vertex 0."""
    x, y, z = TEMPLATE.vertices.T
    upright = np.stack([x, -z, y], 1) * (100 / np.ptp(z))
    images = np.stack([upright + [60, 80, 0], upright + [160, 80, 0]]).astype(np.float32)
    camera = np.stack([np.stack([x, -z, y], 1)] * 2).astype(np.float32)
    labels = MeshLabels('anny', np.array([1, 2]), images, np.ones((2, COUNT), np.uint8), camera)
    people = []
    for row in range(2):
        low, high = images[row, :, :2].min(0), images[row, :, :2].max(0)
        box = np.concatenate([low, high - low])
        people.append(
            PersonRecord(row + 1, 7, 'a.jpg', (220, 170), box, meshes=labels, mesh_index=row)
        )
    people[0].points = SurfacePoints(images[0, :1, :2], [[0, 1, 2]], [[1, 0, 0]])
    return people


def predict(person, shift=0.0, score=1.0):
    box = np.concatenate([person.bbox[:2], person.bbox[:2] + person.bbox[2:]])
    vertices = person.vertices_image + np.float32([shift, 0, 0])
    return PredictionRecord(7, int(person.annotation_id * 10 + score * 5), box, score, 'anny', vertices,
                            np.ones(COUNT, np.float32))


def test_errors_of_the_best_detection_of_each_person():
    people = make_people()
    records = [predict(people[0], 30, 0.2), predict(people[0], 4, 0.9), predict(people[1], 0, 0.5)]
    errors = detected_people_errors(records, people, TEMPLATE)
    assert errors['found'] == 100
    assert errors['vertex_error_2d'] == pytest.approx((4 + 0) / 2, rel=1e-4)
    assert errors['uv_error'] == pytest.approx(100 * 4 / people[0].bbox[3], rel=1e-4)
    assert errors['pa_mpvpe'] == pytest.approx(0, abs=0.1) and errors['mpvpe'] == pytest.approx(0, abs=0.1)


def test_a_true_mesh_that_is_not_finite_is_none():
    people = make_people()
    records = [predict(people[0], 4), predict(people[1])]
    people[1].meshes.vertices_camera[1, 5] = np.nan
    errors = detected_people_errors(records, people, TEMPLATE)
    assert errors['found'] == 100
    assert errors['vertex_error_2d'] == pytest.approx(4, rel=1e-4), 'of the first alone'


def test_those_who_are_not_found_and_crowds():
    people = make_people()
    assert detected_people_errors([predict(people[1])], people, TEMPLATE)['found'] == 50
    people[0].iscrowd = True
    errors = detected_people_errors([predict(people[1])], people, TEMPLATE)
    assert errors['found'] == 100 and 'uv_error' not in errors
    assert detected_people_errors([], people, TEMPLATE) == {'found': 0}
    assert detected_people_errors([], [], TEMPLATE) == {}
