"""The page of an evaluation: what is drawn lies where it belongs, and the page needs no other file."""

import base64
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from meshpose_plugins.rendering.benchmark import fit_to_picture
from meshpose_plugins.templates import load_template
from meshpose_plugins.templates.parts import COARSE_PART_NAMES, PART_NAMES
from meshpose_plugins.visualization import ReportCurves, ReportInstance, draw_part_errors, write_report
from meshpose_plugins.visualization.part_errors import part_values
from meshpose_plugins.visualization.report import PANEL_HEIGHT, draw_instance
from meshpose_plugins.visualization.training import TITLE_HEIGHT

TEMPLATE = load_template('anny')


@pytest.fixture(scope='module')
def mesh():
    """A person of 80 x 160 px at (100, 40) in an image of 200 x 240."""
    vertices = fit_to_picture(np.asarray(TEMPLATE.vertices), 160, 80)
    return (vertices + [100, 40, 0]).astype(np.float32)


def panels(instance):
    picture = draw_instance(instance, TEMPLATE)[TITLE_HEIGHT:]
    assert picture.shape[0] == PANEL_HEIGHT and picture.shape[1] % 3 == 0
    return np.split(picture, 3, axis=1)


def test_parts_are_drawn_on_both_sides():
    picture = draw_part_errors(dict(head=80.0, feet=20.0, torso=0.0), TEMPLATE, 'mm')
    assert picture.dtype == np.uint8 and picture.shape[0] == 560
    yellow = (picture[..., 0] > 120) & (picture[..., 1] > 110) & (picture[..., 2] < 60)
    rows, columns = np.nonzero(yellow[:, :-112])  # without the colour bar
    # The heads of the two views, at the top, left and right of the middle.
    assert len(rows) > 400 and rows.max() < 0.25 * 560
    middle = (picture.shape[1] - 112) / 2
    assert 0.3 < (columns < middle).mean() < 0.7
    # Ten times smaller errors on a scale ten times smaller look the same, beside the numbers of the bar.
    small = draw_part_errors(dict(head=8.0, feet=2.0, torso=0.0), TEMPLATE, 'mm', highest=8.0)
    np.testing.assert_array_equal(small[:, :-112], picture[:, :-112])
    assert (small != picture).any()


