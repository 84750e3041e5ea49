"""What all losses share: a weight, and one method that reads predictions and targets."""
from __future__ import annotations

from torch import Tensor, nn

from meshpose_plugins.modeling import MeshPoseOutput

from .targets import MeshPoseTargets


class MeshPoseLoss(nn.Module):
    """A loss on tensors (``forward``) that also reads them from predictions and targets (``from_output``).

    Neither is multiplied by ``loss_weight``; :class:`MeshPoseCriterion` does that. Without any label the
    loss is a zero that keeps the graph, so that every parameter gets a gradient in every process of a
    distributed training.

    Args:
        loss_weight: factor of this loss in the sum.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = float(loss_weight)

    def from_output(self, output: MeshPoseOutput, targets: MeshPoseTargets) -> Tensor:
        """The unweighted loss of a batch, a scalar."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"loss_weight={self.loss_weight}"


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of the values where valid; without any, a zero that keeps the graph.

    Args:
        values: (...), finite everywhere.
        valid: bool, the same shape.

    Returns:
        scalar.
    """
    return values.where(valid, values.new_zeros(())).sum() / valid.sum().clamp(min=1)


def check_shape(name: str, tensor: Tensor, *expected) -> None:
    """Raise ValueError unless the tensor has the expected shape; None or a name stands for any length."""
    fits = tensor.ndim == len(expected) and all(
        not isinstance(want, int) or want == have for want, have in zip(expected, tensor.shape))
    if not fits:
        shape = ", ".join(str(want) for want in expected)
        raise ValueError(f"{name} must have the shape ({shape}), got {tuple(tensor.shape)}")
