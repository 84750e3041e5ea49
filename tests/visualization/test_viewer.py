"""The one-file viewer: self-contained, holds the right meshes, draws in a real browser if there is one."""

import base64
import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from meshpose_plugins.visualization import write_viewer

BROWSER = next(
    (path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None
)


def scene_of(page):
    return json.loads(
        re.search(r'<script id="scene" type="application/json">(.*?)</script>', page, re.S).group(1)
    )


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 255, (300, 900, 3), dtype=np.uint8)


def test_page_holds_the_meshes(tmp_path, anny_template, two_people, photo):
    path = write_viewer(tmp_path / "v.html", two_people, anny_template, photo)
    scene = scene_of(path.read_text(encoding="utf-8"))
    assert [person["name"] for person in scene["people"]] == ["person 1", "person 2"]
    xyz = [
        np.frombuffer(base64.b64decode(person["vertices"]), "<f4").reshape(-1, 3)
        for person in scene["people"]
    ]
    assert np.stack(xyz)[..., 1].min() == pytest.approx(0, abs=1e-5)
    scale = np.ptp(anny_template.vertices[:, 2]) / np.ptp(two_people[0, :, 1])
    np.testing.assert_allclose(
        xyz[1] - xyz[0], np.tile([115 * scale, -8 * scale, 0], (len(xyz[0]), 1)), atol=1e-3
    )
    faces = np.frombuffer(base64.b64decode(scene["faces"]), "<u4").reshape(-1, 3)
    np.testing.assert_array_equal(faces, anny_template.surface.faces)
    parts = np.frombuffer(base64.b64decode(scene["parts"]), "u1")
    assert set(parts) == set(range(1, 25)) and len(parts) == len(xyz[0])
    jpeg = base64.b64decode(scene["photo"].split(",")[1])
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (160, 480, 3)


def test_page_loads_nothing_from_elsewhere(tmp_path, anny_template, two_people, photo):
    page = write_viewer(tmp_path / "v.html", two_people, anny_template, photo).read_text(encoding="utf-8")
    assert not re.search(r"https?://|<link|<script[^>]*\ssrc=|@import|fetch\(|XMLHttpRequest|import\(", page)
    assert "offers no WebGL" in page and "{{" not in page
    assert len(page) < 2_000_000


def test_names_and_titles_cannot_break_out(tmp_path, anny_template, two_people):
    evil = "</script><b>{{scene}}"
    page = write_viewer(
        tmp_path / "v.html", two_people, anny_template, title="<i>&{{scene}}", names=[evil, "b"]
    ).read_text(encoding="utf-8")
    assert scene_of(page)["people"][0]["name"] == evil
    assert "</script><b>" not in page and "<i>&" not in page and page.count("&lt;i&gt;&amp;{{scene}}") == 2


def test_bad_input_is_named(tmp_path, anny_template, two_people, photo):
    with pytest.raises(ValueError, match="got 1 names for 2 people"):
        write_viewer(tmp_path / "v.html", two_people, anny_template, names=["a"])
    with pytest.raises(ValueError, match="uint8 RGB"):
        write_viewer(tmp_path / "v.html", two_people, anny_template, image=photo / 255)
    with pytest.raises(ValueError, match="not finite"):
        write_viewer(tmp_path / "v.html", two_people * np.inf, anny_template)
    assert not list(tmp_path.iterdir())


def screenshot(page, tmp_path):
    flags = (
        "--headless --no-sandbox --disable-gpu --use-angle=swiftshader --enable-unsafe-swiftshader "
        "--disable-background-networking --disable-component-update --disable-sync --no-first-run "
        "--virtual-time-budget=2000 --window-size=600,500"
    ).split()
    target = tmp_path / "shot.png"
    command = [
        BROWSER,
        *flags,
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--screenshot={target}",
        page.as_uri(),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return cv2.imread(str(target))[..., ::-1].astype(int)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium installed")
def test_a_browser_draws_the_people(tmp_path, anny_template, two_people):
    page = write_viewer(tmp_path / "v.html", two_people, anny_template)
    picture = screenshot(page, tmp_path)[:, 220:]  # beside the panel
    blue, orange = picture[..., 2] - picture[..., 0] > 40, picture[..., 0] - picture[..., 2] > 40
    assert blue.sum() + orange.sum() > 5000 and orange.sum() > 2000


@pytest.mark.skipif(BROWSER is None, reason="no Chromium installed")
def test_without_webgl_a_message_is_shown(tmp_path, anny_template, two_people):
    page = write_viewer(tmp_path / "v.html", two_people, anny_template)
    text = page.read_text(encoding="utf-8")
    page.write_text(
        text.replace("'use strict';", "HTMLCanvasElement.prototype.getContext = () => null;"),
        encoding="utf-8",
    )
    picture = screenshot(page, tmp_path)[180:320]
    assert (picture.sum(axis=-1) < 200).sum() > 200  # dark letters across the middle
    assert np.abs(picture[..., 0] - picture[..., 2]).max() < 60  # and no coloured mesh
