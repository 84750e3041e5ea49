"""The depthwise convolution in float32 against torch's own."""

import pytest
import torch
from mmcv.cnn import build_conv_layer
from mmpose.registry import MODELS
from torch import nn

import meshpose_plugins.integrations.mmpose  # noqa: F401
from meshpose_plugins.cli.benchmark_depthwise import main as benchmark
from meshpose_plugins.modeling import Float32DepthwiseConv2d

CASES = [
    dict(kernel_size=3, stride=2, padding=1, groups=8),
    dict(kernel_size=5, stride=(2, 1), padding=2, groups=8, bias=False),
    dict(kernel_size=3, stride=2, padding=1),  # not depthwise: the plain one
    dict(kernel_size=3, stride=1, padding=1, groups=8),
]


def run(layer, dtype, autocast):
    x = torch.linspace(-1, 1, 2 * 8 * 15 * 12).mul(50).sin().reshape(2, 8, 15, 12).to(dtype).requires_grad_()
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        y = layer(x)
    (y.double() * torch.linspace(0, 3, y.numel()).reshape(y.shape)).sum().backward()
    return [y, x.grad] + [p.grad for p in layer.parameters()]


def both(case):
    torch.manual_seed(0)
    plain, own = nn.Conv2d(8, 8, **case), Float32DepthwiseConv2d(8, 8, **case)
    own.load_state_dict(plain.state_dict())
    return plain.train(), own.train()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('case', CASES, ids=str)
def test_without_autocast_it_is_the_plain_convolution(case, dtype):
    for expected, found in zip(*(run(layer.to(dtype), dtype, False) for layer in both(case))):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize('case', CASES, ids=str)
def test_under_autocast_it_is_exact_to_bfloat16(case):
    exact = run(both(case)[0].double(), torch.float64, False)
    for x_dtype in (torch.bfloat16, torch.float32):
        plain, own = (run(layer, x_dtype, True) for layer in both(case))
        for truth, usual, found in zip(exact, plain, own):
            error, usual_error = (found - truth).norm(), (usual - truth).norm()
            assert error <= max(1.01 * usual_error, 4e-3 * truth.norm())  # 2 ** -8
        assert own[0].dtype == x_dtype or own[0].dtype == plain[0].dtype
        assert [g.dtype for g in own[1:]] == [g.dtype for g in plain[1:]]


def test_only_training_takes_the_other_way():
    plain, own = both(CASES[0])
    x = torch.randn(1, 8, 8, 8)
    with torch.autocast('cpu', torch.bfloat16):
        assert own(x).dtype == torch.float32
        torch.testing.assert_close(own.eval()(x), plain.eval()(x), rtol=0, atol=0)


def test_it_is_a_conv_cfg_of_mmcv_and_keeps_the_weights_names():
    cfg = dict(type='Float32DepthwiseConv2d')
    assert isinstance(build_conv_layer(cfg, 8, 8, 3, groups=8), Float32DepthwiseConv2d)
    build = dict(type='MobileNetV2', out_indices=(1, 2, 4, 7))
    plain, own = MODELS.build(build), MODELS.build(dict(build, conv_cfg=cfg))
    own.load_state_dict(plain.state_dict())
    assert sum(isinstance(m, Float32DepthwiseConv2d) for m in own.modules()) > 3


def test_benchmark_prints_a_ratio(capsys):
    assert benchmark(['--batch', '1', '--repeats', '1']) == 0
    out = capsys.readouterr().out
    assert out.count(' x') >= 3 and '144' in out
