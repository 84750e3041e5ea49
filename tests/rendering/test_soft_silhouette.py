"""Exact coverage: against dense sums and the hard rasteriser; gradients; what is outside costs nothing."""
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from meshpose_plugins.losses import SilhouetteLoss
from meshpose_plugins.rendering import rasterize
from meshpose_plugins.rendering.soft_silhouette import SilhouetteRasterizer, dense_layers
from meshpose_plugins.templates import load_template

HEIGHT, WIDTH = 64, 48


@pytest.fixture(scope="module")
def template():
    return load_template("anny")


@pytest.fixture(scope="module")
def rasterizer(template):
    return SilhouetteRasterizer(torch.tensor(template.faces))


@pytest.fixture(scope="module")
def people(template):
    """The template's body, upright, facing the camera, large, small, turned and half outside, (4, V, 3)."""
    body = torch.tensor(template.vertices, dtype=torch.float64)
    body = body[:, [0, 2, 1]] * torch.tensor([1.0, -1, 1])
    body = (body - (body.amin(0) + body.amax(0)) / 2) / (body.amax(0) - body.amin(0))[1]
    turned = body[:, [2, 1, 0]] * torch.tensor([1.0, 1, -1])
    middle = torch.tensor([23.3, 31.8, 0])
    return torch.stack([58 * body + middle, 30 * body + middle, 58 * turned + middle,
                        70 * body + torch.tensor([40.0, 70, 0])])


def test_coverage_agrees_with_the_sum_over_all_faces_and_pixels(rasterizer, people):
    xy = 0.4 * people[[0, 3], :, :2]
    layers = rasterizer.layers(xy, 26, 20)
    for have, person in zip(layers, xy):
        expected = dense_layers(person, rasterizer.faces, 26, 20)
        assert expected.max() > 0.9
        torch.testing.assert_close(have, expected, rtol=0, atol=1e-9)
    single = rasterizer.layers(xy.float(), 26, 20)
    torch.testing.assert_close(single.double(), layers, rtol=0, atol=1e-4)


