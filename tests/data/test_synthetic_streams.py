"""The random streams of the generator are fixed: figures were measured on the sets that they make."""

import cv2
import numpy as np
import pytest

from meshpose_plugins.data.synthetic import SyntheticSettings, build_generator
from meshpose_plugins.data.synthetic.settings import GENERATOR_VERSION

SETTINGS = SyntheticSettings(seed=2026, split='val', width=96, height=128, truncation=0.1, occluders=0.2,
                             second_person=0.1)
#: The version whose samples are stored below. (Version 3 has the random streams of version 2.)
VERSION = 3
#: Samples by index: vertices 0, 100, ... 400 (image px), how many are visible, the box, and the picture's
#: mean colour (blue, green, red). Vertices are drawn early in a stream, colours late.
GOLDEN = {
    1: {
        'vertices': [[66.2, 19.9, -0.1], [39.4, 38.6, 7.1], [59.1, 71.9, 10.4], [70.2, 29.1, -9.9],
                     [64.5, 60.2, 0.8]],
        'visible': 223, 'box': [35, 16, 42, 86], 'colour': [150.0, 146.5, 163.0],
    },
    3: {
        'vertices': [[45.4, 24.6, -46.9], [8.5, 56.7, -38.7], [36.8, 123.2, -46.0], [72.6, 44.4, -22.3],
                     [55.9, 109.5, 4.9]],
        'visible': 192, 'box': [0, 3, 96, 125], 'colour': [167.7, 171.9, 173.3],
    },
    4: {
        'vertices': [[58.8, 28.2, -39.2], [40.8, 57.6, -43.3], [30.4, 83.4, -15.3], [80.0, 38.3, -26.4],
                     [56.1, 69.5, 2.8]],
        'visible': 90, 'box': [21, 64, 71, 53], 'colour': [92.7, 89.9, 82.7],
    },
    5: {
        'vertices': [[48.1, 13.7, -7.3], [17.5, 15.9, -28.8], [57.5, 82.0, 9.5], [69.6, 24.2, -4.6],
                     [68.1, 66.5, 3.5]],
        'visible': 250, 'box': [10, 5, 84, 121], 'colour': [138.4, 84.9, 137.4],
    },
}
#: Single pixels differ between CPUs and versions of OpenCV; another stream moves everything by far more.
TOLERANCES = {'vertices': 0.2, 'visible': 4, 'box': 1, 'colour': 2}
MESSAGE = (
    '{} of sample {} is not what version {} makes: a change of the random streams gives other data sets for '
    'one seed. Undo it or raise GENERATOR_VERSION in data/synthetic/settings.py and store the new values here'
)


def summary(sample):
    picture = cv2.imdecode(np.frombuffer(sample.jpeg, np.uint8), cv2.IMREAD_COLOR)
    return {
        'vertices': sample.vertices_image[:401:100],
        'visible': sample.visibility.sum(),
        'box': sample.annotation['bbox'],
        'colour': picture.mean((0, 1)),
    }


@pytest.fixture(scope='module')
def generator():
    return build_generator(SETTINGS)


@pytest.mark.parametrize('index', GOLDEN)
def test_a_seed_makes_the_samples_of_its_version(generator, index):
    found = summary(generator.sample(index))
    for name, expected in GOLDEN[index].items():
        np.testing.assert_allclose(np.asarray(found[name], float), expected, rtol=0, atol=TOLERANCES[name],
                                   err_msg=MESSAGE.format(name, index, VERSION))


def test_the_stored_samples_are_of_the_present_version():
    assert GENERATOR_VERSION == VERSION, 'a new version needs its samples stored here'
    assert SETTINGS.to_dict()['generator_version'] == VERSION
