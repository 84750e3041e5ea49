"""Regression branch: coordinates and visibility of every vertex from pooled features."""
from __future__ import annotations

from typing import Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from .soft_argmax import soft_argmax_1d


class BinnedRegressor(nn.Module):
    """Predict, from one feature vector, logits over bins for every vertex.

    1x1 conv1d to ``hidden_channels * num_bins``, batch norm, ReLU, reshaped to hidden_channels x num_bins,
    then a 1x1 conv1d over the hidden channels to V x num_bins (reference: 256 -> 256 * 64 -> V x 64).

    Args:
        in_features: length of the feature vector.
        num_vertices: vertices V of the template.
        hidden_channels: channels after the reshaping.
        num_bins: bins after the reshaping.
        init_std: standard deviation of the last layer's initial weights; small: bins start out uniform.
    """

    def __init__(self, in_features: int, num_vertices: int, hidden_channels: int = 256, num_bins: int = 64,
                 init_std: float = 0.01) -> None:
        super().__init__()
        self.hidden_channels = hidden_channels
        self.num_bins = num_bins
        self.expand = nn.Conv1d(in_features, hidden_channels * num_bins, 1)
        self.norm = nn.BatchNorm1d(hidden_channels * num_bins)
        self.project = nn.Conv1d(hidden_channels, num_vertices, 1)
        nn.init.kaiming_normal_(self.expand.weight, nonlinearity="relu")
        nn.init.zeros_(self.expand.bias)
        nn.init.normal_(self.project.weight, std=init_std)
        nn.init.zeros_(self.project.bias)

    def hidden(self, vector: Tensor) -> Tensor:
        """Features of every bin, (B, hidden_channels, num_bins), of a vector (B, in_features)."""
        hidden = self.norm(self.expand(vector[..., None])).relu()
        return hidden.reshape(-1, self.hidden_channels, self.num_bins)

    def forward(self, vector: Tensor) -> Tensor:
        """Logits over bins, (B, V, num_bins), of a vector (B, in_features)."""
        return self.project(self.hidden(vector))

    def mean_logit(self, vector: Tensor) -> Tensor:
        """Mean of the logits over bins, (B, V); the last layer is linear, so the mean is taken before it."""
        return self.project(self.hidden(vector).mean(-1, keepdim=True))[..., 0]


