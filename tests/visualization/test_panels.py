"""The overview picture: layout, who is drawn where, and what is refused."""

import numpy as np
import pytest

from meshpose_plugins.visualization import draw_boxes, draw_panels, overlay_people
from meshpose_plugins.visualization.colors import PART_COLORS, iuv_colors, person_color
from meshpose_plugins.visualization.panels import _layered, _turned


@pytest.fixture
def photo():
    return np.full((160, 240, 3), 120, dtype=np.uint8)


def changed(picture, photo):
    return (picture != photo).any(axis=-1)


def test_overlay_covers_the_people_and_nothing_else(photo, anny_template, two_people):
    picture = overlay_people(photo, two_people, anny_template)
    drawn = changed(picture, photo)
    assert picture.dtype == np.uint8 and picture.shape == photo.shape and (photo == 120).all()
    for person in two_people:
        column, row = np.clip(np.rint(person[:, :2]).astype(int), 0, [239, 159]).T
        assert drawn[row, column].mean() > 0.9
    full = anny_template.upsample(two_people).reshape(-1, 3)
    rows, columns = np.nonzero(drawn)
    assert columns.min() >= full[:, 0].min() - 1 and rows.max() <= full[:, 1].max() + 1
    assert 0.05 < drawn.mean() < 0.5
    wired = overlay_people(photo, two_people, anny_template, wireframe=True)
    assert wired[drawn].mean() < picture[drawn].mean() - 5


def test_people_have_colours_of_their_own(photo, anny_template, two_people):
    picture = overlay_people(photo, two_people, anny_template, alpha=1.0).astype(float)
    for index, columns in enumerate((slice(0, 110), slice(130, 240))):
        part = picture[:, columns][changed(picture, photo)[:, columns]].mean(axis=0)
        np.testing.assert_allclose(
            part / part.max(), person_color(index) / person_color(index).max(), atol=0.08
        )


def test_whoever_reaches_lower_is_in_front(anny_template, two_people):
    full = anny_template.upsample(two_people)
    layered = _layered(full, two_people)
    assert layered[1, :, 2].max() < layered[0, :, 2].min()
    np.testing.assert_array_equal(layered[..., :2], full[..., :2])


def test_side_view_turns_the_face_to_the_right(anny_template, two_people):
    turned = _turned(two_people)
    nose = anny_template.keypoint_names.index("nose")
    for before, after in zip(two_people, turned):
        np.testing.assert_allclose(np.sort(before[:, 1]), np.sort(after[:, 1]))
        middle = (before[:, 0].min() + before[:, 0].max()) / 2
        assert anny_template.keypoints(before)[nose, 2] < (before[:, 2].min() + before[:, 2].max()) / 2
        assert anny_template.keypoints(after)[nose, 0] > middle
        edges = [np.linalg.norm(np.diff(x[anny_template.edges], axis=1), axis=-1) for x in (before, after)]
        np.testing.assert_allclose(*edges, atol=1e-3)


def test_panels_stand_side_by_side(photo, anny_template, two_people):
    boxes = [[10, 10, 100, 150], [-50, -50, 1e9, 1e9]]
    picture = draw_panels(photo, two_people, anny_template, boxes, panel_size=240)
    assert picture.shape == (160 + 28 + 4, 4 * 244, 3) and picture.dtype == np.uint8
    inner = picture[28:-4].reshape(160, 4, 244, 3)[:, :, 2:-2].transpose(1, 0, 2, 3)
    mesh = changed(inner[1], photo)
    np.testing.assert_array_equal(inner[1], overlay_people(photo, two_people, anny_template))
    iuv = changed(inner[3], np.full_like(photo, 40))
    assert (mesh == iuv).mean() > 0.98
    side = changed(inner[2], np.full_like(photo, 245))
    assert 0.3 < side.sum() / mesh.sum() < 1
    assert changed(inner[0], photo)[10:150, 9:12].any()


@pytest.mark.parametrize("size", [(30, 20), (900, 1300)])
def test_panels_scale_photographs_and_meshes_alike(anny_template, two_people, size):
    photo = np.full((*size, 3), 120, dtype=np.uint8)
    scale = size[0] / 160
    people = two_people[:1] * scale
    picture = draw_panels(photo, people, anny_template, panel_size=200)
    panel = picture.shape[1] // 4
    mesh = changed(picture[28:-4, panel + 2 : 2 * panel - 2], np.uint8([120, 120, 120]))
    rows = np.nonzero(mesh.any(axis=1))[0]
    expected = (people[..., 1] + 0.5) * (200 / max(size)) - 0.5
    assert rows[0] == pytest.approx(expected.min(), abs=1.5)
    assert rows[-1] == pytest.approx(expected.max(), abs=1.5)


def test_nobody_gives_a_picture_without_meshes(photo, anny_template):
    np.testing.assert_array_equal(overlay_people(photo, [], anny_template), photo)
    assert draw_panels(photo, np.zeros((0, 3)), anny_template, []).ndim == 3


def test_people_outside_the_picture_are_not_drawn(photo, anny_template, two_people):
    np.testing.assert_array_equal(overlay_people(photo, two_people + [1000, 0, 0], anny_template), photo)


def test_bad_input_is_named(photo, anny_template, two_people):
    with pytest.raises(ValueError, match="uint8 RGB"):
        draw_panels(photo[..., 0], two_people, anny_template)
    with pytest.raises(ValueError, match="boxes must be finite"):
        draw_boxes(photo, [[0, 0, np.nan, 5]])
    with pytest.raises(ValueError, match=r"boxes must be finite \(P, 4\)"):
        draw_panels(photo, two_people, anny_template, boxes=[[1, 2, 3]])
    with pytest.raises(ValueError, match="panel_size"):
        draw_panels(photo, two_people, anny_template, panel_size=2)
    with pytest.raises(ValueError, match="not finite"):
        overlay_people(photo, two_people * np.nan, anny_template)


def test_iuv_colours_tell_parts_apart():
    assert len(np.unique(PART_COLORS.round(3), axis=0)) == 25
    iuv = np.zeros((1, 3, 3), dtype=np.float32)
    iuv[0, 1], iuv[0, 2] = (3, 0.31, 0.31), (4, 0.31, 0.31)
    color = iuv_colors(iuv)
    assert (color[0, 0] == 0).all() and np.abs(color[0, 1] - color[0, 2]).max() > 0.1
