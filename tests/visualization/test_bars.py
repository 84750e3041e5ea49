"""Bar charts: a panel per measure, missing values, wrong lengths."""
import cv2
import pytest

from meshpose_plugins.visualization.bars import draw_bars


def test_panels_are_drawn(tmp_path):
    path = draw_bars(['a', 'b'], {'one': [[1, 3], [2.0]], 'two': [[0.5], []]}, tmp_path / 'x' / 'bars.png')
    one_row = cv2.imread(str(path))
    assert one_row is not None and one_row.std() > 0
    draw_bars(['a', 'b'], {'one': [[1, 3], [2.0]], 'two': [[0.5], []]}, path, columns=1)
    assert cv2.imread(str(path)).shape[0] > one_row.shape[0]


def test_a_panel_needs_values_for_every_label(tmp_path):
    with pytest.raises(ValueError, match="panel 'one': values of 1 bars for 2 labels"):
        draw_bars(['a', 'b'], {'one': [[1.0]]}, tmp_path / 'bars.png')
