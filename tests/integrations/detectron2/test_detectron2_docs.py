"""The lines of README and docs/detectron2.md that turn an R-CNN into a mesh model really run."""

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('detectron2')

import torch
from detectron2.config import get_cfg
from detectron2.engine import DefaultPredictor

from meshpose_plugins.templates import load_template

ROOT = Path(__file__).parents[3]


def block_with(name, text):
    """The Python block of a page that holds a text."""
    blocks = re.findall(r'```python\n(.*?)```', (ROOT / name).read_text(encoding='utf-8'), flags=re.DOTALL)
    block, = [block for block in blocks if text in block]
    return block


def test_readme_lines():
    cfg = get_cfg()
    cfg.MODEL.META_ARCHITECTURE = 'GeneralizedRCNN'
    cfg.MODEL.BACKBONE.NAME = 'build_resnet_fpn_backbone'
    cfg.MODEL.RESNETS.OUT_FEATURES = ['res2', 'res3', 'res4', 'res5']
    cfg.MODEL.RESNETS.DEPTH, cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 18, 64
    cfg.MODEL.FPN.IN_FEATURES, cfg.MODEL.FPN.OUT_CHANNELS = ['res2', 'res3', 'res4', 'res5'], 16
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = [[32], [64], [128], [256], [512]]
    cfg.MODEL.RPN.IN_FEATURES = ['p2', 'p3', 'p4', 'p5', 'p6']
    cfg.MODEL.ROI_HEADS.NAME, cfg.MODEL.ROI_HEADS.IN_FEATURES = 'StandardROIHeads', ['p2', 'p3', 'p4', 'p5']
    cfg.MODEL.ROI_HEADS.NUM_CLASSES, cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 1, 0.0
    cfg.MODEL.ROI_BOX_HEAD.NAME, cfg.MODEL.ROI_BOX_HEAD.NUM_FC = 'FastRCNNConvFCHead', 1
    cfg.MODEL.ROI_BOX_HEAD.FC_DIM, cfg.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION = 16, 7
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = 'cpu', ''
    cfg.INPUT.MIN_SIZE_TEST, cfg.TEST.DETECTIONS_PER_IMAGE = 64, 2
    image = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    torch.manual_seed(0)
    names = dict(cfg=cfg, DefaultPredictor=DefaultPredictor, bgr_image=image)
    exec(block_with('README.md', 'enable_meshpose'), names)
    people = names['people']
    assert len(people) > 0
    assert people.pred_mesh.vertices.shape == (len(people), load_template('anny').num_vertices, 3)
