"""Seams: pairs take their mean, everything else stays as it is."""
import pytest
import torch

from meshpose_plugins.modeling import (
    MeshPoseNetwork, RegressionBranch, SeamAverage, VertexPoseBranch, VisibilityFusion)


def test_pairs_are_averaged_and_the_rest_is_untouched():
    xyz = torch.randn(2, 6, 3)
    averaged = SeamAverage([(0, 4), (5, 2)], 6)(xyz)
    expected = xyz.clone()
    for a, b in ((0, 4), (2, 5)):
        expected[:, [a, b]] = xyz[:, [a, b]].mean(1, keepdim=True)
    assert torch.equal(averaged[:, [1, 3]], xyz[:, [1, 3]])
    torch.testing.assert_close(averaged, expected)


@pytest.mark.parametrize("seams, message", [
    ([(0, 1), (1, 2)], "in two pairs"), ([(0, 3)], "vertices 0 to 3")])
def test_impossible_seams(seams, message):
    with pytest.raises(ValueError, match=message):
        SeamAverage(seams, 3)


def test_network_averages_after_the_fusion():
    def network(seams):
        torch.manual_seed(0)
        return MeshPoseNetwork(VertexPoseBranch(8, 5), RegressionBranch(8, 5, (32, 32), 4, 4),
                               VisibilityFusion(), seams=seams).eval()

    feature = torch.randn(1, 8, 8, 8)
    plain, sewn = network(()), network([(1, 3)])
    assert plain.state_dict().keys() == sewn.state_dict().keys()
    before, after = plain(feature), sewn(feature)
    torch.testing.assert_close(after.xyz_crop, SeamAverage([(1, 3)], 5)(before.xyz_crop))
    assert not torch.equal(after.xyz_crop, before.xyz_crop)
    assert torch.equal(after.xy_vertexpose, before.xy_vertexpose)
