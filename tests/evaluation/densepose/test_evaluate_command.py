"""The command on meshes: tables, metrics.json, page; and what it says about wrong input."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from meshpose_plugins.cli.evaluate import main
from meshpose_plugins.evaluation import PredictionRecord, load_predictions, save_predictions
from meshpose_plugins.evaluation.densepose.template_surfaces import chart_points
from meshpose_plugins.rendering.benchmark import fit_to_picture
from meshpose_plugins.templates import load_template
from meshpose_plugins.visualization.densepose_report import distances_by_part, precision_curves, worst_people

TEMPLATE = load_template('anny')


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Two images with a person each, the second predicted 8 px too far right; true meshes; a surface."""
    folder = tmp_path_factory.mktemp('files')
    rng = np.random.default_rng(0)
    points = chart_points(TEMPLATE.surface)
    positions = np.einsum('pk,pkc->pc', points.weights, TEMPLATE.surface.vertices[points.vertex_ids])
    np.savez(folder / 'surface.npz', part=points.parts, uv=points.uv, position_m=positions)
    mesh = (fit_to_picture(TEMPLATE.vertices, 150, 150) + [10, 10, 0]).astype(np.float32)
    x, y, right, bottom = (float(value) for value in (*mesh[:, :2].min(0), *mesh[:, :2].max(0)))
    content = dict(info=dict(densepose_surface='anny'), images=[], annotations=[])
    records = []
    for image_id in (1, 2):
        cv2.imwrite(str(folder / f'{image_id}.png'), rng.integers(0, 256, (170, 170, 3)).astype(np.uint8))
        content['images'].append(dict(id=image_id, file_name=f'{image_id}.png', width=170, height=170))
        chosen = rng.integers(0, len(TEMPLATE.faces), 40)
        front = mesh[TEMPLATE.faces[chosen]].mean(axis=1)
        i, u, v = TEMPLATE.iuv(chosen, np.full((40, 3), 1 / 3))
        content['annotations'].append(
            dict(
                id=image_id,
                image_id=image_id,
                category_id=1,
                iscrowd=0,
                bbox=[x, y, right - x, bottom - y],
                area=5000.0,
                segmentation=[[x, y, right, y, right, bottom, x, bottom]],
                dp_x=((front[:, 0] - x) * 255 / (right - x)).tolist(),
                dp_y=((front[:, 1] - y) * 255 / (bottom - y)).tolist(),
                dp_I=i.tolist(),
                dp_U=u.tolist(),
                dp_V=v.tolist(),
            )
        )
        moved = mesh + np.float32([8 * (image_id == 2), 0, 0])
        records.append(PredictionRecord(image_id, image_id, [x, y, right, bottom], 0.9, 'anny', moved))
    (folder / 'annotations.json').write_text(json.dumps(content))
    save_predictions(folder / 'predictions.npz', records)
    metres = (mesh - mesh.mean(axis=0)) / 100
    np.savez(
        folder / 'meshes.npz',
        template='anny',
        version=1,
        annotation_ids=[1, 2],
        vertices_image=np.stack([mesh, mesh]),
        visibility=np.ones((2, len(mesh)), np.uint8),
        vertices_camera=np.stack([metres, metres]).astype(np.float32),
    )
    return folder


def run(files, out, *options, predictions='predictions.npz'):
    arguments = [
        files / predictions,
        '--annotations',
        files / 'annotations.json',
        '--surface',
        files / 'surface.npz',
    ]
    return main([str(argument) for argument in [*arguments, '--out', out, *options]])


def test_everything_at_once(files, tmp_path, capsys):
    assert (
        run(files, tmp_path, '--meshes', files / 'meshes.npz', '--protocol', 'P1,P2,P3', '--kappa', '0.255')
        == 0
    )
    found = json.loads((tmp_path / 'metrics.json').read_text())
    assert set(found) == {'P1', 'P2', 'P3', 'meshes', 'problems'}
    for name in ('P1', 'P2', 'P3'):
        assert found[name]['kappa'] == '0.255 m everywhere' and found[name]['people'] == 2
        assert set(found[name]['gps']) == {
            f'{a}{b}' for a in ('AP', 'AR') for b in ('', '50', '75', 'm', 'l')
        }
    assert found['meshes']['people'] == 2 and 'scale_rule' in found['meshes']['rules']
    assert found['meshes']['vertex_error_px'] == pytest.approx(4, abs=1e-3)
    page = (tmp_path / 'report.html').read_text()
    for text in (
        'MeshPose: ground-truth boxes',
        '2.png, annotation 2: GPSm',
        'vertex_error_px',
        '0.255 m',
        'P3, %',
    ):
        assert text in page, text
    assert page.index('annotation 2: GPSm') < page.index('annotation 1: GPSm')  # the worst first
    pictures = sorted(path.name for path in (tmp_path / 'pictures').iterdir())
    assert pictures == [
        *(f'curves_{n}.png' for n in range(1, 10)),
        'instance_01.png',
        'instance_02.png',
        'parts_1.png',
    ]
    printed = capsys.readouterr().out
    assert 'P2 ground-truth boxes' in printed and 'metrics are in' in printed and 'vertex_error_px' in printed


