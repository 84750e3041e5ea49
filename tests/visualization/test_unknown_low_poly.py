"""Templates whose low-poly mesh or charts are unknown are drawn through the body's full surface."""

import numpy as np
import pytest

from meshpose_plugins.visualization import draw_panels, overlay_people, save_person, write_viewer
from meshpose_plugins.visualization.frames import meters_per_pixel

UNKNOWN = dict.fromkeys(["vertices", "faces", "face_parts", "source_vertex_ids", "symmetry", "geodesics"])


@pytest.fixture(scope="module")
def without_mesh(anny_template):
    return anny_template.replace(**UNKNOWN)


@pytest.fixture(scope="module")
def without_charts(without_mesh):
    return without_mesh.replace(surface=without_mesh.surface.replace(face_parts=None, face_uv=None))


@pytest.fixture
def photo():
    return np.full((160, 240, 3), 120, dtype=np.uint8)


def test_pictures_are_the_same(photo, anny_template, without_mesh, without_charts, two_people):
    whole = overlay_people(photo, two_people, anny_template)
    assert (whole != photo).any()
    for template in (without_mesh, without_charts):
        np.testing.assert_array_equal(overlay_people(photo, two_people, template), whole)
    panels = draw_panels(photo, two_people, anny_template)
    np.testing.assert_array_equal(draw_panels(photo, two_people, without_mesh), panels)
    three = draw_panels(photo, two_people, without_charts)
    np.testing.assert_array_equal(three, panels[:, : 3 * panels.shape[1] // 4])
    with pytest.raises(ValueError, match="has no faces: its low-poly mesh cannot be drawn"):
        overlay_people(photo, two_people, without_mesh, wireframe=True)


def test_scale_comes_from_the_full_surface(anny_template, without_mesh, two_people):
    expected = meters_per_pixel(two_people[0], anny_template)
    assert meters_per_pixel(two_people[0], without_mesh) == pytest.approx(expected, rel=0.01)
    unscaled = without_mesh.replace(surface=without_mesh.surface.replace(vertices=None))
    with pytest.raises(
        ValueError, match="BodySurface has no vertices: rest positions say how large a body is"
    ):
        meters_per_pixel(two_people[0], unscaled)


def test_files(tmp_path, anny_template, without_mesh, without_charts, two_people):
    (charted,) = save_person(tmp_path / "charted", two_people[0], without_mesh, ["obj"])
    (plain,) = save_person(tmp_path / "plain", two_people[0], without_charts, ["obj"])
    counts = [
        [sum(line.startswith(kind) for line in path.read_text().splitlines()) for kind in ("v ", "f ", "vt ")]
        for path in (charted, plain)
    ]
    vertices, faces = len(anny_template.surface.vertices), len(anny_template.surface.faces)
    assert [count[:2] for count in counts] == [[vertices, faces]] * 2
    assert counts[0][2] > 0 and counts[1][2] == 0
    with pytest.raises(ValueError, match="has no faces"):
        save_person(tmp_path / "low", two_people[0], without_mesh, ["obj"], full_resolution=False)
    assert write_viewer(tmp_path / "page.html", two_people, without_charts).stat().st_size > 1e5
