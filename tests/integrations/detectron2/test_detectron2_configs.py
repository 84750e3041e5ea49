"""Every config builds, trains a step and predicts."""

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('detectron2')

from detectron2.modeling import build_model
from detectron2.structures import Instances
from small_models import CONFIGS, LITE, build, labelled_batch, losses_of, tiny_config

from meshpose_plugins.integrations.detectron2 import add_meshpose_config, enable_meshpose
from meshpose_plugins.integrations.detectron2.commands import load_config

ALL = sorted(path for path in CONFIGS.glob('*.yaml') if not path.name.startswith('Base'))


@pytest.mark.parametrize('path', ALL, ids=lambda path: path.stem)
def test_every_config_trains_and_predicts(path):
    cfg = load_config(
        str(path),
        [
            'INPUT.MIN_SIZE_TEST',
            64,
            'TEST.DETECTIONS_PER_IMAGE',
            2,
            'MODEL.ROI_HEADS.SCORE_THRESH_TEST',
            0.0,
            'MODEL.ROI_MESHPOSE_HEAD.TRAIN_REGIONS_PER_IMAGE',
            1,
        ],
    )
    model = build_model(cfg)
    batch = labelled_batch(cfg, ('both', 'mesh'))
    losses = losses_of(model, batch)
    weights = cfg.MODEL.ROI_MESHPOSE_HEAD.LOSS_WEIGHTS
    assert {name for name in losses if 'mesh' in name} == {
        f'loss_mesh_{name.lower()}' for name, weight in weights.items() if weight
    }
    sum(losses.values()).backward()
    for name, parameter in model.roi_heads.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    given = Instances(
        (64, 96),
        pred_boxes=batch[0]['instances'].gt_boxes,
        scores=torch.ones(1),
        pred_classes=torch.zeros(1, dtype=torch.int64),
    )
    with torch.no_grad():
        assert model.eval()(batch[:1])[0]['instances'].has('pred_mesh')  # random weights may find nobody
        (result,) = model.inference(batch[:1], [given])
    mesh = result['instances'].pred_mesh
    count = model.roi_heads.meshpose_predictor.template.num_vertices
    assert mesh.vertices.shape == (1, count, 3)
    assert torch.isfinite(mesh.vertices).all() and ((mesh.visibility >= 0) & (mesh.visibility <= 1)).all()


def test_all_configs_are_there():
    assert {path.stem for path in ALL} >= {
        'meshpose_R_50_FPN',
        'meshpose_R_101_FPN',
        'meshpose_mobilenetv2_lite_FPN',
    }


@pytest.mark.parametrize(
    'name, expected',
    [('StandardROIHeads', 'MeshPoseROIHeads'), ('CascadeROIHeads', 'MeshPoseCascadeROIHeads')],
)
def test_one_call_turns_a_plain_config_into_a_mesh_model(name, expected):
    from detectron2.config import get_cfg

    cfg = get_cfg()
    cfg.MODEL.ROI_HEADS.NAME = name
    enable_meshpose(cfg)
    assert cfg.MODEL.ROI_HEADS.NAME == expected and cfg.MODEL.META_ARCHITECTURE == 'MeshPoseRCNN'
    before = cfg.dump()
    enable_meshpose(cfg)
    assert cfg.dump() == before
    cfg.MODEL.ROI_HEADS.NAME = 'Res5ROIHeads'
    with pytest.raises(ValueError, match="'Res5ROIHeads'.*StandardROIHeads"):
        enable_meshpose(cfg)
    cfg.MODEL.META_ARCHITECTURE = 'RetinaNet'
    with pytest.raises(ValueError, match="'RetinaNet'.*bridge"):
        enable_meshpose(cfg)


def test_a_file_of_the_model_zoo_gets_a_mesh_head():
    from meshpose_plugins.integrations.detectron2.detectors import _find_config

    cfg = load_config(str(_find_config('COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml')))
    assert cfg.MODEL.ROI_HEADS.NAME == 'MeshPoseROIHeads' and cfg.MODEL.MASK_ON
    assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == 80


@pytest.mark.parametrize(
    'option, message',
    [
        (
            ('MODEL.ROI_MESHPOSE_HEAD.HEATMAP_SIZE', 20),
            'HEATMAP_SIZE=20 must be POOLER_RESOLUTION=7 times a power of 2',
        ),
        (('MODEL.ROI_MESHPOSE_HEAD.CONV_KERNEL', 2), 'CONV_KERNEL=2 must be odd'),
        (('MODEL.ROI_MESHPOSE_HEAD.PERSON_CLASS', 1), 'PERSON_CLASS=1.*NUM_CLASSES=1'),
        (('MODEL.ROI_MESHPOSE_HEAD.TEMPLATE', 'nobody'), "no template 'nobody'"),
    ],
)
def test_bad_options_are_named(option, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        build(tiny_config(*option))


def test_bad_files_and_keys_are_named():
    with pytest.raises(FileNotFoundError, match='gone.yaml.*does not exist'):
        load_config('gone.yaml')
    with pytest.raises(ValueError, match='MODEL.NOTHING|NOTHING'):
        load_config(LITE, ['MODEL.NOTHING', '1'])


def test_losses_of_weight_zero_are_not_there():
    cfg = tiny_config('MODEL.ROI_MESHPOSE_HEAD.LOSS_WEIGHTS.EDGE', 0.0)
    assert 'edge' not in build(cfg).roi_heads.meshpose_predictor.criterion.losses


def test_imagenet_weights_of_the_light_backbone(tmp_path):
    from torchvision.models import mobilenet_v2

    from meshpose_plugins.integrations.detectron2.backbone import MobileNetV2

    published = mobilenet_v2(weights=None).eval()
    torch.save(published.state_dict(), tmp_path / 'mobilenet_v2.pth')
    backbone = MobileNetV2().eval()
    backbone.load_imagenet(str(tmp_path / 'mobilenet_v2.pth'))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        outputs = backbone(image)
        torch.testing.assert_close(outputs['res5'], published.features[:18](image))
    for name, shape in backbone.output_shape().items():
        assert outputs[name].shape == (1, shape.channels, 64 // shape.stride, 64 // shape.stride)
    with pytest.raises(FileNotFoundError, match='gone.pth.*no such file'):
        backbone.load_imagenet('gone.pth')
    with pytest.raises(ValueError, match='no weights of torchvision'):
        MobileNetV2(0.5).load_imagenet(str(tmp_path / 'mobilenet_v2.pth'))


def test_keys_can_be_added_alone():
    from detectron2.config import get_cfg

    cfg = get_cfg()
    add_meshpose_config(cfg)
    assert cfg.MODEL.ROI_HEADS.NAME == get_cfg().MODEL.ROI_HEADS.NAME
    assert cfg.MODEL.ROI_MESHPOSE_HEAD.HEATMAP_SIZE == 56
