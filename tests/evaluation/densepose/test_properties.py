"""What must hold for any body: perfect meshes, shifts, masks, order, scale, and bad input."""

import copy

import cv2
import numpy as np
import pytest

from meshpose_plugins.data.rle import encode_labels, encode_mask
from meshpose_plugins.evaluation import PredictionRecord, save_predictions
from meshpose_plugins.evaluation.densepose import EvaluationSurface, Evaluator, draw_iuv
from meshpose_plugins.evaluation.densepose.iuv import move_iuv
from meshpose_plugins.evaluation.densepose.template_surfaces import chart_points
from meshpose_plugins.rendering import rasterize, render_iuv
from meshpose_plugins.rendering.benchmark import fit_to_picture
from meshpose_plugins.templates import load_template
from meshpose_plugins.templates.parts import MASK_PARTS

TEMPLATE = load_template('anny')
PEOPLE = 4
SIZE = 240


@pytest.fixture(scope='module')
def surface():
    """Anny's charts; straight distances of the rest pose, so that no geodesics have to be computed."""
    points = chart_points(TEMPLATE.surface)
    positions = np.einsum('pk,pkc->pc', points.weights, TEMPLATE.surface.vertices[points.vertex_ids])
    return EvaluationSurface(points.parts, points.uv, positions=positions)


def make_scene():
    """One turned person per image, annotated from a drawing of its full body, and its vertices."""
    rng = np.random.default_rng(0)
    content = dict(info=dict(densepose_surface='anny'), images=[], annotations=[])
    meshes = []
    for index in range(PEOPLE):
        turn = 0.5 * index
        matrix = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        mesh = fit_to_picture(TEMPLATE.vertices @ matrix, SIZE, SIZE) + [30, 20, 0]
        size = SIZE + 60
        whole = draw_iuv(TEMPLATE.upsample(mesh), TEMPLATE.surface, np.array([0, 0, size, size]))
        rows, columns = np.nonzero(whole[..., 0])
        left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        box = [float(value) for value in (left, top, right - left, bottom - top)]
        # Points two pixels inside, as the part masks are coarser than the image.
        inside = np.nonzero(cv2.erode(np.uint8(whole[..., 0] > 0), np.ones((5, 5), np.uint8)))
        chosen = rng.choice(len(inside[0]), 60)
        rows, columns = inside[0][chosen], inside[1][chosen]
        values = whole[rows, columns] / [1, 255, 255]
        places = [
            np.minimum((np.arange(256) * extent / 255).astype(int), int(extent) - 1) + start
            for extent, start in ((box[3], top), (box[2], left))
        ]
        content['images'].append(dict(id=index + 1, file_name=f'{index}.jpg', width=size, height=size))
        content['annotations'].append(
            dict(
                id=10 + index,
                image_id=index + 1,
                category_id=1,
                iscrowd=0,
                bbox=box,
                area=float(np.count_nonzero(whole[..., 0])),
                dp_x=((columns - left + 0.01) * 255 / box[2]).tolist(),
                dp_y=((rows - top + 0.01) * 255 / box[3]).tolist(),
                dp_I=values[:, 0].tolist(),
                dp_U=values[:, 1].tolist(),
                dp_V=values[:, 2].tolist(),
                dp_masks=encode_labels(np.append(0, MASK_PARTS)[whole[np.ix_(*places)][..., 0]], 14),
            )
        )
        meshes.append(mesh.astype(np.float32))
    return content, meshes


SCENE, MESHES = make_scene()


def records(meshes=MESHES, scene=SCENE, full=False, scores=(0.9, 0.8, 0.7, 0.6)):
    made = []
    for person, mesh, score in zip(scene['annotations'], meshes, scores):
        x, y, w, h = person['bbox']
        vertices = TEMPLATE.upsample(mesh) if full else mesh
        made.append(
            PredictionRecord(
                person['image_id'],
                person['id'],
                [x, y, x + w, y + h],
                score,
                'anny',
                vertices,
                vertex_set='body' if full else 'template',
            )
        )
    return made


