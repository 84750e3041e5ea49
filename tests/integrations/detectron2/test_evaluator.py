"""Evaluators on predictions whose errors are known, and what they leave on disk."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('detectron2')

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import DatasetEvaluators
from detectron2.structures import Boxes, Instances

from meshpose_plugins.data.densepose import DensePoseCoco
from meshpose_plugins.evaluation import load_predictions
from meshpose_plugins.evaluation.densepose import Evaluator
from meshpose_plugins.integrations.detectron2 import (
    MeshPoseEvaluator,
    PersonBoxEvaluator,
    register_densepose_coco,
)
from meshpose_plugins.modeling import ImageMeshes
from meshpose_plugins.templates import load_template

TEMPLATE = load_template('anny')


@pytest.fixture
def dataset(people_folder, tmp_path):
    """The people in a file that also has a car."""
    content = json.loads((people_folder / 'annotations.json').read_text())
    person = content['categories'][0]['id'] if content.get('categories') else 1
    content['categories'] = [dict(id=person, name='person'), dict(id=77, name='car')]
    content['annotations'].append(
        dict(
            id=5000,
            image_id=content['images'][0]['id'],
            category_id=77,
            bbox=[0, 0, 9, 9],
            area=81,
            iscrowd=0,
        )
    )
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(content))
    register_densepose_coco('people', str(path), str(people_folder), str(people_folder / 'meshes.npz'))
    DatasetCatalog.get('people')
    yield DensePoseCoco(path, TEMPLATE, people_folder / 'meshes.npz')
    DatasetCatalog.remove('people')
    MetadataCatalog.remove('people')


def evaluate(dataset, folder, shift=0.0, drop=0, extra=False, densepose=False):
    """Results for the true meshes moved by `shift` px to the right; the first `drop` people are not found."""
    evaluator = DatasetEvaluators(
        [
            PersonBoxEvaluator('people', output_dir=str(folder)),
            MeshPoseEvaluator('people', output_dir=str(folder), densepose=densepose),
        ]
    )
    evaluator.reset()
    for k, person in enumerate(dataset):
        width, height = person.image_size
        corners = np.concatenate([person.bbox[:2], person.bbox[:2] + person.bbox[2:]])
        rows = [corners][: k >= drop] + [np.array([0, 0, 4, 4.0])] * extra
        vertices = torch.tensor(
            np.stack([person.vertices_image] * len(rows) or [person.vertices_image])[: len(rows)]
        )
        mesh = ImageMeshes(
            vertices + torch.tensor([shift, 0, 0]),
            torch.tensor(person.vertex_visibility).float().expand(len(rows), -1),
            (height, width),
        )
        instances = Instances(
            (height, width),
            pred_boxes=Boxes(torch.tensor(np.array(rows, np.float32).reshape(-1, 4))),
            scores=torch.linspace(0.9, 0.5, len(rows)),
            pred_classes=torch.zeros(len(rows), dtype=torch.int64),
            pred_mesh=mesh,
        )
        evaluator.process([dict(image_id=person.image_id)], [dict(instances=instances)])
    return evaluator.evaluate()


def test_perfect_predictions(dataset, tmp_path):
    results = evaluate(dataset, tmp_path / 'out')
    assert results['bbox']['AP'] == pytest.approx(100)
    mesh = results['mesh']
    assert mesh['found'] == 100
    assert mesh['vertex_error_2d'] == pytest.approx(0, abs=1e-4)
    assert 0 < mesh['uv_error'] < 2  # points lie on the full surface, the mesh is low-poly
    records = load_predictions(tmp_path / 'out' / 'predictions.npz', TEMPLATE)
    assert [record.image_id for record in records] == [person.image_id for person in dataset]
    np.testing.assert_allclose(records[1].vertices, dataset[1].vertices_image, atol=1e-4)
    written = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert written == ['coco_instances_results.json', 'predictions.npz'], 'and nothing that is pickled'


def test_errors_of_those_who_are_found(dataset, tmp_path):
    results = evaluate(dataset, tmp_path, shift=3.0, drop=1, extra=True)
    assert results['mesh']['found'] == 75
    expected = np.mean([300 / np.ptp(person.vertices_image[:, 1]) for person in list(dataset)[1:]])
    assert results['mesh']['vertex_error_2d'] == pytest.approx(expected, rel=1e-4)
    assert 0 < results['bbox']['AP'] < 100
    boxes = json.loads((tmp_path / 'coco_instances_results.json').read_text())
    assert len(boxes) == 3 + 4 and {box['category_id'] for box in boxes} == {
        next(iter(MetadataCatalog.get('people').thing_dataset_id_to_contiguous_id))
    }


def test_nobody_found(dataset, tmp_path):
    results = evaluate(dataset, tmp_path, drop=4)
    assert results['mesh'] == {'found': 0}
    assert load_predictions(tmp_path / 'predictions.npz') == []


def test_densepose_scores_of_the_common_evaluation(dataset, tmp_path, caplog):
    """True meshes in true boxes are near perfect; people who are not found cost recall."""
    found = evaluate(dataset, tmp_path, densepose=True)['densepose']
    assert set(found) >= {f'{mode}_{name}' for mode in ('gps', 'gpsm', 'iou') for name in ('AP', 'AR')}
    assert found['gps_AP'] > 90 and found['gpsm_AP50'] == pytest.approx(100)
    expected = Evaluator(MetadataCatalog.get('people').json_file, template=TEMPLATE).evaluate(
        tmp_path / 'predictions.npz', ['P3']
    )
    assert found['gpsm_AP'] == pytest.approx(100 * expected['P3'].metrics['gpsm']['AP'])
    missed = evaluate(dataset, tmp_path, drop=1, densepose=True)['densepose']
    assert missed['gps_AR'] == pytest.approx(0.75 * found['gps_AR'], abs=1)


def test_charts_of_a_body_without_a_surface_leave_the_errors(dataset, tmp_path, caplog):
    path = Path(MetadataCatalog.get('people').json_file)
    content = json.loads(path.read_text())
    content['info']['densepose_surface'] = 'martian'
    evaluator = MeshPoseEvaluator('people')
    path.write_text(json.dumps(content))
    assert evaluator._densepose_scores([]) == {} and "no DensePose scores: " in caplog.text


def test_the_registered_surface_is_that_of_a_file_that_names_none(dataset, people_folder, tmp_path):
    content = json.loads(Path(MetadataCatalog.get('people').json_file).read_text())
    del content['info']['densepose_surface']
    path = tmp_path / 'unnamed.json'
    path.write_text(json.dumps(content))
    for name, options in (('unnamed', {}), ('named', dict(surface='anny'))):
        register_densepose_coco(name, str(path), str(people_folder), **options)
        try:
            scores = MeshPoseEvaluator(name)._densepose_scores([])
        finally:
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)
        assert bool(scores) == (name == 'named'), name


def test_models_and_data_without_meshes_are_named(dataset):
    evaluator = MeshPoseEvaluator('people')
    with pytest.raises(ValueError, match="no 'pred_mesh'.*MESHPOSE_ON"):
        evaluator.process([dict(image_id=1)], [dict(instances=Instances((9, 9)))])
    with pytest.raises(ValueError, match="'strangers' was not registered"):
        MeshPoseEvaluator('strangers')


def test_a_diverged_network_is_named_and_others_than_people_are_left_out():
    from meshpose_plugins.integrations.detectron2.evaluator import prediction_records

    count = TEMPLATE.num_vertices
    vertices, visibility = torch.zeros(2, count, 3), torch.ones(2, count)
    vertices[1], visibility[1] = float('nan'), 0
    found = Instances(
        (50, 60),
        pred_boxes=Boxes(torch.tensor([[0.0, 0, 9, 9]] * 2)),
        scores=torch.tensor([0.5, 0.9]),
        pred_mesh=ImageMeshes(vertices, visibility, (50, 60)),
    )
    (record,) = prediction_records(found, 7, TEMPLATE)
    assert record.image_id == 7 and record.score == 0.5
    visibility[1] = float('nan')
    with pytest.raises(ValueError, match='not finite for image 7.*diverged'):
        prediction_records(found, 7, TEMPLATE)
