"""DensePoseMetric in MMPose's evaluation loop: the evaluator's numbers, whatever process saw which person."""

import json

import numpy as np
import pytest

pytest.importorskip('mmpose')

import meshpose_plugins.integrations.mmpose  # noqa: E402,F401
import torch  # noqa: E402
from mmengine.evaluator import Evaluator as Loop  # noqa: E402
from mmpose.registry import METRICS  # noqa: E402

from meshpose_plugins.evaluation import PredictionRecord  # noqa: E402
from meshpose_plugins.evaluation.densepose import Evaluator, draw_iuv, load_surface  # noqa: E402
from meshpose_plugins.evaluation.densepose.template_surfaces import chart_points  # noqa: E402
from meshpose_plugins.rendering.benchmark import fit_to_picture  # noqa: E402
from meshpose_plugins.templates import load_template  # noqa: E402

TEMPLATE = load_template('anny')
COUNT = 3


@pytest.fixture(scope='module')
def scene(tmp_path_factory):
    """Two people in the first image and one in the second; their annotation file, surface file and meshes."""
    folder = tmp_path_factory.mktemp('scene')
    points = chart_points(TEMPLATE.surface)
    positions = np.einsum('pk,pkc->pc', points.weights, TEMPLATE.surface.vertices[points.vertex_ids])
    np.savez(folder / 'surface.npz', part=points.parts, uv=points.uv, position_m=positions)
    content = dict(info=dict(densepose_surface='anny'), images=[], annotations=[])
    meshes = []
    for image_id in (1, 2):
        content['images'].append(dict(id=image_id, file_name=f'{image_id}.jpg', width=330, height=200))
    for index in range(COUNT):
        mesh = fit_to_picture(TEMPLATE.vertices, 180, 120) + [10 + 150 * (index == 1), 10, 0]
        x, y = mesh[:, :2].min(0).astype(int)
        width, height = (np.ceil(mesh[:, :2].max(0)) - [x, y]).astype(int)
        box = [float(value) for value in (x, y, width, height)]
        iuv = draw_iuv(TEMPLATE.upsample(mesh), TEMPLATE.surface, np.array(box))
        rows, columns = (ids[::40] for ids in np.nonzero(iuv[..., 0]))
        values = iuv[rows, columns] / [1, 255, 255]
        corners = [
            box[0],
            box[1],
            box[0] + width,
            box[1],
            box[0] + width,
            box[1] + height,
            box[0],
            box[1] + height,
        ]
        content['annotations'].append(
            dict(
                id=index + 5,
                image_id=1 + (index == 2),
                category_id=1,
                iscrowd=0,
                bbox=box,
                area=float((iuv[..., 0] > 0).sum()),
                segmentation=[corners],
                dp_x=((columns + 0.1) * 255 / width).tolist(),
                dp_y=((rows + 0.1) * 255 / height).tolist(),
                dp_I=values[:, 0].tolist(),
                dp_U=values[:, 1].tolist(),
                dp_V=values[:, 2].tolist(),
            )
        )
        meshes.append((mesh + [2 * index, 0, 0]).astype(np.float32))
    (folder / 'annotations.json').write_text(json.dumps(content))
    return folder, content, meshes


def make_metric(scene, **options):
    folder = scene[0]
    return METRICS.build(
        dict(
            type='DensePoseMetric',
            ann_file=str(folder / 'annotations.json'),
            surface=str(folder / 'surface.npz'),
            **options,
        )
    )


def samples(scene):
    _, content, meshes = scene
    for person, mesh in zip(content['annotations'], meshes):
        x, y, w, h = person['bbox']
        yield dict(
            img_id=person['image_id'],
            id=person['id'],
            img_path='x.jpg',
            pred_instances=dict(
                vertices=torch.as_tensor(mesh)[None],
                vertex_visibility=torch.ones(1, len(mesh)),
                bboxes=np.float32([[x, y, x + w, y + h]]),
                bbox_scores=np.float32([0.5 + 0.1 * person['id'] % 0.4]),
            ),
        )


def test_equals_the_evaluator(scene):
    folder, content, meshes = scene
    metric = make_metric(scene, protocols=['P1', 'P2', 'P3'], kappa=0.255)
    loop = Loop(metric)
    loop.dataset_meta = {}
    for sample in samples(scene):
        loop.process(data_samples=[sample])
    found = loop.evaluate(COUNT)
    records = [
        PredictionRecord(
            s['img_id'],
            s['id'],
            s['pred_instances']['bboxes'][0],
            s['pred_instances']['bbox_scores'][0],
            'anny',
            mesh,
        )
        for s, mesh in zip(samples(scene), meshes)
    ]
    own = Evaluator(folder / 'annotations.json', load_surface(folder / 'surface.npz'), kappa=0.255)
    for name, result in own.evaluate(records, ['P1', 'P2', 'P3']).items():
        for mode in ('gps', 'gpsm', 'iou'):
            for statistic in metric.STATISTICS:
                key, value = f'densepose/{name}/{mode}_{statistic}', result.metrics[mode][statistic]
                assert found.get(key, -100) == pytest.approx(100 * value)
    assert 0 < found['densepose/P1/gps_AP'] < 100


def test_people_of_an_image_may_lie_in_several_processes(scene):
    """What processes collected comes in turns, and people of one image apart."""
    metric = make_metric(scene, protocols=['P1', 'P3'])
    for sample in samples(scene):
        metric.process({}, [sample])
    expected = metric.compute_metrics(metric.results)
    for order in ([2, 0, 1], [1, 2, 0]):
        shares = []
        for index in order:
            process = make_metric(scene, protocols=['P1', 'P3'])
            process.process({}, [list(samples(scene))[index]])
            shares += process.results
        assert metric.compute_metrics(shares) == expected


def test_missing_people_are_reported(scene):
    metric = make_metric(scene, strict=True)
    metric.process({}, list(samples(scene))[:2])
    with pytest.raises(ValueError, match='1 x annotated person without a prediction'):
        metric.compute_metrics(metric.results)
    with pytest.raises(ValueError, match="protocols must be some of P1, P2, P3, got ..P9"):
        make_metric(scene, protocols=['P9'])
    with pytest.raises(ValueError, match='DensePoseMetric needs pred_instances.vertices'):
        metric.process({}, [dict(pred_instances={})])