def evaluate(surface, predictions, protocols=('P1', 'P2', 'P3'), scene=SCENE, **options):
    evaluator = Evaluator(scene, surface, **options)
    return evaluator.evaluate(predictions, protocols), evaluator.problems


def mean(result, name='gps'):
    return result.to_dict()['mean_of_people'][name]


@pytest.mark.parametrize('full', [False, True])
def test_the_true_mesh_is_nearly_perfect(surface, full):
    results, problems = evaluate(surface, records(full=full))
    for result in results.values():
        assert mean(result) > 0.99 and mean(result, 'iou') > 0.97
        assert result.metrics['gps']['AP'] == pytest.approx(1) and result.metrics['gpsm']['AR'] > 0.99
        assert result.people[0].annotation_id == 10 and result.people[0].point_parts.shape == (60,)
        assert result.people[0].gps == pytest.approx(result.people[0].point_scores.mean())
    assert len(problems) == 0


def test_scores_fall_with_the_shift(surface):
    scores = []
    for shift in (0, 3, 6, 12, 24, 60, 400):
        moved = [mesh + np.float32([shift, shift / 2, 0]) for mesh in MESHES]
        results, _ = evaluate(surface, records(moved))
        scores.append(
            [mean(results[name], mode) for name in ('P1', 'P2', 'P3') for mode in ('gps', 'gpsm', 'iou')]
        )
    assert (np.diff(scores, axis=0) < 0).all()
    assert max(scores[-1]) == 0


def test_only_p1_ignores_what_overflows_the_mask(surface):
    maps = []
    for overflow in (False, True):
        maps.append([])
        for record, person in zip(records(), SCENE['annotations']):
            iuv = draw_iuv(TEMPLATE.upsample(record.vertices), TEMPLATE.surface, np.array(person['bbox']))
            iuv[..., 0][overflow & (iuv[..., 0] == 0)] = 2
            maps[-1].append(PredictionRecord(record.image_id, record.instance_id, record.box, 1.0, iuv=iuv))
    (exact, _), (overflowing, _) = (evaluate(surface, predictions) for predictions in maps)
    assert mean(overflowing['P1'], 'gpsm') >= mean(exact['P1'], 'gpsm') > 0.99
    for name in ('P2', 'P3'):
        assert mean(overflowing[name]) == mean(exact[name])
        assert mean(overflowing[name], 'iou') < 0.6 < 0.97 < mean(exact[name], 'iou')


def test_empty_predictions_score_zero(surface):
    empty = np.zeros((100, 60, 3), np.uint8)
    nothing = [
        PredictionRecord(p['image_id'], p['id'], [40, 30, 100, 130], 1.0, iuv=empty)
        for p in SCENE['annotations']
    ]
    for predictions in ([], nothing):
        results, problems = evaluate(surface, predictions)
        for result in results.values():
            assert set(result.metrics['gps'].values()) <= {0.0, -1.0} and mean(result, 'gpsm') == 0
        assert problems.counts() == (
            {} if predictions else {'annotated person without a prediction (P1, P2)': PEOPLE}
        )


def test_the_order_of_images_and_predictions_does_not_matter(surface):
    moved = [mesh + np.float32([4 * index, 0, 0]) for index, mesh in enumerate(MESHES)]
    expected, _ = evaluate(surface, records(moved))
    scene = copy.deepcopy(SCENE)
    for name in ('images', 'annotations'):
        scene[name] = scene[name][::-1]
    found, _ = evaluate(surface, records(moved)[::-1], scene=scene)
    assert {name: result.metrics for name, result in found.items()} == {
        name: result.metrics for name, result in expected.items()
    }
    several, _ = evaluate(surface, records(moved), workers=3)
    assert several['P3'].metrics == expected['P3'].metrics


