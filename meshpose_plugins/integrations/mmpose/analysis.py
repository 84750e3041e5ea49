"""Parameters and multiply-accumulates of a config's network, part by part."""
from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional

import torch
from mmengine.analysis import FlopAnalyzer, parameter_count
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.models import build_pose_estimator
from torch import Tensor, nn

from meshpose_plugins.templates import MeshTemplate

#: Parts in the order in which they run; a network need not have all of them.
PARTS = {"backbone": "backbone", "neck": "neck", "to stride 4": "head.upsample",
         "VertexPose": "head.network.vertexpose", "regression": "head.network.regression"}

#: Operators whose multiply-accumulates count; MMEngine also counts norms, interpolation and pooling.
_COUNTED = ("conv", "linear", "addmm", "mm", "bmm", "matmul", "einsum")


@dataclass(frozen=True)
class PartSize:
    """Size of a part of the network.

    Args:
        name: of the part.
        parameters: learnt numbers.
        macs: multiply-accumulates for one crop, of convolutions and linear layers.
    """

    name: str
    parameters: int
    macs: int


def analyze(config: Config, template: Optional[str] = None) -> List[PartSize]:
    """Count the network of a config, part by part, then ``network``, then ``upsampler``.

    The upsampler belongs to the template, is linear and runs after the network; its weights that are 0 do not
    count.

    Args:
        config: with a MeshPoseEstimator as its model.
        template: count for the vertices of this template (name or path) instead of the config's.

    Returns:
        the parts that there are.
    """
    init_default_scope(config.get("default_scope", "mmpose"))
    model_config = config.copy().model
    model_config.backbone.init_cfg = None
    model_config.head.losses = {}
    if template is not None:
        model_config.head.template = template
    model = build_pose_estimator(model_config).eval()
    width, height = model.head.input_size
    macs = FlopAnalyzer(_Positions(model), torch.zeros(1, 3, height, width))
    macs.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    parameters = parameter_count(model)
    counts = {name: sum(operators[kind] for kind in _COUNTED)
              for name, operators in macs.by_module_and_operator().items()}
    parts = [PartSize(name, parameters[path], counts[f"model.{path}"])
             for name, path in PARTS.items() if parameters.get(path)]
    network = PartSize("network", parameters[""], counts[""])
    return [*parts, network, *_upsampler(model.head.template)]


def _upsampler(template: MeshTemplate) -> List[PartSize]:
    if not template.knows("upsampler_weights"):
        return []
    weights = int((template.upsampler_weights != 0).sum())
    biases = 0 if template.upsampler_bias is None else len(template.upsampler_bias)
    return [PartSize("upsampler", weights + biases, 3 * weights)]


class _Positions(nn.Module):
    """A network that returns nothing but tensors, as tracing wants it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        return self.model(inputs, None, mode="tensor").xyz_crop
