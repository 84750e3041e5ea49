"""The demo's files and its treatment of bad input, with a predictor of rest poses."""
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from meshpose_plugins.deploy.demo import run_demo
from meshpose_plugins.detection import WholeImageDetector
from meshpose_plugins.evaluation.predictions import PredictionRecord, load_predictions
from meshpose_plugins.templates import load_template


class RestPoseInBox:
    """Predicts the template, facing the camera, as tall as the box."""

    def __init__(self):
        self.template = load_template('anny')

    def predict_images(self, items):
        visibility = np.ones(self.template.num_vertices, np.float32)
        return [
            [
                PredictionRecord(item.name, k, box, score, 'anny', self.vertices(box), visibility)
                for k, (box, score) in enumerate(zip(item.boxes, item.scores))
            ]
            for item in items
        ]

    def vertices(self, box):
        x, y, z = self.template.vertices.T
        upright = np.stack([x, -z, y], axis=1)
        upright *= (box[3] - box[1]) / np.ptp(upright[:, 1])
        centre = np.append((box[:2] + box[2:]) / 2, 0)
        return (upright - (upright.min(0) + upright.max(0)) / 2 + centre).astype(np.float32)


class Nobody:
    def detect(self, image):
        return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)


@pytest.fixture(scope='module')
def predictor():
    return RestPoseInBox()