def test_scaling_image_and_predictions_changes_nothing(surface):
    offset = np.float32([5, 3, 0])
    results, _ = evaluate(surface, records([mesh + offset for mesh in MESHES]))
    for scale in (2, 3):
        # The same points and masks, relative to the boxes, on more pixels.
        scene = copy.deepcopy(SCENE)
        for image, person in zip(scene['images'], scene['annotations']):
            image['width'], image['height'] = scale * image['width'], scale * image['height']
            person['bbox'] = [scale * value for value in person['bbox']]
            person['area'] *= scale**2
        scaled = [(mesh + offset) * np.float32(scale) for mesh in MESHES]
        again, _ = evaluate(surface, records(scaled, scene), scene=scene)
        for name in results:
            # The points see the very same places; the borders of masks are drawn more finely.
            assert name == 'P1' or mean(again[name]) == pytest.approx(mean(results[name]), abs=0.002)
            for mode in ('gps', 'gpsm', 'iou'):
                assert mean(again[name], mode) == pytest.approx(mean(results[name], mode), abs=0.03)


def test_kappa_is_a_choice_that_results_carry(surface):
    moved = records([mesh + np.float32([6, 0, 0]) for mesh in MESHES])
    per_part, _ = evaluate(surface, moved, ['P1'])
    constant, _ = evaluate(surface, moved, ['P1'], kappa=0.255)
    wide, _ = evaluate(surface, moved, ['P1'], kappa=10.0)
    assert mean(per_part['P1']) < mean(constant['P1']) < mean(wide['P1'])
    assert constant['P1'].to_dict()['kappa'] == '0.255 m everywhere'
    for wrong in ('all', 0.0, -1):
        with pytest.raises(ValueError, match="kappa must be 'parts' or a positive number"):
            Evaluator(SCENE, surface, kappa=wrong)


def test_maps_equal_the_plain_drawing():
    box = np.array([50.3, 40.0, 90.2, 150.9])
    vertices = TEMPLATE.upsample(MESHES[1])
    found = draw_iuv(vertices, TEMPLATE.surface, box)
    raster = rasterize(vertices - [50.3, 40.0, 0], TEMPLATE.surface.faces, 150, 90, backend='numpy')
    expected = render_iuv(raster, TEMPLATE.surface.face_parts, TEMPLATE.surface.face_uv)
    assert found.shape == (150, 90, 3) and (found[..., 0] == expected[..., 0]).all()
    assert np.abs(found[..., 1:] - expected[..., 1:] * 255).max() <= 0.5 + 1e-4


def test_maps_move_to_other_boxes(surface):
    box, target = np.array([10.0, 20, 30, 40]), np.array([5.0, 22, 28, 45])
    iuv = np.random.default_rng(0).integers(1, 25, (40, 30, 3)).astype(np.uint8)
    moved = move_iuv(iuv, box, target)
    assert moved.shape == (45, 28, 3) and (moved[:, :5] == 0).all() and (moved[38:] == 0).all()
    np.testing.assert_array_equal(moved[:38, 5:], iuv[2:, :23])
    # Maps score under P1 as the meshes do of which they are drawn.
    maps = []
    for record in records():
        wide = np.array([record.box[0] - 7, record.box[1] - 9, 180, 250])
        iuv = draw_iuv(TEMPLATE.upsample(record.vertices), TEMPLATE.surface, wide)
        corners = [*wide[:2], *(wide[:2] + wide[2:])]
        maps.append(PredictionRecord(record.image_id, record.instance_id, corners, 1.0, iuv=iuv))
    assert mean(evaluate(surface, maps, ['P1'])[0]['P1']) == mean(
        evaluate(surface, records(), ['P1'])[0]['P1']
    )


