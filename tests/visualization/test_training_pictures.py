"""Pictures of truth and prediction: what is on their panels."""

import numpy as np
import pytest

from meshpose_plugins.rendering.benchmark import fit_to_picture
from meshpose_plugins.visualization import draw_truth_and_prediction
from meshpose_plugins.visualization.training import TITLE_HEIGHT


@pytest.fixture
def person(anny_template):
    return fit_to_picture(anny_template.vertices, 64, 48).astype(np.float32)


@pytest.fixture
def crop():
    return np.full((64, 48, 3), (0, 0, 200), np.uint8)


def test_truth_and_equal_prediction_cover_the_same_pixels(crop, person, anny_template):
    before = crop.copy()
    picture = draw_truth_and_prediction(crop, person, anny_template, person, panel_height=128)
    np.testing.assert_array_equal(crop, before)
    assert picture.shape == (128 + TITLE_HEIGHT, 3 * 96, 3) and picture.dtype == np.uint8
    image, truth, prediction = np.split(picture[TITLE_HEIGHT:].astype(int), 3, axis=1)
    assert (image == [0, 0, 200]).all()
    drawn = [np.abs(panel - image).max(-1) > 20 for panel in (truth, prediction)]
    assert 0.05 < drawn[0].mean() < 0.8 and (drawn[0] != drawn[1]).mean() < 0.01
    rows = np.flatnonzero(drawn[0].any(1)) / 2
    assert rows.min() == pytest.approx(person[:, 1].min(), abs=1.5)
    assert rows.max() == pytest.approx(person[:, 1].max(), abs=1.5)


@pytest.mark.parametrize('points, expected', [
    (None, None), (np.zeros((0, 2)), None), (np.array([[20.0, 30.0]]), (20, 30))])
def test_people_without_mesh_show_their_points(crop, person, anny_template, points, expected):
    picture = draw_truth_and_prediction(crop, person, anny_template, points_xy=points, panel_height=64)
    rows, columns = np.nonzero(picture[TITLE_HEIGHT:, 48:96, 1] > 50)
    assert (len(rows) > 0) == (expected is not None)
    if expected:
        assert (columns.mean(), rows.mean()) == pytest.approx(expected, abs=0.5)


def test_a_crop_that_is_no_picture_is_named(person, anny_template):
    with pytest.raises(ValueError, match=r'crop must be \(H, W, 3\) uint8, got \(3, 64, 48\) float32'):
        draw_truth_and_prediction(np.zeros((3, 64, 48), np.float32), person, anny_template)
