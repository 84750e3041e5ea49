"""A small random batch in float64 that every loss can be evaluated on."""
import dataclasses

import pytest
import torch

from meshpose_plugins.losses import MeshPoseTargets
from meshpose_plugins.modeling import MeshPoseOutput, VisibilityFusion, soft_argmax_2d

INPUT_SIZE, STRIDE = (24, 32), 4.0


def make_output(batch=3, vertices=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    heatmaps = torch.randn(batch, vertices, 8, 6, dtype=torch.float64, generator=generator).requires_grad_()
    xyz = (20 * torch.randn(batch, vertices, 3, dtype=torch.float64, generator=generator)).requires_grad_()
    logits = torch.randn(batch, vertices, dtype=torch.float64, generator=generator).requires_grad_()
    xy = soft_argmax_2d(heatmaps)
    return MeshPoseOutput(heatmaps, xy, xyz, logits, VisibilityFusion()(STRIDE * xy, xyz, logits))


def make_targets(batch=3, vertices=6, points=5, seed=1):
    generator = torch.Generator().manual_seed(seed)
    uniform = lambda *shape: torch.rand(batch, *shape, dtype=torch.float64, generator=generator)  # noqa: E731
    size = torch.tensor([*INPUT_SIZE, 10], dtype=torch.float64)
    ids = uniform(points, vertices).argsort(-1)[..., :3]
    return MeshPoseTargets(
        uniform(points, 2) * (size[:2] - 1), ids, uniform(points, 3).softmax(-1), uniform(points) < 0.7,
        (1.6 * uniform(vertices, 3) - 0.3) * size, uniform(vertices) < 0.8, INPUT_SIZE,
        uniform(32, 24), uniform() < 2, uniform(32, 24) * (uniform(32, 24) < 0.2),
        (1.6 * uniform(4, 2) - 0.3) * size[:2], uniform(4) < 0.7, (1.6 * uniform(4, 3) - 0.3) * size,
        uniform(4) < 0.7)


@pytest.fixture
def output():
    return make_output()


@pytest.fixture
def targets():
    return make_targets()


@pytest.fixture
def with_invalid_sample(output, targets):
    """The same batch and one more crop, none of whose labels is valid: they are NaN and ids of nothing."""
    more_output = output._map(lambda tensor: torch.cat([tensor, tensor[:1] + 3]))
    more = {}
    for field in dataclasses.fields(targets):
        value = getattr(targets, field.name)
        if isinstance(value, torch.Tensor):
            fill = {torch.bool: False, torch.int64: 10 ** 6}.get(value.dtype, float("nan"))
            more[field.name] = torch.cat([value, torch.full_like(value[:1], fill)])
    return more_output, dataclasses.replace(targets, **more)
