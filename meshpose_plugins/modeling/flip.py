"""Flip test: what a network says of a crop and of its mirror image, averaged."""
from __future__ import annotations

from typing import Tuple

from torch import Tensor

from meshpose_plugins.templates import MeshTemplate

from .output import MeshPoseOutput


def average_flipped(output: MeshPoseOutput, mirrored: MeshPoseOutput, template: MeshTemplate,
                    width: float) -> Tuple[Tensor, Tensor]:
    """Average the predictions of crops with those of the mirrored crops, mirrored back.

    Args:
        output: predictions of B crops.
        mirrored: predictions of the same crops under x -> width - 1 - x.
        template: of both; its symmetry exchanges left and right vertices.
        width: W of the crop, px.

    Returns:
        fused vertices (B, V, 3) in crop px, z, and visibility (B, V) as probabilities.

    Raises:
        ValueError: the outputs are not of the same number of crops, or not of the template.
    """
    if len(output) != len(mirrored):
        raise ValueError(f"a flip test needs as many mirrored crops as crops, got {len(mirrored)} for "
                         f"{len(output)}")
    xyz = template.mirror(mirrored.xyz_crop, width=width)
    visibility = template.mirror(mirrored.visibility[..., None])[..., 0]
    return (output.xyz_crop + xyz) / 2, (output.visibility + visibility) / 2
