"""How fast silhouettes are drawn and differentiated, beside the plain reference in the same run."""
from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import Callable, Dict

import torch
from torch import Tensor

from meshpose_plugins.rendering.benchmark import fit_to_picture
from meshpose_plugins.rendering.soft_silhouette import dense_layers
from meshpose_plugins.templates import load_template

from .silhouette import SilhouetteLoss


@dataclass
class SilhouetteTimings:
    """Median milliseconds per person, forward and backward.

    Attributes:
        timings: what was measured -> ms per person.
        difference: largest difference of a pixel between the silhouette and the reference.
    """

    timings: Dict[str, float] = field(default_factory=dict)
    difference: float = 0.0


def benchmark_silhouette(template: str, height: int, width: int, people: int,
                         repeats: int) -> SilhouetteTimings:
    """Time SilhouetteLoss for one person and for a batch, and drawing every face on every pixel.

    Args:
        template: name or path of the template.
        height: rows of the silhouette.
        width: columns of the silhouette.
        people: people in the batch, the rest pose turned about the vertical.
        repeats: runs of each function; the reference runs a fifth as often, at least three times.

    Returns:
        SilhouetteTimings.
    """
    if people < 1 or repeats < 1:
        raise ValueError(f"people and repeats must be at least 1, got {people} and {repeats}")
    mesh = load_template(template)
    xy = turned_people(mesh.vertices, height, width, people)
    loss = SilhouetteLoss(template=template)
    faces, rasterizer = loss.rasterizer.faces, loss.rasterizer
    mask, valid = rasterizer(xy + 1.5, height, width), torch.ones(people, dtype=torch.bool)
    reference = dense_layers(xy[0], faces, height, width).clamp(0, 1)
    difference = (rasterizer(xy[:1], height, width)[0] - reference).abs().max().item()

    def of_loss(count: int) -> Callable[[Tensor], Tensor]:
        return lambda leaf: loss(leaf[:count], mask[:count], valid[:count])

    def of_reference(leaf: Tensor) -> Tensor:
        return (dense_layers(leaf[0], faces, height, width).clamp(0, 1) - mask[0]).abs().sum()

    few = max(repeats // 5, 3)
    return SilhouetteTimings({
        "SilhouetteLoss, one person": median_ms(of_loss(1), xy, repeats),
        f"SilhouetteLoss, {people} people": median_ms(of_loss(people), xy, repeats) / people,
        "plain reference": median_ms(of_reference, xy, few)}, difference)


def turned_people(vertices, height: int, width: int, people: int) -> Tensor:
    """The body, turned about the vertical axis step by step, (people, V, 2) px."""
    points = torch.tensor(vertices, dtype=torch.float32)
    turned = []
    for angle in torch.linspace(0, 3.0, people):
        x, y, z = points.unbind(-1)
        across = angle.cos() * x + angle.sin() * y
        away = angle.cos() * y - angle.sin() * x
        turned.append(torch.as_tensor(fit_to_picture(torch.stack([across, away, z], -1), height, width)))
    return torch.stack(turned)[..., :2].float()


def median_ms(function: Callable[[Tensor], Tensor], leaf: Tensor, repeats: int) -> float:
    """Median milliseconds of a scalar function and its gradient."""
    times = []
    for _ in range(repeats + 1):
        leaf = leaf.detach().requires_grad_()
        start = time.perf_counter()
        function(leaf).backward()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[1:])  # the first one warms up
