"""What all losses share: a weight, and one method that reads predictions and targets."""
from __future__ import annotations

from typing import Optional

import torch
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


def mesh_table(loss: nn.Module, name: str, ids, template: Optional[str]) -> Tensor:
    """Vertex ids of a mesh's edges (E, 2) or faces (F, 3): those given, or the template's.

    Args:
        loss: who asks, for the error message.
        name: 'edges' or 'faces'.
        ids: vertex ids, or None.
        template: name or path of a template, or None.

    Returns:
        int64.

    Raises:
        ValueError: both or neither are given, or the ids have another shape.
    """
    columns = {"edges": 2, "faces": 3}[name]
    if (ids is None) == (template is None):
        raise ValueError(f"{type(loss).__name__} needs either {name}=({name[0].upper()}, {columns}) vertex "
                         "ids or template='anny'")
    if ids is None:
        from meshpose_plugins.templates import load_template
        ids = torch.tensor(getattr(load_template(template), name))
    ids = torch.as_tensor(ids, dtype=torch.int64)
    check_shape(name, ids, name[0].upper(), columns)
    return ids


def check_shape(name: str, tensor: Tensor, *expected) -> None:
    """Raise ValueError unless the tensor has the expected shape; None or a name stands for any length."""
    fits = tensor.ndim == len(expected) and all(
        not isinstance(want, int) or want == have for want, have in zip(expected, tensor.shape))
    if not fits:
        shape = ", ".join(str(want) for want in expected)
        raise ValueError(f"{name} must have the shape ({shape}), got {tuple(tensor.shape)}")