def test_front_and_back_charts_are_told_apart():
    front, back = (
        draw_part_errors({name: 10.0}, TEMPLATE, 'mm')[:, :-112] for name in ('torso_front', 'torso_back')
    )

    def yellow_share_left(picture):
        yellow = (picture[..., 0] > 100) & (picture[..., 2] < 60)
        return yellow[:, : yellow.shape[1] // 2].sum() / yellow.sum()

    assert yellow_share_left(front) > 0.8 and yellow_share_left(back) < 0.2


def test_part_values():
    coarse = part_values(dict(hands=3.0))
    assert coarse[[2, 3]].tolist() == [3.0, 3.0] and np.isnan(coarse).sum() == 22
    assert part_values({name: float(i) for i, name in enumerate(PART_NAMES)}).tolist() == list(range(24))
    assert not np.isnan(part_values(dict.fromkeys(COARSE_PART_NAMES, 1.0))).any()
    with pytest.raises(ValueError, match="'tail' is no body part: expected one of torso, hands"):
        part_values(dict(tail=1.0))


def test_nothing_measured_is_grey_and_zero_is_no_division():
    for errors in ({}, dict(head=float('nan'))):
        picture = draw_part_errors(errors, TEMPLATE, 'mm', height=120)[:, :-112].astype(int)
        assert np.ptp(picture, axis=2).max() <= 1
    assert (
        np.ptp(
            draw_part_errors(dict(head=0.0), TEMPLATE, 'mm', height=120)[:, :-112].astype(int), axis=2
        ).max()
        > 60
    )


@pytest.mark.parametrize('full', [False, True])
def test_meshes_lie_where_they_belong(mesh, full):
    image = np.full((240, 200, 3), 30, np.uint8)
    vertices = TEMPLATE.upsample(mesh) if full else mesh
    box = np.array([100, 40, 180, 200])
    plain, truth, prediction = panels(ReportInstance('', image, box, vertices, true=vertices + [0, -20, 0]))
    (rows, columns), (true_rows, _) = (
        np.nonzero((panel.astype(int) - plain).any(-1)) for panel in (prediction, truth)
    )
    # One scale everywhere: the height tells it, the width and the shift of 20 px follow.
    scale = np.ptp(rows) / np.ptp(vertices[:, 1])
    assert 1.0 < scale < 2.5 and len(rows) > 2000
    assert np.ptp(columns) == pytest.approx(scale * np.ptp(vertices[:, 0]), abs=2)
    assert rows.min() - true_rows.min() == pytest.approx(20 * scale, abs=2)


def test_a_marked_pixel_stays_under_its_point(mesh):
    image = np.zeros((240, 200, 3), np.uint8)
    image[90, 130] = (255, 0, 255)
    instance = ReportInstance(
        '', image, [100, 40, 180, 200], points_xy=np.array([[130, 90]]), point_scores=[0.0]
    )
    plain, truth, prediction = panels(instance)
    pink = np.argwhere((plain[..., 0] > 60) & (plain[..., 1] < 30)).mean(0)
    green = np.argwhere((truth[..., 1] > 150) & (truth[..., 0] < 150)).mean(0)
    red = np.argwhere(
        (prediction[..., 0] > 150) & (prediction[..., 1] < 60) & (prediction[..., 2] < 100)
    ).mean(0)
    np.testing.assert_allclose(green, pink, atol=1.0)
    np.testing.assert_allclose(red, pink, atol=1.0)


def test_a_map_fills_its_box():
    image = np.zeros((240, 200, 3), np.uint8)
    image[60:120, 50:90] = 200
    iuv = np.full((60, 40, 3), 128, np.uint8)
    iuv[..., 0] = 2
    plain, _, prediction = panels(ReportInstance('', image, [50.7, 60.2, 90.7, 120.2], iuv=iuv))
    changed = (prediction.astype(int) != plain).any(-1)
    inside = plain[..., 0] > 100
    # Truncated to whole pixels, the box is the bright rectangle.
    assert (changed & inside).sum() > 0.95 * inside.sum()
    assert (changed & ~inside).sum() < 0.06 * inside.sum()


def test_people_over_the_border_and_without_an_image_are_drawn(mesh):
    far = mesh + np.float32([5000, 0, 0])
    for image in (np.zeros((240, 200, 3), np.uint8), None):
        assert len(panels(ReportInstance('', image, [100, 40, 180, 200], far))) == 3
        assert len(panels(ReportInstance('', image, None, mesh - np.float32([150, 0, 0])))) == 3
    astray = mesh.copy()
    astray[0], astray[1] = 1e9, np.nan
    assert max(draw_instance(ReportInstance('', None, None, astray, true=mesh), TEMPLATE).shape) < 3000
    with pytest.raises(ValueError, match='lost: no box, vertices or points'):
        draw_instance(ReportInstance('lost'), TEMPLATE)
    with pytest.raises(ValueError, match="template 'anny' needs 499 or 12272 vertices, got 498"):
        draw_instance(ReportInstance('', None, None, mesh[1:]), TEMPLATE)
    with pytest.raises(ValueError, match='needs a template to draw meshes'):
        draw_instance(ReportInstance('', None, None, mesh), None)


def test_the_page_holds_everything(tmp_path, mesh):
    image = np.full((240, 200, 3), 90, np.uint8)
    path = write_report(
        tmp_path / 'page',
        'A <b> & {{sections}}',
        {'Errors': [('figure', 'value'), ('PA-MPVPE, mm', 111.05522), ('<x>', 3)]},
        {'scale rule': 'roots < together'},
        {'PVE, mm': {'head': 72.8, 'hands': float('nan')}},
        [
            ReportCurves(
                'PCK', 'mm', '%', {'a': (np.arange(9), np.arange(9)), 'b': (np.arange(9), np.ones(9))}
            )
        ],
        [ReportInstance('street.jpg "5" <worst>', image, [100, 40, 180, 200], mesh, true=mesh)] * 2,
        TEMPLATE,
    )
    page = path.read_text(encoding='utf-8')
    assert path.name == 'report.html' and 'A &lt;b&gt; &amp; {{sections}}' in page
    assert '<td>111.1</td>' in page and '&lt;x&gt;' in page and 'roots &lt; together' in page
    assert 'street.jpg &quot;5&quot; &lt;worst&gt;' in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    pictures = {file.name: file.read_bytes() for file in (path.parent / 'pictures').iterdir()}
    assert sorted(pictures) == ['curves_1.png', 'instance_01.png', 'instance_02.png', 'parts_1.png']
    embedded = [base64.b64decode(text) for text in re.findall(r'base64,([^"]+)', page)]
    assert sorted(embedded) == sorted(pictures.values())
    for content in embedded:
        assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR).shape[2] == 3


def test_an_empty_page_and_missing_matplotlib(tmp_path, monkeypatch):
    assert '<h1>nothing</h1>' in write_report(tmp_path, 'nothing').read_text()
    with pytest.raises(ValueError, match='needs a template to draw part errors'):
        write_report(tmp_path, 'x', part_errors={'PVE, mm': {'head': 1.0}})
    monkeypatch.setitem(sys.modules, 'matplotlib.figure', None)
    with pytest.raises(ImportError, match='pip install matplotlib'):
        write_report(tmp_path, 'x', curves=[ReportCurves('a', 'x', 'y', {})])


def test_the_documented_example_runs(tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / 'docs' / 'evaluation.md').read_text(encoding='utf-8')
    blocks = [b for b in re.findall(r'```python\n(.*?)```', text, flags=re.DOTALL) if 'write_report(' in b]
    monkeypatch.chdir(tmp_path)
    exec(blocks[0], {})
    assert 'PA-MPVPE' in (tmp_path / 'report' / 'report.html').read_text()
