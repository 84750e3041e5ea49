"""OBJ, PLY and GLB read back by trimesh: order, faces, normals, texture coordinates, frames."""

import json
import struct

import numpy as np
import pytest
import trimesh

from meshpose_plugins.visualization import (
    atlas_uv,
    meters_per_pixel,
    save_person,
    to_y_up,
    write_glb,
    write_obj,
    write_ply,
)
from meshpose_plugins.visualization.frames import check_people, floor_center

WRITERS = {"obj": write_obj, "ply": write_ply, "glb": write_glb}


def load(path):
    return trimesh.load(path, process=False, maintain_order=True, force="mesh")


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("with_uv", [False, True])
def test_round_trip_of_the_full_surface(tmp_path, anny_template, suffix, with_uv):
    surface = anny_template.surface
    uv = atlas_uv(surface.face_parts, surface.face_uv)
    path = WRITERS[suffix](tmp_path / f"a.{suffix}", surface.vertices, surface.faces, uv if with_uv else None)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]  # no temporary file stays
    mesh, count = load(path), len(surface.vertices)
    np.testing.assert_allclose(mesh.vertices[:count], surface.vertices, atol=1e-6)
    np.testing.assert_allclose(mesh.vertices[mesh.faces], surface.vertices[surface.faces], atol=1e-6)
    if not with_uv or suffix == "obj":
        np.testing.assert_array_equal(mesh.faces, surface.faces)
        assert mesh.is_watertight and mesh.volume > 0
    if (
        with_uv and suffix != "obj"
    ):  # trimesh keeps one texture coordinate per vertex of an OBJ when the order is kept
        np.testing.assert_allclose(mesh.visual.uv[mesh.faces], uv, atol=1e-6)
    length = np.linalg.norm(mesh.vertex_normals, axis=1)
    np.testing.assert_allclose(length, 1, atol=1e-3)


def test_obj_lines_index_vertices_normals_and_texture(tmp_path):
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0.5]], dtype=float)
    faces = np.array([[0, 1, 2], [2, 1, 3]])
    uv = np.array([[[0.0, 0.0], [0.1, 0.0], [0.0, 0.1]], [[0.5, 0.6], [0.6, 0.5], [0.6, 0.6]]])
    lines = write_obj(tmp_path / "a.obj", vertices, faces, uv).read_text().splitlines()
    rows = {
        kind: [line.split()[1:] for line in lines if line.startswith(kind + " ")]
        for kind in ("v", "vn", "vt", "f")
    }
    assert len(rows["v"]) == len(rows["vn"]) == 4 and len(rows["vt"]) == 6
    texture = np.array(rows["vt"], dtype=float)
    for k, row in enumerate(rows["f"]):
        index = np.array([corner.split("/") for corner in row], dtype=int) - 1
        np.testing.assert_array_equal(index[:, 0], faces[k])
        np.testing.assert_array_equal(index[:, 2], faces[k])
        np.testing.assert_allclose(texture[index[:, 1]], uv[k])


def test_glb_says_whose_copies_the_further_vertices_are(tmp_path, anny_template):
    surface = anny_template.surface
    path = write_glb(
        tmp_path / "a.glb", surface.vertices, surface.faces, atlas_uv(surface.face_parts, surface.face_uv)
    )
    content = path.read_bytes()
    magic, version, total = struct.unpack("<4sII", content[:12])
    assert (magic, version, total) == (b"glTF", 2, len(content))
    size, kind = struct.unpack("<I4s", content[12:20])
    document = json.loads(content[20 : 20 + size])
    extras = document["meshes"][0]["extras"]
    copied = np.array(extras["copied_vertices"])
    assert kind == b"JSON" and extras["num_vertices"] == len(surface.vertices) and size % 4 == 0
    mesh = load(path)
    np.testing.assert_array_equal(mesh.vertices[len(surface.vertices) :], mesh.vertices[copied])
    position = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    np.testing.assert_allclose(position["min"], surface.vertices.min(axis=0))
    np.testing.assert_allclose(position["max"], surface.vertices.max(axis=0))