def test_bad_predictions_are_counted_listed_and_left_out(surface, tmp_path):
    good = records()
    bad = [
        PredictionRecord(999, 1, [0, 0, 9, 9], 1.0, 'anny', MESHES[0]),  # unknown image
        PredictionRecord(1, 77, [0, 0, 9, 9], 1.0, 'anny', MESHES[0][:-1]),  # too few vertices
        PredictionRecord(1, 78, [0, 0, 9, 9], 1.0, 'anny', np.full_like(MESHES[0], np.nan)),
        PredictionRecord(1, 10, [0, 0, 9, 9], 1.0, 'anny', MESHES[0]),  # the ids of the first
        PredictionRecord(1, 79, [0, 0, 9, 9], 1.0, 'nobody', MESHES[0]),  # no such template
        PredictionRecord(1, 81, [0, 0, 9, 1e8], 1.0, 'anny', MESHES[0]),
        PredictionRecord(
            1, 80, [0, 0, 300, 300], 0.1, 'anny', MESHES[0]
        ),  # no such annotation: fine under P3
    ]
    results, problems = evaluate(surface, good + bad, ['P1'])
    assert problems.counts() == {
        'invalid prediction': 3,
        'prediction for an image that the annotations do not have': 1,
        'prediction of a mesh that cannot be drawn': 1,
        'prediction with a box that is too large': 1,
        'prediction whose instance_id is no annotation of its image (P1, P2)': 1,
    }
    text = '\n'.join(problems.lines())
    for detail in (
        'record 4 (image_id 999',
        '(499, 3)',
        'nan',
        'appears twice',
        "no template 'nobody'",
        'instance_id 80',
    ):
        assert detail in text, detail
    assert results['P1'].metrics == evaluate(surface, good, ['P1'])[0]['P1'].metrics
    assert evaluate(surface, good + bad[-1:], ['P3'])[1].counts() == {}
    with pytest.raises(ValueError, match='7 problems in the input .strict.:\n3 x invalid prediction'):
        evaluate(surface, good + bad, ['P1'], strict=True)
    with pytest.raises(ValueError, match='no prediction can be scored:\n2 x invalid'):
        evaluate(surface, bad[:3] + bad[4:5], ['P3'])
    with pytest.raises(ValueError, match='carry their annotation as instance_id: none of these does'):
        evaluate(surface, bad[-1:], ['P2'])
    path = save_predictions(tmp_path / 'predictions.npz', good[:2])
    assert evaluate(surface, path, ['P2'])[1].counts() == {
        'annotated person without a prediction (P1, P2)': 2
    }
    with pytest.raises(ValueError, match="protocols must be some of P1, P2, P3, got ..P4"):
        evaluate(surface, good, ['P4'])


def test_images_may_be_named_by_their_files(surface):
    named = [
        PredictionRecord(f'{record.image_id - 1}.jpg', record.instance_id, None, 1.0, 'anny', record.vertices)
        for record in records()
    ]
    results, problems = evaluate(surface, named, ['P2'])
    assert results['P2'].metrics == evaluate(surface, records(), ['P2'])[0]['P2'].metrics
    assert len(problems) == 0


def test_bad_annotations_are_counted_and_listed(surface):
    scene = copy.deepcopy(SCENE)
    people = scene['annotations']
    people[0]['dp_x'] = people[0]['dp_x'][:-1]
    people[1]['dp_U'][3] = float('nan')
    people[2]['dp_masks'][0] = encode_mask(np.ones((9, 9)))
    people += [
        dict(people[3]),
        dict(people[3], id=50, image_id=60),
        dict(people[3], id=51, bbox=[1, 2, 3]),
        'text',
    ]
    people.append(dict(people[3], id=52, category_id=7))
    results, problems = evaluate(surface, records(), ['P2'], scene=scene)
    assert problems.counts() == {
        'annotation with broken points or masks, person ignored': 3,
        'annotation with an id that appears twice': 1,
        'annotation of an unknown image': 1,
        'broken annotation, left out': 2,
    }
    assert [person.annotation_id for person in results['P2'].people] == [13]
    assert results['P2'].metrics['gps']['AP'] == pytest.approx(1)
    assert mean(evaluate(surface, [], ['P3'], scene=scene)[0]['P3']) == 0
    with pytest.raises(ValueError, match='7 problems in the input'):
        Evaluator(scene, surface, strict=True)
    with pytest.raises(ValueError, match='images are those of|charts are those of'):
        Evaluator(dict(SCENE, info={}))
    with pytest.raises(ValueError, match='image 1: height and width must be given'):
        Evaluator(dict(SCENE, images=[dict(id=1, file_name='1.jpg')]), surface)


def test_meshes_of_another_body_are_refused(surface):
    scene = dict(SCENE, info=dict(densepose_surface='smpl'))
    with pytest.raises(ValueError, match="lies on the body 'anny', the annotations' charts on 'smpl'"):
        evaluate(surface, records(), scene=scene)