def test_problems_are_printed_and_strict_makes_them_errors(files, tmp_path, capsys):
    records = [
        dict(image_id=1, instance_id=1, template='anny', vertices=[[0, 0, 0]] * 499, box=[0, 0, 9, 9]),
        dict(image_id=77, instance_id=2, template='anny', vertices=[[0, 0, 0]] * 499, box=[0, 0, 9, 9]),
        dict(image_id=2, instance_id=2, template='anny', vertices=[[0, 0, 0]] * 498, box=[0, 0, 9, 9]),
    ]
    content = dict(format='meshpose_predictions', version=2, records=records)
    (files / 'bad.json').write_text(json.dumps(content))
    assert run(files, tmp_path, '--worst', 0, predictions='bad.json') == 0
    printed = capsys.readouterr().out
    assert '2 problems in the input' in printed
    assert '1 x prediction for an image that the annotations do not have' in printed
    found = json.loads((tmp_path / 'metrics.json').read_text())
    assert len(found['problems']['entries']) == 2 and not (tmp_path / 'report.html').exists()
    with pytest.raises(SystemExit, match=r'^evaluate: 2 problems in the input \(strict\)'):
        run(files, tmp_path / 'strict', '--strict', predictions='bad.json')
    assert not (tmp_path / 'strict').exists()


def test_meshes_of_records_that_are_no_annotation_of_their_image(files, tmp_path, capsys):
    """A detector numbers its people: its number 2 in image 1 is not annotation 2, which is in image 2."""
    first, second = load_predictions(files / 'predictions.npz', TEMPLATE)
    records = [replace(first, instance_id=2), replace(second, instance_id=7)]
    save_predictions(files / 'detected.npz', records)
    options = ('--worst', 0, '--meshes', files / 'meshes.npz')
    assert run(files, tmp_path, *options, predictions='detected.npz') == 0
    found = json.loads((tmp_path / 'metrics.json').read_text())
    assert found['meshes']['people'] == 0 and 'vertex_error_px' not in found['meshes']
    assert 'the annotation of this id is in image 2' in json.dumps(found['problems'])
    named = [replace(first, image_id='1.png'), replace(second, image_id='2.png')]
    save_predictions(files / 'named.npz', named)
    assert run(files, tmp_path, *options, predictions='named.npz') == 0
    assert json.loads((tmp_path / 'metrics.json').read_text())['meshes']['people'] == 2


@pytest.mark.parametrize(
    'options, message',
    [
        (['--protocol', 'P5'], 'protocols must be some of P1, P2, P3'),
        (['--kappa', 'small'], "--kappa small: expected 'parts' or a number"),
        (['--meshes', 'absent.npz'], 'absent.npz: no such file of meshes'),
        (['--template', 'nobody'], "no template 'nobody'"),
    ],
)
def test_wrong_options_are_one_line(files, tmp_path, capsys, options, message):
    with pytest.raises(SystemExit) as stop:
        run(files, tmp_path, *options)
    printed = capsys.readouterr().err
    assert printed.startswith('evaluate: ') and message in printed and stop.value.code == 2


def test_what_the_page_shows(files):
    from meshpose_plugins.evaluation.densepose import Evaluator, load_surface

    evaluator = Evaluator(files / 'annotations.json', load_surface(files / 'surface.npz'))
    result = evaluator.evaluate(files / 'predictions.npz', ['P2'])['P2']
    by_part = distances_by_part(result)
    parts = np.concatenate([person.point_parts for person in result.people])
    distances = np.concatenate([person.point_distances for person in result.people])
    chosen = (parts == 2) & np.isfinite(distances)
    assert by_part['torso_front'] == pytest.approx(1000 * distances[chosen].mean(), rel=1e-5)
    curves = precision_curves(result)
    assert [curve.title for curve in curves] == ['P2 gps', 'P2 gpsm', 'P2 iou']
    np.testing.assert_array_equal(curves[0].lines['0.5'][1], result.precision['gps'][0])
    worst = worst_people(result, {1: '1.png', 2: 'absent.png'}, files, {}, count=1)
    assert len(worst) == 1 and 'annotation 2' in worst[0].caption and worst[0].image is None
    assert worst[0].iuv is not None and len(worst[0].points_xy) == len(worst[0].point_scores) == 40