@pytest.fixture
def photograph(tmp_path):
    path = tmp_path / 'photos' / 'street.png'
    path.parent.mkdir()
    pixels = np.random.default_rng(0).integers(100, 140, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


BOXES = np.asarray([[10, 10, 60, 110], [90, 20, 140, 115]], np.float32)


def test_writes_everything_for_all_people(tmp_path, photograph, predictor):
    out = tmp_path / 'out'
    summary = run_demo(predictor, photograph, out, WholeImageDetector(), boxes=BOXES)
    assert summary.people == {'street.png': 2} and not summary.failures and not summary.notes
    written = sorted(str(p.relative_to(out)) for p in out.rglob('*') if p.is_file())
    assert written == sorted(
        ['overlays/street.jpg', 'viewers/street.html', 'predictions.npz']
        + [f'meshes/street_person{k}.{ending}' for k in (0, 1) for ending in ('obj', 'ply', 'glb')]
    )
    page = (out / 'viewers' / 'street.html').read_text()
    assert 'street' in page and 'src="http' not in page and 'href="http' not in page
    records = load_predictions(summary.predictions, predictor.template)
    assert [(r.image_id, r.instance_id) for r in records] == [('street.png', 0), ('street.png', 1)]
    np.testing.assert_array_equal([r.box for r in records], BOXES)
    np.testing.assert_array_equal(records[1].vertices, predictor.vertices(BOXES[1]))


def test_the_overlay_shows_the_mesh_where_it_is(tmp_path, photograph, predictor):
    run_demo(predictor, photograph, tmp_path / 'with', WholeImageDetector(), boxes=BOXES[:1], formats=())
    run_demo(predictor, photograph, tmp_path / 'without', Nobody(), formats=())
    folders = (tmp_path / 'with', tmp_path / 'without')
    drawn, plain = (cv2.imread(str(folder / 'overlays' / 'street.jpg')) for folder in folders)
    assert drawn.shape == plain.shape and drawn.shape[1] > 3 * drawn.shape[0]
    quarter = drawn.shape[1] // 4
    changed = (np.abs(drawn.astype(int) - plain).max(axis=2) > 25)[:, quarter : 2 * quarter]
    columns = np.flatnonzero(changed.mean(axis=0) > 0.05) / changed.shape[1] * 160
    assert columns.min() > 5 and columns.max() < 75, 'the mesh belongs between x = 10 and x = 60 of 160 px'


def test_meshes_have_the_bodys_vertices(tmp_path, photograph, predictor):
    trimesh = pytest.importorskip('trimesh')
    run_demo(predictor, photograph, tmp_path / 'out', WholeImageDetector(), boxes=BOXES[:1])
    count = len(predictor.template.surface.vertices)
    mesh = trimesh.load(tmp_path / 'out' / 'meshes' / 'street_person0.ply', process=False)
    assert len(mesh.vertices) >= count and len(mesh.faces) == len(predictor.template.surface.faces)
    height = np.ptp(mesh.vertices[:, 1])
    assert height == pytest.approx(np.ptp(predictor.template.vertices[:, 2]), rel=0.05)


def test_a_folder_goes_on_after_bad_images(tmp_path, photograph, predictor):
    folder = photograph.parent
    (folder / 'broken.jpg').write_bytes(b'\xff\xd8 no more')
    Image.fromarray(np.full((50, 40), 90, np.uint8)).save(folder / 'gray.png')
    Image.fromarray(np.full((50, 40, 3), 90, np.uint8)).save(folder / 'gray.jpg')
    Image.fromarray(np.full((50, 40, 3), 90, np.uint8)).save(folder / 'outside.png')
    boxes = tmp_path / 'boxes.json'
    boxes.write_text(json.dumps({'outside.png': [[60, 0, 10, 10]], 'street.png': [[-10, 0, 50, 60]]}))
    summary = run_demo(
        predictor,
        folder,
        tmp_path / 'out',
        WholeImageDetector(),
        boxes_file=boxes,
        formats=(),
        predictions_format='json',
    )
    assert summary.people == {'gray.jpg': 1, 'gray.png': 1, 'street.png': 1}
    assert set(summary.failures) == {'broken.jpg', 'outside.png'}
    assert 'broken.jpg cannot be read' in summary.failures['broken.jpg']
    assert 'bbox 60,0,10,10' in summary.failures['outside.png']
    assert len(summary.notes) == 1 and 'street.png' in summary.notes[0] and 'clipped' in summary.notes[0]
    boxes.write_text(json.dumps({'steret.png': [[0, 0, 5, 6]], 'street.png': [[0, 0, 50, 60]]}))
    note, *_ = run_demo(
        predictor, folder, tmp_path / 'again', WholeImageDetector(), boxes_file=boxes, pictures=False
    ).notes
    assert 'has no boxes for broken.jpg (4 of 5 images), but for steret.png, which is not there' in note
    pictures = sorted(p.name for p in (tmp_path / 'out' / 'overlays').iterdir())
    assert pictures == ['gray_jpg.jpg', 'gray_png.jpg', 'street.jpg']
    assert len(load_predictions(tmp_path / 'out' / 'predictions.json')) == 3


@pytest.mark.parametrize('batch_size', [1, 2])
@pytest.mark.parametrize('error', [RuntimeError('out of memory'), MemoryError('full'), cv2.error('bad size')])
def test_a_folder_goes_on_after_any_error(tmp_path, photograph, error, batch_size):
    class Clumsy(RestPoseInBox):
        def predict_images(self, items):
            if any(item.name == 'b.png' for item in items):
                raise error
            return super().predict_images(items)

    for name in ('a.png', 'b.png'):
        Image.open(photograph).save(photograph.with_name(name))
    out = tmp_path / 'out'
    summary = run_demo(
        Clumsy(), photograph.parent, out, WholeImageDetector(), formats=(), batch_size=batch_size
    )
    assert summary.failures == {'b.png': f'{type(error).__name__}: {error}'}
    assert [r.image_id for r in load_predictions(summary.predictions)] == ['a.png', 'street.png']


def test_images_go_through_the_network_in_batches(tmp_path, photograph):
    class Counting(RestPoseInBox):
        def predict_images(self, items):
            batches.append([item.name for item in items])
            return super().predict_images(items)

    for name in ('a.png', 'b.png'):
        Image.open(photograph).save(photograph.with_name(name))
    batches = []
    summary = run_demo(
        Counting(), photograph.parent, tmp_path, WholeImageDetector(), batch_size=2, pictures=False
    )
    assert batches == [['a.png', 'b.png'], ['street.png']] and len(summary.people) == 3
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ['predictions.npz']
    with pytest.raises(ValueError, match='batch_size must be 1 or more, got 0'):
        run_demo(Counting(), photograph.parent, tmp_path, WholeImageDetector(), batch_size=0)


def test_stopping_keeps_what_is_done(tmp_path, photograph, predictor):
    class Stopped(WholeImageDetector):
        def detect(self, image):
            if image.shape[0] == 50:
                raise KeyboardInterrupt
            return super().detect(image)

    Image.fromarray(np.zeros((50, 40, 3), np.uint8)).save(photograph.with_name('zebra.png'))
    with pytest.raises(KeyboardInterrupt):
        run_demo(predictor, photograph.parent, tmp_path / 'out', Stopped(), formats=())
    assert len(load_predictions(tmp_path / 'out' / 'predictions.npz')) == 1


def test_an_image_without_people_still_gets_its_pictures(tmp_path, photograph, predictor):
    summary = run_demo(predictor, photograph, tmp_path / 'out', Nobody())
    assert summary.people == {'street.png': 0} and 'found nobody' in summary.notes[0]
    assert (tmp_path / 'out' / 'overlays' / 'street.jpg').is_file()
    assert load_predictions(summary.predictions) == []


def test_what_cannot_be_started(tmp_path, photograph, predictor):
    with pytest.raises(ValueError, match='boxes belong to one image.*--boxes'):
        run_demo(predictor, photograph.parent, tmp_path / 'out', Nobody(), boxes=BOXES)
    with pytest.raises(ValueError, match="expected npz or json, got 'pkl'"):
        run_demo(predictor, photograph, tmp_path / 'out', Nobody(), predictions_format='pkl')
    with pytest.raises(FileNotFoundError, match='gone'):
        run_demo(predictor, tmp_path / 'gone', tmp_path / 'out', Nobody())
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='has no image'):
        run_demo(predictor, tmp_path / 'empty', tmp_path / 'out', Nobody())
    assert not (tmp_path / 'out').exists()