class RegressionBranch(nn.Module):
    """Regress x, y, z and visibility of all vertices, also of those that the crop cuts off.

    Four separate nets X, Y, Z, VIS on the pooled feature. X, Y, Z: expected bin, mapped affinely so that
    the first and the last bin are the ends of the range. VIS: mean over bins, a logit (MeshPose, CVPR 2024;
    the default ranges are our choice).

    Args:
        in_channels: channels of the feature map.
        num_vertices: vertices V of the template.
        input_size: (W, H) of the crop, px; only the default ranges need it.
        hidden_channels: hidden channels of every net (256 in the reference).
        num_bins: bins of every net (64 in the reference).
        pool_size: (h, w) that the map is average pooled to before it is flattened; (1, 1) in the reference.
        reduce_channels: if given, 1x1 conv, batch norm and ReLU to so many channels, before the pooling.
        lift_channels: if given, the positions that the VertexPose branch found join the pooled feature, by
            linear layer, batch norm and ReLU to so many channels: a foreshortened limb tells its depth.
            Gradients stop before the positions. None in the reference (our choice for small backbones, whose
            pooled feature alone knows little about depth).
        x_range: (first, last) of x in crop px; default (-W, 2W).
        y_range: of y; default (-H, 2H).
        z_range: of z, relative to the root joint; default (-2W, 2W).
    """

    def __init__(self, in_channels: int, num_vertices: int, input_size: Sequence[int],
                 hidden_channels: int = 256, num_bins: int = 64, pool_size: Sequence[int] = (1, 1),
                 reduce_channels: Optional[int] = None, lift_channels: Optional[int] = None,
                 x_range: Optional[Sequence[float]] = None, y_range: Optional[Sequence[float]] = None,
                 z_range: Optional[Sequence[float]] = None) -> None:
        super().__init__()
        if num_bins < 2:
            raise ValueError(f"num_bins={num_bins}: an expected bin needs at least 2 bins")
        width, height = input_size
        self.in_channels = in_channels
        self.num_vertices = num_vertices
        self.input_size = (int(width), int(height))
        self.reduce = _reduction(in_channels, reduce_channels)
        self.pool = nn.AdaptiveAvgPool2d(tuple(pool_size))
        in_features = (reduce_channels or in_channels) * pool_size[0] * pool_size[1] + (lift_channels or 0)
        self.lift = _lifting(num_vertices, lift_channels)
        self.register_buffer("crop_size", torch.tensor([float(width), float(height)]), persistent=False)
        self.nets = nn.ModuleDict({name: BinnedRegressor(in_features, num_vertices, hidden_channels, num_bins)
                                   for name in ("x", "y", "z", "visibility")})
        ranges = {"x": x_range or (-width, 2 * width), "y": y_range or (-height, 2 * height),
                  "z": z_range or (-2 * width, 2 * width)}
        for name, (first, last) in ranges.items():
            if not first < last:
                raise ValueError(f"{name}_range=({first}, {last}): the first value must be below the last")
            grid = torch.linspace(float(first), float(last), num_bins)
            self.register_buffer(f"{name}_grid", grid, persistent=False)

    def forward(self, feature: Tensor, xy_vertexpose: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
        """Regress all vertices.

        Args:
            feature: (B, in_channels, h, w).
            xy_vertexpose: (x, y) that VertexPose found, crop px, (B, V, 2); read only with ``lift_channels``.

        Returns:
            (x, y, z) in crop px, (B, V, 3), at least float32, and visibility logits, (B, V).
        """
        if feature.ndim != 4 or feature.shape[1] != self.in_channels:
            raise ValueError(f"RegressionBranch(in_channels={self.in_channels}) got a feature of shape "
                             f"{tuple(feature.shape)}; expected (B, {self.in_channels}, h, w)")
        if self.training and len(feature) == 1:
            raise ValueError("RegressionBranch cannot train on a batch of 1 crop (its batch norms need 2 or "
                             "more): use a larger batch_size, and drop_last=True in the train_dataloader")
        vector = self.pool(self.reduce(feature)).flatten(1)
        if self.lift is not None:
            vector = torch.cat([vector, self._lifted(xy_vertexpose)], dim=1)
        xyz = [soft_argmax_1d(self.nets[name](vector), getattr(self, f"{name}_grid"))
               for name in ("x", "y", "z")]
        return torch.stack(xyz, -1), self.nets["visibility"].mean_logit(vector)

    def _lifted(self, xy_vertexpose: Optional[Tensor]) -> Tensor:
        """Features of the positions in the crop, (B, lift_channels)."""
        if xy_vertexpose is None:
            raise ValueError("RegressionBranch(lift_channels=...) needs xy_vertexpose, got None")
        relative = xy_vertexpose.detach() / self.crop_size - 0.5
        return self.lift(relative.flatten(1).to(self.lift[0].weight.dtype))


def _reduction(in_channels: int, reduce_channels: Optional[int]) -> nn.Module:
    if reduce_channels is None:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, reduce_channels, 1, bias=False),
                         nn.BatchNorm2d(reduce_channels), nn.ReLU(inplace=True))


def _lifting(num_vertices: int, lift_channels: Optional[int]) -> Optional[nn.Module]:
    if lift_channels is None:
        return None
    return nn.Sequential(nn.Linear(2 * num_vertices, lift_channels, bias=False),
                         nn.BatchNorm1d(lift_channels), nn.ReLU(inplace=True))
