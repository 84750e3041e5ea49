"""The trimmed MobileNetV2 against the whole one of MMPose."""

import pytest
import torch
from mmpose.registry import MODELS

import meshpose_plugins.integrations.mmpose  # noqa: F401


def build(kind, **kwargs):
    torch.manual_seed(0)
    return MODELS.build(dict(type=kind, **kwargs))


@pytest.mark.parametrize('out_indices', [(1, 2, 4, 5), (6, 3), [7]])
def test_same_features_and_names_as_the_whole_network(out_indices):
    whole, trimmed = (build(kind, out_indices=out_indices) for kind in ('MobileNetV2', 'TrimmedMobileNetV2'))
    left_out = trimmed.load_state_dict(whole.state_dict(), strict=False)
    assert not left_out.missing_keys
    last = max(out_indices)
    kept = {'conv1', *(['layer%d' % k for k in range(1, 8)] + ['conv2'])[:last + 1]}
    assert {name.split('.')[0] for name in trimmed.state_dict()} == kept
    assert {name.split('.')[0] for name in left_out.unexpected_keys}.isdisjoint(kept)
    crops = torch.randn(2, 3, 64, 48)
    for mode in (True, False):  # in training also the same running statistics
        for backbone in (whole, trimmed):
            backbone.train(mode)
        expected, found = whole(crops), trimmed(crops)
        assert len(found) == len(out_indices)
        for a, b in zip(expected, found):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_every_parameter_gets_a_gradient():
    backbone = build('TrimmedMobileNetV2', out_indices=(2, 4), frozen_stages=1)
    backbone.train()
    backbone(torch.randn(2, 3, 64, 48))[-1].square().mean().backward()
    without = {name for name, value in backbone.named_parameters() if value.grad is None}
    assert without == {name for name, _ in backbone.named_parameters() if name.startswith(('conv1', 'layer1'))}


def test_frozen_stages_that_are_not_there():
    build('TrimmedMobileNetV2', out_indices=(2, ), frozen_stages=3)
    with pytest.raises(ValueError, match=r'frozen_stages=4, out_indices=\[2\]\): stages 1 to 3 are left'):
        build('TrimmedMobileNetV2', out_indices=(2, ), frozen_stages=4)
