"""Inside a picture: the borders of pixels, alike in NumPy and torch."""

import numpy as np
import pytest
import torch

from meshpose_plugins.rendering import inside_frame


def test_a_position_is_inside_if_its_nearest_pixel_is():
    rng = np.random.default_rng(0)
    xyz = rng.uniform(-2, 12, (3, 200, 3)).astype(np.float32)
    column, row = np.floor(xyz[..., 0] + 0.5), np.floor(xyz[..., 1] + 0.5)
    expected = (column >= 0) & (column < 10) & (row >= 0) & (row < 6)
    inside = inside_frame(xyz, 10, 6)
    np.testing.assert_array_equal(inside, expected)
    np.testing.assert_array_equal(inside_frame(torch.from_numpy(xyz), 10, 6).numpy(), expected)


def test_borders_belong_to_one_frame_only():
    xy = torch.tensor([[-0.5, -0.5], [9.5, 3.0], [3.0, 5.5], [9.49, 5.49], [float('nan'), 1.0]])
    assert inside_frame(xy, 10, 6).tolist() == [True, False, False, True, False]
    with pytest.raises(ValueError, match=r'xy must be \(..., 2 or more\), got \(4, 1\)'):
        inside_frame(np.zeros((4, 1)), 10, 6)