def test_gradients_agree_with_the_sum_over_all_faces_and_pixels(rasterizer, people):
    xy = (0.4 * people[:1, :, :2]).requires_grad_()
    random = torch.rand(26, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    have, = torch.autograd.grad((rasterizer.layers(xy, 26, 20)[0] * random).sum(), xy)
    want, = torch.autograd.grad((dense_layers(xy[0], rasterizer.faces, 26, 20) * random).sum(), xy)
    assert have.abs().max() > 0.1
    torch.testing.assert_close(have, want, rtol=0, atol=1e-9)


def test_the_silhouette_is_the_mean_of_a_fine_picture(rasterizer, people):
    """The hard rasteriser at 8 times the size: its mean over 8 x 8 px is the coverage."""
    silhouettes = rasterizer(people[..., :2], HEIGHT, WIDTH)
    for person, (have, xyz) in enumerate(zip(silhouettes, people.numpy())):
        fine = 8 * xyz + np.array([3.5, 3.5, 0])
        drawn = rasterize(fine, np.asarray(rasterizer.faces), 8 * HEIGHT, 8 * WIDTH).face_ids >= 0
        expected = drawn.reshape(HEIGHT, 8, WIDTH, 8).mean((1, 3))
        difference = np.abs(have.numpy() - expected)
        # Where two limbs overlap at their outlines (the legs, seen from the side) coverages add up; elsewhere
        # 64 samples err by a few.
        assert difference.mean() < 0.01 and (have.numpy() - expected).min() > -0.06
        if person != 2:
            assert np.median(difference[(expected > 0) & (expected < 1)]) < 0.04


def test_a_square_has_exact_coverage_and_gradients():
    """Two faces towards the camera, [1, 3] x [1.25, 3]; sides run along and between the borders of pixels."""
    square = torch.tensor([[[1.0, 1.25], [1.0, 3.0], [3.0, 3.0], [3.0, 1.25]]], dtype=torch.float64)
    square.requires_grad_()
    rasterizer = SilhouetteRasterizer(torch.tensor([[0, 1, 2], [0, 2, 3]]))
    coverage = rasterizer(square, 5, 6)[0]
    columns, rows = torch.tensor([0, 0.5, 1, 0.5, 0, 0]), torch.tensor([0, 0.25, 1, 0.5, 0])
    torch.testing.assert_close(coverage.double(), torch.outer(rows, columns).double())
    gradient, = torch.autograd.grad(coverage.sum(), square)
    expected = 0.5 * torch.tensor([[-1.75, -2], [-1.75, 2], [1.75, 2], [1.75, -2]], dtype=torch.float64)
    torch.testing.assert_close(gradient[0], expected)  # the side's length times its shift
    assert rasterizer(square.flip(1), 5, 6).abs().max() == 0, "a face from behind covers nothing"


def test_what_lies_outside_costs_no_work(rasterizer, people):
    class Largest(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, (tuple, list)) else [result]:
                if isinstance(tensor, torch.Tensor):
                    self.elements = max(self.elements, tensor.numel())
            return result

    with Largest() as inside:
        rasterizer(people[:1, :, :2], HEIGHT, WIDTH)
    assert inside.elements < 3 * 2 * len(rasterizer.faces) + 2 * HEIGHT * (WIDTH + 1)  # << faces x pixels
    far = people[:1, :, :2] + 1000
    assert rasterizer(far, HEIGHT, WIDTH).max() == 0
    left = people[:1, :, :2] - torch.tensor([1000.0, 0])
    torch.testing.assert_close(rasterizer(left, HEIGHT, WIDTH), torch.zeros(1, HEIGHT, WIDTH).double(),
                               rtol=0, atol=1e-9)


@pytest.mark.parametrize("shift", [(4.0, 0.0), (-3.0, 5.0), (0.0, -6.0)])
@pytest.mark.parametrize("softness", [0.0, 1.0])
def test_gradients_move_a_shifted_mesh_back_onto_the_mask(rasterizer, people, shift, softness):
    loss = SilhouetteLoss(rasterizer.faces, softness=softness)
    xy = people[:1, :, :2].float()
    mask, valid = rasterizer(xy, HEIGHT, WIDTH), torch.tensor([True])
    assert loss(xy, mask, valid).item() == pytest.approx(0, abs=1e-4)
    moved = torch.tensor(shift, requires_grad=True)
    optimizer = torch.optim.Adam([moved], lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 80, eta_min=0.005)
    for _ in range(80):
        optimizer.zero_grad()
        loss(xy + moved, mask, valid).backward()
        optimizer.step()
        scheduler.step()
    assert moved.norm() < 0.05


def test_vertices_themselves_move_onto_the_mask_beside_an_ignored_region(rasterizer, people):
    """The mask's right third says nothing: left of it the mesh comes to lie on the mask all the same."""
    loss = SilhouetteLoss(rasterizer.faces)
    truth = people[:1, :, :2].float()
    mask, valid = rasterizer(truth, HEIGHT, WIDTH), torch.tensor([True])
    weight = torch.ones_like(mask)
    weight[..., 32:] = 0
    wrong = mask.clone()
    wrong[..., 32:] = 1
    xy = (truth + torch.tensor([2.0, 3.0])).requires_grad_()
    start = loss(xy, wrong, valid, weight).item()
    optimizer = torch.optim.Adam([xy], lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        loss(xy, wrong, valid, weight).backward()
        optimizer.step()
    assert loss(xy, wrong, valid, weight).item() < 0.25 * start
    torch.testing.assert_close(loss(xy, wrong, valid, weight), loss(xy, mask, valid, weight))


def test_errors_name_the_shape():
    with pytest.raises(ValueError, match=r"faces must have the shape \(F, 3\), got \(4,\)"):
        SilhouetteRasterizer(torch.arange(4))
    with pytest.raises(ValueError, match=r"xy must have the shape \(B, V, 2\), got \(3, 2\)"):
        SilhouetteRasterizer(torch.tensor([[0, 1, 2]]))(torch.zeros(3, 2), 4, 4)
