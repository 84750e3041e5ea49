"""The subsampled depthwise convolution against torch's own."""

import pytest
import torch
from mmcv.cnn import build_conv_layer
from mmpose.registry import MODELS
from torch import nn

import meshpose_plugins.integrations.mmpose  # noqa: F401
from meshpose_plugins.integrations.mmpose.depthwise import SubsampledDepthwiseConv2d

CASES = [
    dict(kernel_size=3, stride=2, padding=1, groups=8),
    dict(kernel_size=5, stride=2, padding=2, groups=8),
    dict(kernel_size=3, stride=2, padding=2, dilation=2, groups=8),
    dict(kernel_size=3, stride=(2, 1), padding=(1, 0), groups=8),
    dict(kernel_size=3, stride=3, padding=0, groups=8, bias=False),
    dict(kernel_size=3, stride=2, padding=1),  # not depthwise: the plain one
    dict(kernel_size=3, stride=2, padding=1, groups=8, padding_mode='reflect'),
]


def both(**kwargs):
    plain, own = nn.Conv2d(8, 8, **kwargs).double(), SubsampledDepthwiseConv2d(8, 8, **kwargs).double()
    own.load_state_dict(plain.state_dict())
    return plain, own


@pytest.mark.parametrize('size', [(16, 12), (15, 13)])
@pytest.mark.parametrize('case', CASES, ids=str)
def test_values_and_gradients_are_those_of_the_plain_convolution(case, size):
    torch.manual_seed(0)
    plain, own = both(**case)
    results = []
    for layer in (plain.train(), own.train()):
        x = torch.linspace(-1, 1, 2 * 8 * size[0] * size[1], dtype=torch.double).sin().reshape(2, 8, *size)
        x.requires_grad_()
        y = layer(x)
        (y * torch.linspace(0, 3, y.numel(), dtype=torch.double).reshape(y.shape)).sum().backward()
        results.append([y, x.grad] + [p.grad for p in layer.parameters()])
    for expected, found in zip(*results):
        torch.testing.assert_close(found, expected)


def test_only_training_takes_the_other_way(monkeypatch):
    strides = []
    plain = torch.nn.functional.conv2d
    monkeypatch.setattr(torch.nn.functional, 'conv2d', lambda *args: strides.append(args[3]) or plain(*args))
    layer = SubsampledDepthwiseConv2d(8, 8, 3, 2, 1, groups=8)
    x = torch.randn(1, 8, 8, 8)
    torch.testing.assert_close(layer.train()(x), layer.eval()(x))
    assert strides == [1, (2, 2)]


def test_it_is_a_conv_cfg_of_mmcv_and_keeps_the_weights_names():
    cfg = dict(type='SubsampledDepthwiseConv2d')
    assert isinstance(build_conv_layer(cfg, 8, 8, 3, groups=8), SubsampledDepthwiseConv2d)
    build = dict(type='MobileNetV2', out_indices=(1, 2, 4, 7))
    plain, own = MODELS.build(build), MODELS.build(dict(build, conv_cfg=cfg))
    own.load_state_dict(plain.state_dict())
    assert sum(isinstance(m, SubsampledDepthwiseConv2d) for m in own.modules()) > 3
