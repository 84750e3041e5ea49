"""The sum of losses that a network trains on, term by term."""
from __future__ import annotations

from typing import Collection, Dict, Mapping, Optional

from torch import Tensor, nn

from meshpose_plugins.modeling import MeshPoseOutput
from meshpose_plugins.modeling.output import at_least_float32

from .base import MeshPoseLoss
from .targets import MeshPoseTargets


class MeshPoseCriterion(nn.Module):
    """Evaluate named losses on one batch.

    Args:
        losses: name -> loss; every loss has ``from_output(output, targets)`` and ``loss_weight``, which may
            be changed between steps.

    Attributes:
        active: names of the losses that are evaluated; None: all. Those that are not, or have a weight of 0,
            are zeros that keep the graph, at no cost.

    Example:
        >>> criterion = MeshPoseCriterion({'loss_uv': UVConsistencyLoss(loss_weight=1.0)})
        >>> total = sum(criterion(output, targets).values())
    """

    def __init__(self, losses: Mapping[str, MeshPoseLoss]) -> None:
        super().__init__()
        for name, loss in losses.items():
            if not hasattr(loss, "from_output") or not hasattr(loss, "loss_weight"):
                raise ValueError(f"losses[{name!r}] is a {type(loss).__name__}, which has no from_output() "
                                 "or no loss_weight: derive it from MeshPoseLoss")
        self.losses = nn.ModuleDict(losses)
        self.active: Optional[Collection[str]] = None

    def forward(self, output: MeshPoseOutput, targets: MeshPoseTargets) -> Dict[str, Tensor]:
        """Weighted losses.

        Args:
            output: predictions of B crops.
            targets: labels of the same B crops.

        Returns:
            name -> scalar, already multiplied by the loss's weight.
        """
        if len(output) != len(targets):
            raise ValueError(f"predictions of {len(output)} crops, targets of {len(targets)}")
        values = {}
        for name, loss in self.losses.items():
            if loss.loss_weight == 0 or (self.active is not None and name not in self.active):
                values[name] = _zero_of(output)
            else:
                values[name] = loss.loss_weight * loss.from_output(output, targets)
        return values


def _zero_of(output: MeshPoseOutput) -> Tensor:
    """A zero through which every parameter still gets a gradient, of zeros."""
    predictions = (output.xy_vertexpose, output.xyz_regressed, output.visibility_logits)
    return sum(at_least_float32(tensor).flatten()[:0].sum() for tensor in predictions)
