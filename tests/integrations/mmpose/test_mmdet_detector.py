"""MMDetection's models as person detectors, with a network that needs none of mmcv's compiled operators."""

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('mmpose')

from meshpose_plugins.detection import PersonDetector, build_detector
from meshpose_plugins.integrations.mmpose import compat

compat.apply()
pytest.importorskip('mmdet')

from meshpose_plugins.integrations.mmpose.detectors import MMDetDetector

CONFIG = '''
default_scope = 'mmdet'
attention = dict(embed_dims=32, num_heads=2, dropout=0.0, batch_first=True)
ffn = dict(embed_dims=32, feedforward_channels=32, num_fcs=2)
model = dict(
    type='DETR', num_queries=8, test_cfg=dict(max_per_img=8),
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[0, 0, 0], std=[255, 255, 255], bgr_to_rgb=True),
    backbone=dict(type='ResNet', depth=18, num_stages=4, out_indices=(3, )),
    neck=dict(type='ChannelMapper', in_channels=[512], kernel_size=1, out_channels=32, num_outs=1),
    encoder=dict(num_layers=1, layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=ffn)),
    decoder=dict(
        num_layers=1, layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=ffn)),
    positional_encoding=dict(num_feats=16, normalize=True),
    bbox_head=dict(type='DETRHead', num_classes=80, embed_dims=32, loss_cls=dict(
        type='CrossEntropyLoss', bg_cls_weight=0.1, use_sigmoid=False, loss_weight=1.0, class_weight=1.0)))
test_dataloader = dict(dataset=dict(type='CocoDataset', metainfo=dict(palette=[(0, 0, 0)]), pipeline=[
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'ori_shape', 'img_shape', 'scale_factor'))]))
'''


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    from mmengine.config import Config
    from mmengine.registry import DefaultScope
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules

    folder = tmp_path_factory.mktemp('mmdet')
    (folder / 'detr.py').write_text(CONFIG)
    register_all_modules(init_default_scope=False)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(Config.fromfile(folder / 'detr.py').model)
    torch.save(
        dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=('cat', 'person') * 40))),
        folder / 'detr.pth',
    )
    return folder


def test_detects_from_config_and_checkpoint(files):
    detector = build_detector(
        f'mmdet:{files / "detr.py"}', weights=str(files / 'detr.pth'), score_threshold=0.0
    )
    assert isinstance(detector, MMDetDetector) and isinstance(detector, PersonDetector)
    assert detector.person == 1
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    boxes, scores = detector.detect(image)
    assert boxes.shape == (len(scores), 4) and boxes.dtype == np.float32
    assert (np.diff(scores) <= 0).all()
    assert (boxes <= [91, 61, 91, 61]).all() and (boxes >= -1).all()


def test_missing_files_are_named(files, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r'put rtmdet_tiny.*\.pth there.*--detector-weights.*https://'
    ):
        build_detector('mmdet')
    with pytest.raises(FileNotFoundError, match='nothing.py: neither a file'):
        build_detector('mmdet:nothing.py')
    with pytest.raises(FileNotFoundError, match='gone.pth do not exist'):
        build_detector(f'mmdet:{files / "detr.py"}', weights=str(tmp_path / 'gone.pth'))
    with pytest.raises(FileNotFoundError, match='say where its weights are'):
        build_detector(f'mmdet:{files / "detr.py"}')


def test_a_detector_without_people_is_refused(files, tmp_path):
    checkpoint = torch.load(files / 'detr.pth', weights_only=True)
    checkpoint['meta']['dataset_meta']['classes'] = ('cat',) * 80
    torch.save(checkpoint, tmp_path / 'cats.pth')
    with pytest.raises(ValueError, match='no class "person"'):
        build_detector(f'mmdet:{files / "detr.py"}', weights=str(tmp_path / 'cats.pth'))
