"""Soft-argmax: against loops, its gradients, half precision, extreme logits."""
import math

import pytest
import torch

from meshpose_plugins.modeling import soft_argmax_1d, soft_argmax_2d, spatial_softmax_statistics


def loop_statistics(heatmap, gain):
    """Expectation (x, y) and logsumexp of one heatmap, position by position."""
    logits = [[gain * value.item() for value in row] for row in heatmap]
    peak = max(map(max, logits))
    total = x_sum = y_sum = 0.0
    for y, row in enumerate(logits):
        for x, value in enumerate(row):
            weight = math.exp(value - peak)
            total, x_sum, y_sum = total + weight, x_sum + weight * x, y_sum + weight * y
    return x_sum / total, y_sum / total, peak + math.log(total)


@pytest.mark.parametrize("gain", [1.0, 10.0])
def test_expectation_and_logsumexp_agree_with_loops(gain):
    heatmaps = torch.randn(2, 3, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = torch.tensor([[loop_statistics(heatmap, gain) for heatmap in sample] for sample in heatmaps],
                            dtype=torch.float64)
    xy, logsumexp = spatial_softmax_statistics(heatmaps, gain)
    torch.testing.assert_close(soft_argmax_2d(heatmaps, gain), expected[..., :2], rtol=0, atol=1e-12)
    torch.testing.assert_close(xy, expected[..., :2], rtol=0, atol=1e-12)
    torch.testing.assert_close(logsumexp, expected[..., 2], rtol=0, atol=1e-12)


def test_a_peak_is_found_where_it_is():
    heatmaps = torch.zeros(1, 1, 6, 9)
    heatmaps[0, 0, 4, 7] = 5.0
    torch.testing.assert_close(soft_argmax_2d(heatmaps), torch.tensor([[[7.0, 4.0]]]), rtol=0, atol=1e-4)


def soft_argmax_of_rows(logits):
    return soft_argmax_1d(logits, torch.tensor([-3.0, 1, 2, 9]))


@pytest.mark.parametrize("function", [soft_argmax_2d, spatial_softmax_statistics, soft_argmax_of_rows])
def test_gradcheck(function):
    heatmaps = torch.randn(2, 3, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(function, (heatmaps.requires_grad_(),))


def test_fast_gradient_agrees_with_plain_for_channels_last_logits():
    heatmaps = torch.randn(3, 4, 6, 5, generator=torch.Generator().manual_seed(2))
    plain = heatmaps.clone().requires_grad_()
    fast = heatmaps.clone(memory_format=torch.channels_last).requires_grad_()
    weights = torch.rand(3, 4, 2, generator=torch.Generator().manual_seed(3))
    ((soft_argmax_2d(plain) * weights).sum() + (10 * plain).flatten(2).logsumexp(-1).sum()).backward()
    xy, logsumexp = spatial_softmax_statistics(fast)
    ((xy * weights).sum() + logsumexp.sum()).backward()
    torch.testing.assert_close(fast.grad, plain.grad, rtol=1e-4, atol=1e-5)


def test_fast_path_saves_no_second_map():
    heatmaps = torch.randn(2, 3, 16, 16).requires_grad_()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: (saved.append(tensor.data_ptr()), tensor)[1],
                                                  lambda tensor: tensor):
        spatial_softmax_statistics(heatmaps)
    assert len(saved) == 3 and heatmaps.data_ptr() in saved


def test_soft_argmax_1d_agrees_with_loops():
    logits = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    grid = torch.tensor([-5.0, -1.0, 2.0, 8.0], dtype=torch.float64)
    for row, value in zip(logits.reshape(-1, 4), soft_argmax_1d(logits, grid).flatten()):
        weights = [math.exp(logit) for logit in row]
        expected = sum(weight * place.item() for weight, place in zip(weights, grid)) / sum(weights)
        assert value.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_computed_in_float32_also_under_autocast(dtype):
    heatmaps = torch.randn(2, 3, 16, 12, generator=torch.Generator().manual_seed(5)).to(dtype)
    exact = soft_argmax_2d(heatmaps.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain, (fast, logsumexp) = soft_argmax_2d(heatmaps), spatial_softmax_statistics(heatmaps)
        binned = soft_argmax_1d(heatmaps, torch.arange(12.0))
    assert plain.dtype == fast.dtype == logsumexp.dtype == binned.dtype == torch.float32
    torch.testing.assert_close(plain.double(), exact, rtol=0, atol=1e-4)
    torch.testing.assert_close(fast.double(), exact, rtol=0, atol=1e-4)


def test_gradient_has_the_dtype_of_the_logits():
    heatmaps = torch.randn(2, 3, 8, 8).to(torch.bfloat16).requires_grad_()
    spatial_softmax_statistics(heatmaps)[0].sum().backward()
    assert heatmaps.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("scale", [1e4, 1e8])
def test_extreme_logits_stay_finite(scale):
    heatmaps = (torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(6)) * scale).requires_grad_()
    xy, logsumexp = spatial_softmax_statistics(heatmaps)
    (xy.sum() + logsumexp.sum() + soft_argmax_2d(heatmaps).sum()).backward()
    for tensor in (xy, logsumexp, heatmaps.grad):
        assert torch.isfinite(tensor).all()


def test_an_empty_batch_passes():
    xy, logsumexp = spatial_softmax_statistics(torch.zeros(0, 3, 4, 4))
    assert xy.shape == (0, 3, 2) and logsumexp.shape == (0, 3)


def test_shape_errors_state_what_came_in():
    with pytest.raises(ValueError, match=r"\(B, V, h, w\), got \(3, 4\)"):
        soft_argmax_2d(torch.zeros(3, 4))
    with pytest.raises(ValueError, match=r"grid of shape \(5,\) for logits of shape \(2, 4\)"):
        soft_argmax_1d(torch.zeros(2, 4), torch.zeros(5))
