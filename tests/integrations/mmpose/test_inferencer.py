"""MeshPoseInferencer has the call habits of MMPose's inferencers, and agrees with MMPose's own functions."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('mmpose')

from PIL import Image
from random_weights import CONFIG, anny_lite, checkpoint, make_checkpoint, weights  # noqa: F401

from meshpose_plugins.evaluation import PredictionRecord
from meshpose_plugins.integrations.mmpose.inferencer import MeshPoseInferencer
from meshpose_plugins.integrations.mmpose.shipped import load_config


@pytest.fixture(scope='module')
def inferencer(weights):
    return MeshPoseInferencer(weights, device='cpu')


@pytest.fixture(scope='module')
def picture():
    return np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)


BOXES = np.asarray([[5, 5, 40, 80], [20, 10, 60, 90]], np.float32)


def test_agrees_with_mmpose_functions(inferencer, weights, picture):
    from mmpose.apis import inference_topdown, init_model

    model = init_model(load_config(weights), str(weights), device='cpu')
    expected = inference_topdown(model, np.ascontiguousarray(picture[..., ::-1]), BOXES)
    records = inferencer.predict(picture, 'a.png', BOXES, np.asarray([0.9, 0.8]))
    assert len(records) == 2 and all(isinstance(r, PredictionRecord) for r in records)
    for sample, record in zip(expected, records):
        np.testing.assert_allclose(record.vertices, sample.pred_instances.vertices[0], atol=2e-3)
        np.testing.assert_allclose(record.visibility, sample.pred_instances.vertex_visibility[0], atol=1e-5)
    assert [r.score for r in records] == pytest.approx([0.9, 0.8])
    np.testing.assert_allclose([r.box for r in records], BOXES)


def test_people_of_an_image_do_not_influence_each_other(inferencer, picture):
    together = inferencer.predict(picture, 'a', BOXES, np.ones(2))
    alone = [inferencer.predict(picture, 'a', BOXES[k : k + 1], np.ones(1))[0] for k in range(2)]
    for one, other in zip(together, alone):
        np.testing.assert_allclose(one.vertices, other.vertices, atol=2e-3)


def test_people_of_several_images_go_through_together(inferencer, picture, monkeypatch):
    """One pass for all people of a batch of images, one without anybody; the same results as one by one."""
    other = np.ascontiguousarray(picture[::-1, ::-1])
    boxes = [BOXES, np.zeros((0, 4), np.float32), BOXES[1:]]
    images = [picture, other, other]
    passes = []
    step = inferencer.model.test_step
    monkeypatch.setattr(
        inferencer.model, 'test_step', lambda batch: passes.append(len(batch['inputs'])) or step(batch)
    )
    (together,) = inferencer(images, bboxes=boxes, batch_size=3, return_vis=True)
    assert passes == [3] and [len(people) for people in together['predictions']] == [2, 0, 1]
    assert [vis.shape for vis in together['visualization']] == [picture.shape] * 3
    alone = list(inferencer(images, bboxes=boxes))
    assert passes == [3, 2, 1]
    for people, single in zip(together['predictions'], alone):
        for one, another in zip(people, single['predictions'][0]):
            np.testing.assert_allclose(one['vertices'], another['vertices'], atol=2e-3)
    assert len(alone) == 3


def test_flip_test_is_symmetric(weights, inferencer, picture):
    flipping = MeshPoseInferencer(weights, device='cpu', flip_test=True)
    box = np.asarray([[11, 5, 58, 85]], np.float32)  # symmetric about the middle x = 69 / 2 of 70 columns
    (one,), (plain,) = (i.predict(picture, 'a', box, np.ones(1)) for i in (flipping, inferencer))
    (mirrored,) = flipping.predict(np.ascontiguousarray(picture[:, ::-1]), 'a', box, np.ones(1))
    assert np.abs(one.vertices - plain.vertices).max() > 0
    assert np.abs(flipping.template.mirror(mirrored.vertices, width=70) - one.vertices).mean() < 1.0


def test_paths_arrays_and_folders(inferencer, picture, tmp_path):
    for name in ('a.png', 'b.png'):
        Image.fromarray(picture).save(tmp_path / name)
    results = list(inferencer(str(tmp_path)))
    assert len(results) == 2
    (one,) = inferencer(np.ascontiguousarray(picture[..., ::-1]))
    for result in results:
        assert set(result) == {'predictions', 'visualization'} and result['visualization'] == []
        (person,) = result['predictions'][0]
        assert np.shape(person['vertices']) == (inferencer.template.num_vertices, 3)
        assert np.shape(person['keypoints']) == (17, 2) and person['bbox'] == [0, 0, 70, 90]
        np.testing.assert_allclose(person['vertices'], one['predictions'][0][0]['vertices'], atol=2e-3)
    json.dumps(results[0]['predictions'])


def test_boxes_pictures_and_files(inferencer, picture, tmp_path):
    array = np.ascontiguousarray(picture[..., ::-1])
    (result,) = inferencer(array, bboxes=BOXES, return_vis=True, out_dir=str(tmp_path))
    assert len(result['predictions'][0]) == 2
    assert result['visualization'][0].shape == picture.shape and result['visualization'][0].dtype == np.uint8
    assert [p.name for p in (tmp_path / 'visualizations').iterdir()] == ['000000.jpg']
    (file,) = (tmp_path / 'predictions').iterdir()
    assert len(json.loads(file.read_text())) == 2
    (samples,) = inferencer([array], bboxes=[BOXES], return_datasamples=True)
    assert samples['predictions'][0].pred_instances.vertices.shape[0] == 2


def test_nobody_found(weights, picture, tmp_path):
    class Nobody:
        def detect(self, image):
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)

    inferencer = MeshPoseInferencer(weights, device='cpu', detector=Nobody())
    (result,) = inferencer(picture, return_vis=True)
    assert result['predictions'] == [[]]
    np.testing.assert_array_equal(result['visualization'][0], picture[..., ::-1])
    assert inferencer.predict(picture, 'a', np.zeros((0, 4), np.float32), np.zeros(0)) == []
    (result,) = inferencer(picture, return_datasamples=True)
    assert len(result['predictions'][0].pred_instances) == 0
    for name in ('one.png', 'two.png'):
        Image.fromarray(picture).save(tmp_path / name)
    assert len(list(inferencer(str(tmp_path), out_dir=str(tmp_path / 'out')))) == 2
    written = {p.name: p for p in (tmp_path / 'out').rglob('*') if p.is_file()}
    assert set(written) == {'one.jpg', 'two.jpg', 'one.json', 'two.json'}
    assert json.loads(written['two.json'].read_text()) == []


def test_a_bad_image_of_a_folder_is_skipped_and_named(weights, picture, tmp_path):
    inferencer = MeshPoseInferencer(weights, device='cpu')
    (tmp_path / 'a.jpg').write_text('no image')
    for name in ('b.png', 'c.png'):
        Image.fromarray(picture).save(tmp_path / name)
    results = list(inferencer(str(tmp_path), batch_size=1, return_datasamples=True))
    assert [Path(r['predictions'][0].metainfo['img_path']).name for r in results] == ['b.png', 'c.png']
    assert list(inferencer.skipped) == [str(tmp_path / 'a.jpg')]
    assert 'cannot be read' in inferencer.skipped[str(tmp_path / 'a.jpg')]
    with pytest.raises(ValueError, match='a.jpg cannot be read'):  # named itself
        list(inferencer(str(tmp_path / 'a.jpg')))
    list(inferencer(str(tmp_path / 'b.png')))
    assert inferencer.skipped == {}
    for name in ('b.png', 'c.png'):
        (tmp_path / name).unlink()
    with pytest.raises(ValueError, match='none of 1 images can be read: .*a.jpg'):
        list(inferencer(str(tmp_path)))


def test_errors_of_the_caller_are_not_skipped(weights, picture, tmp_path):
    class Broken:
        def detect(self, image):
            raise ValueError('no such layer')

    Image.fromarray(picture).save(tmp_path / 'a.png')
    Image.fromarray(picture).save(tmp_path / 'b.png')
    with pytest.raises(ValueError, match='no such layer'):
        list(MeshPoseInferencer(weights, device='cpu', detector=Broken())(str(tmp_path)))
    inferencer = MeshPoseInferencer(weights, device='cpu')
    assert len(list(inferencer(str(tmp_path), bboxes=BOXES))) == 2, 'one box for each'
    with pytest.raises(ValueError, match=r'boxes must have the shape \(P, 4\), got \(1, 3\)'):
        list(inferencer(str(tmp_path), bboxes=[[1, 2, 3], [1, 2, 3]]))


def test_shipped_name_config_and_checkpoint(anny_lite, weights, checkpoint, picture):
    by_name = MeshPoseInferencer(device='cpu')
    assert by_name.template.name == 'anny'
    by_config = MeshPoseInferencer(str(CONFIG), weights=str(weights), device='cpu')
    by_checkpoint = MeshPoseInferencer(str(checkpoint), device='cpu')
    one, other = (i.predict(picture, 'a', BOXES[:1], np.ones(1))[0] for i in (by_config, by_checkpoint))
    np.testing.assert_allclose(one.vertices, other.vertices, atol=0.5)  # half against full precision


def test_bad_arguments(inferencer, picture, weights, tmp_path):
    with pytest.raises(ValueError, match='expected one .* for each of 1 inputs, got 2'):
        list(inferencer(picture, bboxes=[BOXES, BOXES]))
    with pytest.raises(ValueError, match='outside the image of 70 x 90'):
        list(inferencer(picture, bboxes=[[100, 0, 120, 20]]))
    with pytest.raises(ValueError, match=r'input 0: expected .* got shape \(4, 4, 3\), float64'):
        list(inferencer(np.zeros((4, 4, 3))))
    with pytest.raises(FileNotFoundError, match='gone.jpg'):
        list(inferencer(str(tmp_path / 'gone.jpg')))
    with pytest.raises(ValueError, match='needs weights: pass weights=FILE'):
        MeshPoseInferencer(str(CONFIG))
    with pytest.raises(FileNotFoundError, match='gone.pth does not exist'):
        MeshPoseInferencer('gone.pth')
    with pytest.raises(ValueError, match="'cuda:99' is not available"):
        MeshPoseInferencer(weights, device='cuda:99')


def test_weights_of_another_network_are_refused(weights, tmp_path):
    config = load_config(weights)
    config.model.head.vertexpose.gain = 5.0  # no tensor depends on it
    MeshPoseInferencer(config, weights=weights, device='cpu')
    config.model.head.regression.hidden_channels = 8
    with pytest.raises(ValueError, match='lite.safetensors does not fit the config'):
        MeshPoseInferencer(config, weights=weights, device='cpu')


def test_weights_of_another_template_are_refused(tmp_path):
    path = make_checkpoint(tmp_path / 'other.pth')
    checkpoint = torch.load(path, weights_only=True)
    name = b'another'.ljust(48, b'\0')
    checkpoint['state_dict']['head.template_id'][:48] = torch.tensor(list(name), dtype=torch.uint8)
    checkpoint['state_dict']['head.template_id'][48:] = 0
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match="other.pth: wrong template.*'another'.*'anny'"):
        MeshPoseInferencer(path, device='cpu')
