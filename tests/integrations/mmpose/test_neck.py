"""The light model's neck, and blocks added to trained weights."""

import pytest
import torch
from mmpose.registry import MODELS

import meshpose_plugins.integrations.mmpose  # noqa: F401

CHANNELS = [6, 8, 10]


def levels(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, c, 16 >> k, 12 >> k, generator=generator) for k, c in enumerate(CHANNELS)]


def build(**kwargs):
    torch.manual_seed(1)
    return MODELS.build(dict(type='FinestLevelFPN', in_channels=CHANNELS, out_channels=16, **kwargs))


def test_merged_map_and_coarsest_level():
    merged, coarsest = build()(levels())
    assert merged.shape == (2, 16, 16, 12) and torch.equal(coarsest, levels()[-1])


@pytest.mark.parametrize('num_blocks', [None, [1, 2, 1]])
def test_merged_map_of_a_coarse_level(num_blocks):
    neck, maps = build(num_blocks=num_blocks).eval(), {}
    for k in range(3):
        neck.blocks[k].register_forward_hook(lambda module, inputs, output, k=k: maps.update({k: output}))
    merged = neck(levels())[0]
    for k, size in enumerate([(16, 12), (8, 6), (4, 3)]):
        neck.coarse_level = k
        found = neck(levels())
        torch.testing.assert_close(found[0], merged)
        assert found[1] is maps[k] and found[1].shape == (2, 16, *size)


@pytest.mark.parametrize('norm_cfg', [dict(type='BN'), dict(type='GN', num_groups=4), None])
def test_blocks_start_as_identity_and_learn(norm_cfg):
    plain, grown = build(norm_cfg=norm_cfg).eval(), build(norm_cfg=norm_cfg, num_blocks=[0, 2, 1]).eval()
    missing = grown.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing and all(key.startswith('blocks.') for key in missing)
    torch.testing.assert_close(grown(levels())[0], plain(levels())[0])
    grown.train()
    for _ in range(2):  # what lies before the zero learns once that has moved
        optimizer = torch.optim.SGD(grown.parameters(), 0.1)
        optimizer.zero_grad()
        grown(levels())[0].square().mean().backward()
        optimizer.step()
    unmoved = [name for name, p in grown.blocks.named_parameters() if not p.grad.any()]
    assert not unmoved
    assert not torch.allclose(grown.eval()(levels())[0], plain(levels())[0])


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(num_blocks=[1, 2]), r'num_blocks=\[1, 2\].* each of the 3 levels'),
        (dict(num_blocks=[0, -1, 2]), r'num_blocks=\[0, -1, 2\]\): one number from 0'),
        (dict(coarse_level=3), r'coarse_level=3\): one of the levels 0 to 2'),
        (dict(coarse_level=-1), r'coarse_level=-1\): one of'),
        (dict(), r'FinestLevelFPN\(in_channels=\[6, 8, 10\]\) got 2 levels'),
    ],
)
def test_wrong_numbers_of_levels(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs)(levels()[:2])