@pytest.mark.parametrize("suffix", WRITERS)
def test_broken_meshes_are_refused_and_leave_no_file(tmp_path, suffix):
    path, triangle = tmp_path / f"a.{suffix}", np.eye(3)
    with pytest.raises(ValueError, match=rf"a.{suffix}: 1 of 3 vertices are not finite"):
        WRITERS[suffix](path, np.where(triangle, [[np.nan, 1, 1]], 0.0), np.array([[0, 1, 2]]))
    with pytest.raises(ValueError, match=r"corner_uv must have shape \(1, 3, 2\), got \(3, 2\)"):
        WRITERS[suffix](path, triangle, np.array([[0, 1, 2]]), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="faces name vertices 0..3"):
        WRITERS[suffix](path, triangle, np.array([[0, 1, 3]]))
    assert not list(tmp_path.iterdir())


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = write_obj(tmp_path / "a.obj", np.eye(3), np.array([[0, 1, 2]]))
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("meshpose_plugins.files.os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_obj(path, np.eye(3) * 2, np.array([[0, 1, 2]]))
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["a.obj"]


def test_atlas_cells_do_not_touch():
    parts = np.arange(1, 25)
    corners = np.tile(np.array([[0, 0], [1, 0], [0, 1]], dtype=float), (24, 1, 1))
    uv = atlas_uv(parts, corners)
    low, high = uv.min(axis=1), uv.max(axis=1)
    for a in range(24):
        for b in range(a):
            assert ((low[a] > high[b]) | (low[b] > high[a])).any()
    assert uv.min() > 0 and uv.max() < 1
    assert low[0, 0] < 0.05 and high[0, 1] > 0.95  # part 1 top left
    assert high[23, 0] > 0.95 and low[23, 1] < 0.05  # part 24 bottom right
    with pytest.raises(ValueError, match="1..24, got 0..23"):
        atlas_uv(parts - 1, corners)


def test_scale_does_not_depend_on_size_place_or_turn(anny_template, two_people):
    person = two_people[0]
    scale = meters_per_pixel(person, anny_template)
    rest = np.ptp(anny_template.vertices[:, 2])
    assert scale == pytest.approx(rest / np.ptp(person[:, 1]), rel=1e-4)
    turned = person[:, [2, 1, 0]] * [1, 1, -1] * 2 + [50, -10, 3]
    assert meters_per_pixel(turned, anny_template) == pytest.approx(scale / 2, rel=1e-4)
    with pytest.raises(ValueError, match="no extent"):
        meters_per_pixel(person * 0, anny_template)


def test_y_up_frame_keeps_right_and_turns_up_and_depth():
    got = to_y_up(np.array([[12.0, 5.0, 3.0]]), 0.5, (10, 10, 2))
    np.testing.assert_allclose(got, [[1.0, 2.5, -0.5]])
    np.testing.assert_allclose(floor_center([[0, 0, 0], [4, 6, -2]]), [2, 6, -1])


@pytest.mark.parametrize("full", [False, True])
def test_saved_person_stands_upright_in_metres(tmp_path, anny_template, two_people, full):
    paths = save_person(tmp_path / "sub" / "p.0", two_people[1], anny_template, full_resolution=full)
    assert [path.name for path in paths] == ["p.0.obj", "p.0.ply", "p.0.glb"]
    height = np.ptp(anny_template.vertices[:, 2])
    for path in paths:
        mesh = load(path)
        low, high = mesh.bounds
        assert low[1] == pytest.approx(0, abs=1e-3) and high[1] == pytest.approx(height, rel=0.02)
        assert low[0] == pytest.approx(-high[0], abs=1e-3)
        count = len(anny_template.surface.vertices) if full else anny_template.num_vertices
        assert len(mesh.vertices) >= count and mesh.visual.uv is not None
    left = anny_template.keypoint_names.index("left_wrist")
    assert not full or load(paths[0]).is_watertight
    source = (
        load(paths[1]).vertices[anny_template.source_vertex_ids]
        if full
        else load(paths[1]).vertices[: anny_template.num_vertices]
    )
    assert (anny_template.keypoint_regressor @ source)[
        left, 0
    ] > 0.2  # who faces the camera has the left hand at the right
    nose = anny_template.keypoint_names.index("nose")
    assert (anny_template.keypoint_regressor @ source)[nose, 2] > 0  # and looks towards the viewer


def test_bad_people_are_named(tmp_path, anny_template, two_people):
    with pytest.raises(ValueError, match="unknown mesh format 'fbx': choose from obj, ply, glb"):
        save_person(tmp_path / "a", two_people[0], anny_template, formats=["fbx"])
    with pytest.raises(ValueError, match="must be one person"):
        save_person(tmp_path / "a", two_people, anny_template)
    with pytest.raises(ValueError, match="for this template, got"):
        save_person(tmp_path / "a", two_people[0, 1:], anny_template)
    broken = two_people.copy()
    broken[1, 7] = np.nan
    with pytest.raises(ValueError, match="vertices of person 1 are not finite"):
        check_people(broken, anny_template.num_vertices)
    assert check_people([], 5).shape == (0, 5, 3)
