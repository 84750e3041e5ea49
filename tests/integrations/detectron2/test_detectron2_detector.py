"""detectron2's models as person detectors, with random weights written to a file."""

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('detectron2')

from meshpose_plugins.detection import PersonDetector, build_detector
from meshpose_plugins.integrations.detectron2.detectors import Detectron2Detector, _find_config


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    folder = tmp_path_factory.mktemp('detectron2')
    config = get_cfg()
    config.merge_from_file(str(_find_config('COCO-Detection/retinanet_R_50_FPN_1x.yaml')))
    config.merge_from_list(
        [
            'INPUT.MIN_SIZE_TEST',
            96,
            'MODEL.DEVICE',
            'cpu',
            'MODEL.FPN.OUT_CHANNELS',
            16,
            'MODEL.RETINANET.NUM_CONVS',
            1,
        ]
    )
    (folder / 'small.yaml').write_text(config.dump())
    torch.manual_seed(0)
    torch.save({'model': build_model(config).state_dict()}, folder / 'small.pth')
    return folder


def test_detects_from_config_and_weights(files):
    detector = build_detector(
        f'detectron2:{files / "small.yaml"}', weights=str(files / 'small.pth'), score_threshold=0.0
    )
    assert isinstance(detector, Detectron2Detector) and isinstance(detector, PersonDetector)
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    boxes, scores = detector.detect(image)
    assert boxes.shape == (len(scores), 4) and boxes.dtype == np.float32
    assert (np.diff(scores) <= 0).all()
    assert (boxes <= [91, 61, 91, 61]).all() and (boxes >= -1).all()


def test_missing_files_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr('iopath.common.file_io.get_cache_dir', lambda: str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r'put model_final_280758.pkl into .*--detector-weights.*https://'
    ):
        build_detector('detectron2')
    with pytest.raises(FileNotFoundError, match='nothing.yaml: neither a file'):
        build_detector('detectron2:nothing.yaml')
    with pytest.raises(FileNotFoundError, match='gone.pth do not exist'):
        build_detector('detectron2', weights=str(tmp_path / 'gone.pth'))
    with pytest.raises(FileNotFoundError, match='say where its weights are'):
        build_detector('detectron2:COCO-Detection/retinanet_R_50_FPN_1x.yaml')
