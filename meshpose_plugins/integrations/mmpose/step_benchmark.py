"""A training step of an MMPose config, timed loss by loss on random labels."""

from __future__ import annotations

import statistics
import time

import torch
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from meshpose_plugins.integrations.mmpose.config_text import read_config
from meshpose_plugins.losses import MeshPoseTargets
from meshpose_plugins.losses.benchmark import turned_people


def benchmark_step(config: str, people: int, repeats: int) -> dict[str, float]:
    """Time the model's forward and backward pass with all losses, and each loss alone.

    Args:
        config: path of an MMPose config with a MeshPoseHead.
        people: crops in the batch.
        repeats: runs; medians are taken.

    Returns:
        milliseconds: 'step' (without data loading and optimiser), and for every loss its own forward and
        backward pass from the predictions on.
    """
    cfg = read_config(config)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model).train()
    head = model.head
    width, height = head.input_size
    targets = _full_targets(head, people)
    image = torch.randn(people, 3, height, width)
    times: dict[str, list[float]] = {'step': []}
    for _ in range(repeats + 1):
        model.zero_grad()
        start = time.perf_counter()
        output = head.forward(model.extract_feat(image))
        sum(head.criterion(output, targets).values()).backward()
        times['step'].append(time.perf_counter() - start)
        leaves = output.detach()._map(lambda tensor: tensor.requires_grad_())
        for name, loss in head.criterion.losses.items():
            start = time.perf_counter()
            loss.from_output(leaves, targets).backward()
            times.setdefault(name, []).append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(values[1:]) for name, values in times.items()}


def _full_targets(head, people: int) -> MeshPoseTargets:
    """Everything labelled: the template's rest pose, turned, with 100 points each."""
    width, height = head.input_size
    template = head.template
    xy = turned_people(template.vertices, height, width, people)
    vertices = torch.cat([xy, torch.zeros_like(xy[..., :1])], -1)
    faces = torch.tensor(template.faces)[torch.randint(len(template.faces), (people, 100))]
    corners = xy[torch.arange(people)[:, None, None], faces]
    return MeshPoseTargets(
        corners.mean(2), faces, torch.full((people, 100, 3), 1 / 3),
        torch.ones(people, 100, dtype=torch.bool),
        vertices, torch.ones(people, len(template.vertices), dtype=torch.bool), (width, height),
        person_mask=(torch.rand(people, height, width) > 0.5).float(),
        person_mask_valid=torch.ones(people, dtype=torch.bool),
        ignore_mask=torch.zeros(people, height, width),
        keypoints=template.keypoints(xy), keypoints_valid=torch.ones(people, 17, dtype=torch.bool))
