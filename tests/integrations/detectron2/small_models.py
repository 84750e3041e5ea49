"""Configs of the smallest models that still have every part, and a data set of four pictures."""
from pathlib import Path

CONFIGS = Path(__file__).parents[3] / 'configs' / 'detectron2'
LITE = str(CONFIGS / 'meshpose_mobilenetv2_lite_FPN.yaml')
#: As many channels as make it quick.
TINY = [
    'MODEL.MOBILENETV2.WIDTH_MULT', 0.25,
    'MODEL.FPN.OUT_CHANNELS', 8,
    'MODEL.FPN.NORM', '',
    'MODEL.ROI_BOX_HEAD.FC_DIM', 16,
    'MODEL.ROI_MESHPOSE_HEAD.DECODER_CONV_DIM', 8,
    'MODEL.ROI_MESHPOSE_HEAD.CONV_DIM', 8,
    'MODEL.ROI_MESHPOSE_HEAD.DECONV_DIM', 8,
    'MODEL.ROI_MESHPOSE_HEAD.POOLER_RESOLUTION', 7,
    'MODEL.ROI_MESHPOSE_HEAD.HEATMAP_SIZE', 14,
    'INPUT.MIN_SIZE_TRAIN', (64,),
    'INPUT.MIN_SIZE_TEST', 64,
    'DATALOADER.NUM_WORKERS', 0,
    'TEST.DETECTIONS_PER_IMAGE', 3,
]  # fmt: skip


def tiny_config(*options, path=LITE):
    """A config that is built and run in a moment."""
    from meshpose_plugins.integrations.detectron2.commands import load_config

    return load_config(str(path), [*TINY, *options])


def build(cfg):
    """A model with the same random weights every time, away from the nearly constant initial outputs."""
    import torch
    from detectron2.modeling import build_model

    torch.manual_seed(0)
    model = build_model(cfg)
    head = model.roi_heads.meshpose_predictor
    for parameter in head.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model
