"""Every detector keeps the protocol, and none of them downloads anything."""

import importlib
import sys

import numpy as np
import pytest

from meshpose_plugins.detection import (
    AutoDetector,
    HOGDetector,
    PersonDetector,
    TorchvisionDetector,
    WholeImageDetector,
    build_detector,
    detector_names,
    register_detector,
)
from meshpose_plugins.detection import base
from meshpose_plugins.detection.base import best_first, non_maximum_suppression

needs_hog = pytest.mark.skipif(not HOGDetector.available(), reason='this OpenCV has no HOG detector')


@pytest.fixture(scope='module')
def photograph():
    return np.ascontiguousarray(pytest.importorskip('skimage.data').astronaut())


def check_protocol(detector, image):
    boxes, scores = detector.detect(image)
    height, width = image.shape[:2]
    assert isinstance(detector, PersonDetector)
    assert boxes.dtype == np.float32 and scores.dtype == np.float32
    assert boxes.shape == (len(scores), 4)
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert (boxes >= -1).all() and (boxes <= [width + 1, height + 1, width + 1, height + 1]).all()
    assert (np.diff(scores) <= 0).all() and ((scores >= 0) & (scores <= 1)).all()
    return boxes, scores


def test_whole_image(photograph):
    boxes, scores = check_protocol(build_detector('whole-image'), photograph[:100, :200])
    np.testing.assert_array_equal(boxes, [[0, 0, 200, 100]])
    np.testing.assert_array_equal(scores, [1])


@needs_hog
def test_hog_and_auto(photograph):
    check_protocol(HOGDetector(score_threshold=0.05), photograph)
    boxes, _ = check_protocol(HOGDetector(), np.zeros((20, 10, 3), np.uint8))
    assert boxes.shape == (0, 4)
    blank = np.full((200, 120, 3), 90, np.uint8)
    boxes, _ = check_protocol(AutoDetector(), blank)
    np.testing.assert_array_equal(boxes, [[0, 0, 120, 200]])


def test_auto_without_hog_is_the_whole_image(monkeypatch):
    monkeypatch.setattr(HOGDetector, 'available', staticmethod(lambda: False))
    boxes, _ = AutoDetector().detect(np.zeros((20, 10, 3), np.uint8))
    np.testing.assert_array_equal(boxes, [[0, 0, 10, 20]])
    with pytest.raises(RuntimeError, match='has no HOGDescriptor.*whole-image'):
        HOGDetector()


def test_torchvision_detector_runs_from_a_file_with_the_published_name(tmp_path, photograph):
    torch = pytest.importorskip('torch')
    detection = pytest.importorskip('torchvision.models.detection')
    torch.manual_seed(0)
    model = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
    path = tmp_path / 'ssdlite320_mobilenet_v3_large_coco-a79551df.pth'
    torch.save(model.state_dict(), path)
    detector = build_detector('torchvision', weights=str(path), score_threshold=0.0)
    check_protocol(detector, photograph)
    with pytest.raises(ValueError, match='not the weights of torchvision model'):
        TorchvisionDetector(model='retinanet_resnet50_fpn', weights=str(path))
    renamed = path.rename(tmp_path / 'mine.pth')
    with pytest.raises(ValueError, match='mine.pth: cannot tell the torchvision model'):
        TorchvisionDetector(weights=str(renamed))


def test_torchvision_detector_names_the_file_to_get(tmp_path, monkeypatch):
    torch = pytest.importorskip('torch')
    pytest.importorskip('torchvision')
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r'put fasterrcnn_.*\.pth there.*--detector-weights.*https://'
    ):
        build_detector('torchvision')
    with pytest.raises(FileNotFoundError, match='retinanet_resnet50_fpn'):
        build_detector('torchvision:retinanet_resnet50_fpn')
    with pytest.raises(ValueError, match="got 'resnet18'"):
        build_detector('torchvision:resnet18')
    with pytest.raises(FileNotFoundError, match='gone.pth do not exist'):
        build_detector('torchvision', weights=str(tmp_path / 'gone.pth'))


def test_build_detector_names_what_it_knows():
    with pytest.raises(ValueError, match="auto, .*whole-image.*got 'yolo'"):
        build_detector('yolo')
    with pytest.raises(ValueError, match='takes no weights'):
        build_detector('whole-image', weights='x.pth')
    with pytest.raises(ValueError, match='score_threshold.*got 2'):
        build_detector('whole-image', score_threshold=2)
    assert {'auto', 'hog', 'torchvision', 'whole-image'} <= set(detector_names())
    with pytest.raises(ValueError, match="'hog' is taken"):
        register_detector('hog')(WholeImageDetector)


def test_detectors_of_frameworks_are_imported_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(base, '_DETECTORS', dict(base._DETECTORS))
    base._DETECTORS.pop('mmdet', None)
    monkeypatch.setitem(base._REGISTERED_BY, 'mmdet', 'module_of_a_test')
    assert {'mmdet', 'detectron2'} <= set(detector_names())
    monkeypatch.setattr(sys, 'path', [str(tmp_path), *sys.path])
    with pytest.raises(ImportError, match="'mmdet' needs a package.*docs/installation.md.*module_of_a_test"):
        build_detector('mmdet')
    (tmp_path / 'module_of_a_test.py').write_text(
        'from meshpose_plugins.detection import register_detector\n'
        "register_detector('mmdet')(lambda **options: options)\n"
    )
    importlib.invalidate_caches()
    assert build_detector('mmdet:x', weights='y')['model'] == 'x'


def test_suppression_keeps_the_best_of_each_pile():
    boxes = np.asarray([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [0, 0, 10, 10]], np.float32)
    scores = np.asarray([0.5, 0.9, 0.2, 0.5], np.float32)
    assert non_maximum_suppression(boxes, scores, iou=0.4).tolist() == [1, 2]
    kept, kept_scores = best_first(boxes, scores, 0.5)
    assert kept_scores.tolist() == pytest.approx([0.9, 0.5, 0.5])
    np.testing.assert_array_equal(kept[0], boxes[1])
