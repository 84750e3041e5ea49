"""BVH, ASF and AMC files: small ones written here, right and wrong."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from meshpose_plugins.bodies import load_body
from meshpose_plugins.bodies.amc import amc_poses, amc_world_rotations
from meshpose_plugins.bodies.bvh import bvh_poses
from meshpose_plugins.bodies.motion import load_poses, read_amc, read_asf, read_bvh
from meshpose_plugins.bodies.rotations import Z_UP_FROM_Y_UP

MIDDLE = np.full(6, 0.5)


@pytest.fixture(scope="module")
def body():
    return load_body("anny")


def bvh_joint(name, offset, children="", channels="CHANNELS 3 Zrotation Xrotation Yrotation", kind="JOINT"):
    children = children or "End Site\n{\nOFFSET 0 0 1\n}"
    return f"{kind} {name}\n{{\nOFFSET {offset}\n{channels}\n{children}\n}}\n"


def bvh_text(up="y", frames=("0 " * 6 + "0 " * 24,), count=None):
    """A rig with the joints that a MakeHuman file must have, and a metatarsal that our body lacks."""
    head = "0 5 0" if up == "y" else "0 0 5"
    foot = bvh_joint("foot.L", "0 -1 0", bvh_joint("metatarsal1.L", "0 0 1", bvh_joint("toe1-1.L", "0 0 1")))
    joints = [
        bvh_joint("head", head),
        bvh_joint("upperarm01.L", "1 4 0"),
        bvh_joint("upperarm01.R", "-1 4 0"),
        bvh_joint("upperleg01.L", "1 -1 0", foot),
        bvh_joint("upperleg01.R", "-1 -1 0"),
    ]
    root = bvh_joint(
        "root",
        "0 0 0",
        "".join(joints),
        "CHANNELS 6 Xposition Yposition Zposition Xrotation Yrotation Zrotation",
        "ROOT",
    )
    rows = "\n".join(frames)
    return f"HIERARCHY\n{root}MOTION\nFrames: {count or len(frames)}\nFrame Time: 0.04\n{rows}\n"


JOINTS = [
    "head",
    "upperarm01.L",
    "upperarm01.R",
    "upperleg01.L",
    "foot.L",
    "metatarsal1.L",
    "toe1-1.L",
    "upperleg01.R",
]


def frame(root=(0, 0, 0), **angles):
    """A line of channel values; angles are (z, x, y) degrees by joint, dots written as _ and dashes as __."""
    values = [0.1, 0.2, 0.3, *root]
    for name in JOINTS:
        values += angles.get(name.replace(".", "_").replace("-", "__"), (0, 0, 0))
    return " ".join(map(str, values))


def write(path, text):
    path.write_text(text)
    return path


def test_bvh_structure(tmp_path):
    motion = read_bvh(write(tmp_path / "a.bvh", bvh_text(frames=(frame(), frame(head=(1, 2, 3))))))
    assert motion.joint_names == tuple(["root"] + JOINTS)
    assert motion.parents.tolist() == [-1, 0, 0, 0, 0, 4, 5, 6, 0]
    assert motion.frames.shape == (2, 30) and motion.frame_time == 0.04
    assert motion.channels[0][0] == "Xposition" and motion.channels[1] == (
        "Zrotation",
        "Xrotation",
        "Yrotation",
    )
    np.testing.assert_array_equal(motion.rest_positions()[7], [1, -2, 2])


def test_bvh_rotations_multiply_in_the_order_of_the_channels(tmp_path):
    motion = read_bvh(
        write(tmp_path / "a.bvh", bvh_text(frames=(frame(root=(10, 20, 30), head=(40, 50, 60)),)))
    )
    world = motion.world_rotations()[0]
    root = Rotation.from_euler("XYZ", [10, 20, 30], degrees=True).as_matrix()
    np.testing.assert_allclose(world[0], root, atol=1e-12)
    np.testing.assert_allclose(
        world[1], root @ Rotation.from_euler("ZXY", [40, 50, 60], degrees=True).as_matrix(), atol=1e-12
    )


@pytest.mark.parametrize("up", ["y", "z"])
def test_bvh_axes_are_told_apart_by_the_head(tmp_path, body, up):
    # The left arm goes up: about the axis that points forward in either convention.
    angles = (45, 0, 0) if up == "y" else (0, 0, -45)
    motion = read_bvh(write(tmp_path / "a.bvh", bvh_text(up, (frame(upperarm01_L=angles),))))
    rotations = bvh_poses(motion, body)
    assert rotations.shape == (1, 104, 3, 3) and rotations.dtype == np.float32
    rest, posed = (body.pose(MIDDLE, r) for r in (np.tile(np.eye(3), (104, 1, 1)), rotations[0]))
    wrist, shoulder = body.joint_index("wrist.L"), body.joint_index("upperarm01.L")
    expected = Rotation.from_euler("y", -45, degrees=True).apply(rest.joints[wrist] - rest.joints[shoulder])
    np.testing.assert_allclose(posed.joints[wrist] - posed.joints[shoulder], expected, atol=1e-5)
    assert posed.joints[wrist][2] > rest.joints[wrist][2] + 0.2


def test_bvh_joints_that_the_body_lacks_hand_their_rotation_on(tmp_path, body):
    motion = read_bvh(
        write(tmp_path / "a.bvh", bvh_text(frames=(frame(metatarsal1_L=(0, 20, 0), toe1__1_L=(0, 15, 0)),)))
    )
    rotations = bvh_poses(motion, body)[0]
    np.testing.assert_allclose(rotations[body.joint_index("foot.L")], np.eye(3), atol=1e-6)
    expected = Rotation.from_euler("x", 35, degrees=True).as_matrix()
    np.testing.assert_allclose(rotations[body.joint_index("toe1-1.L")], expected, atol=1e-6)
    np.testing.assert_allclose(rotations[body.joint_index("spine03")], np.eye(3), atol=1e-6)


def test_bvh_root_loses_its_turn_about_the_vertical(tmp_path, body):
    frames = (frame(root=(0, 70, 0)), frame(root=(25, 0, 0)))
    rotations = bvh_poses(read_bvh(write(tmp_path / "a.bvh", bvh_text(frames=frames))), body)
    np.testing.assert_allclose(rotations[0, 0], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(
        rotations[1, 0], Rotation.from_euler("x", 25, degrees=True).as_matrix(), atol=1e-6
    )


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.replace("HIERARCHY", "HIER"), r"a.bvh:1: expected 'HIERARCHY', got 'HIER'"),
        (lambda t: t.replace("OFFSET 0 5 0", "OFFSET 0 five 0"), r"a.bvh:8: OFFSET: .*'five'"),
        (lambda t: t.replace("CHANNELS 6", "CHANNELS 5"), r"a.bvh:5: CHANNELS says '5' and names 6"),
        (
            lambda t: t.replace("Xrotation Yrotation\n", "Xrotation Wrotation\n", 1),
            r"a.bvh:9: unknown channel 'Wrotation'",
        ),
        (
            lambda t: t.replace("Frames: 1", "Frames: 3"),
            r"a.bvh:\d+: the file announces 3 frames and holds 1",
        ),
        (
            lambda t: t.replace("0.1 0.2", "0.1 nan"),
            r"a.bvh:\d+: channel values holds a value that is not finite",
        ),
        (lambda t: t.replace("0.1 0.2", "0.1"), r"a.bvh:\d+: channel values must be 30 numbers, got 29"),
        (lambda t: t[:200], r"a.bvh:\d+: "),
        (lambda t: "", r"a.bvh: the file is empty"),
        (lambda t: "\0\1", r"a.bvh: not a text file"),
    ],
)
def test_wrong_bvh_files_are_named_with_their_line(tmp_path, change, message):
    path = write(tmp_path / "a.bvh", change(bvh_text(frames=(frame(),))))
    with pytest.raises(ValueError, match=message):
        read_bvh(path)


def test_other_rigs_are_refused(tmp_path, body):
    motion = read_bvh(write(tmp_path / "a.bvh", bvh_text(frames=(frame(),)).replace("upperleg01", "UpLeg")))
    with pytest.raises(ValueError, match="no joint upperleg01.L, upperleg01.R: not MakeHuman's rig"):
        bvh_poses(motion, body)


def asf_bone(name, direction, axis=(0, 0, 0), dof="rx ry rz"):
    dof = f"dof {dof}\n" if dof else ""
    return (
        f"begin\nid 1\nname {name}\ndirection {' '.join(map(str, direction))}\nlength 2\n"
        f"axis {' '.join(map(str, axis))} XYZ\n{dof}end\n"
    )


def asf_text(angle="deg"):
    bones = [
        asf_bone(name, (0, 1, 0))
        for name in ("lowerback", "upperback", "thorax", "lowerneck", "upperneck", "head")
    ]
    hierarchy = [
        "root lowerback lfemur rfemur",
        "lowerback upperback",
        "upperback thorax",
        "thorax lowerneck lclavicle rclavicle",
        "lowerneck upperneck",
        "upperneck head",
    ]
    for s, sign in (("l", 1), ("r", -1)):
        bones += [
            asf_bone(f"{s}femur", (0.34 * sign, -0.94, 0), (0, 0, 20 * sign)),
            asf_bone(f"{s}tibia", (0.34 * sign, -0.94, 0), (0, 0, 20 * sign), "rx"),
            asf_bone(f"{s}foot", (0, -0.2, 1), (-90, 0, 20 * sign), "rx rz"),
            asf_bone(f"{s}clavicle", (sign, 0.1, 0), dof=""),
            asf_bone(f"{s}humerus", (sign, 0, 0)),
            asf_bone(f"{s}radius", (sign, 0, 0), dof="rx"),
            asf_bone(f"{s}hand", (sign, 0, 0), dof="rx rz"),
        ]
        hierarchy += [
            f"{s}femur {s}tibia",
            f"{s}tibia {s}foot",
            f"{s}clavicle {s}humerus",
            f"{s}humerus {s}radius",
            f"{s}radius {s}hand",
        ]
    rows = "\n".join(hierarchy)
    return (
        f"# a comment\n:version 1.10\n:units\nmass 1.0\nangle {angle}\n"
        ":root\norder TX TY TZ RX RY RZ\naxis XYZ\n"
        f"position 0 0 0\norientation 0 0 0\n:bonedata\n{''.join(bones)}:hierarchy\nbegin\n{rows}\nend\n"
    )


def amc_text(*frames):
    rows = []
    for number, values in enumerate(frames, 1):
        values = {"root": (0,) * 6, **values}
        rows += [str(number)] + [f"{name} {' '.join(map(str, row))}" for name, row in values.items()]
    return "#!OML\n:FULLY-SPECIFIED\n:DEGREES\n" + "\n".join(rows) + "\n"


@pytest.fixture
def skeleton(tmp_path):
    return read_asf(write(tmp_path / "07.asf", asf_text()))


def test_asf_structure(skeleton):
    assert skeleton.degrees and list(skeleton.bones)[0] == "root"
    assert skeleton.bones["ltibia"].parent == "lfemur" and skeleton.bones["ltibia"].freedoms == ("rx",)
    assert skeleton.bones["root"].freedoms == ("tx", "ty", "tz", "rx", "ry", "rz")
    expected = Rotation.from_euler("xyz", [-90, 0, 20], degrees=True).as_matrix()
    np.testing.assert_allclose(skeleton.bones["lfoot"].axes, expected, atol=1e-12)


def test_amc_rotations_follow_the_acclaim_definition(tmp_path, skeleton):
    text = amc_text({"root": (1, 2, 3, 10, 20, 30), "lfemur": (-40, 5, 6), "ltibia": (50,)})
    world = amc_world_rotations(skeleton, read_amc(write(tmp_path / "07_01.amc", text), skeleton))
    root = Rotation.from_euler("xyz", [10, 20, 30], degrees=True)
    axes = Rotation.from_euler("xyz", [0, 0, 20], degrees=True)
    femur = root * axes * Rotation.from_euler("xyz", [-40, 5, 6], degrees=True) * axes.inv()
    tibia = femur * axes * Rotation.from_euler("x", 50, degrees=True) * axes.inv()
    np.testing.assert_allclose(world["lfemur"][0], femur.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(world["ltibia"][0], tibia.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(world["head"][0], root.as_matrix(), atol=1e-12)


def test_radians_equal_degrees(tmp_path, skeleton):
    other = read_asf(
        write(
            tmp_path / "08.asf",
            asf_text("rad")
            .replace("20 XYZ", f"{np.radians(20)} XYZ")
            .replace("-90 0", f"{np.radians(-90)} 0"),
        )
    )
    one, two = {"lfemur": (-40, 5, 6)}, {"lfemur": tuple(np.radians([-40, 5, 6]))}
    first = amc_world_rotations(skeleton, read_amc(write(tmp_path / "a.amc", amc_text(one)), skeleton))
    second = amc_world_rotations(other, read_amc(write(tmp_path / "b.amc", amc_text(two)), other))
    np.testing.assert_allclose(first["lfemur"], second["lfemur"], atol=1e-9)


def test_limbs_take_the_directions_of_the_bones(tmp_path, body, skeleton):
    text = amc_text({"lfemur": (-60, 5, 10), "ltibia": (70,), "rhumerus": (10, 20, -30), "rradius": (40,)})
    motion = read_amc(write(tmp_path / "07_01.amc", text), skeleton)
    rotations = amc_poses(skeleton, motion, body)
    joints = body.pose(MIDDLE, rotations[0]).joints
    world = amc_world_rotations(skeleton, motion)
    for start, end, bone in (
        ("upperleg01.L", "lowerleg01.L", "lfemur"),
        ("lowerleg01.L", "foot.L", "ltibia"),
        ("upperarm01.R", "lowerarm01.R", "rhumerus"),
        ("lowerarm01.R", "wrist.R", "rradius"),
    ):
        limb = joints[body.joint_index(end)] - joints[body.joint_index(start)]
        expected = Z_UP_FROM_Y_UP @ world[bone][0] @ skeleton.bones[bone].direction
        cosine = limb @ expected / np.linalg.norm(limb) / np.linalg.norm(expected)
        assert np.degrees(np.arccos(min(cosine, 1))) < 0.5, bone


def test_amc_root_loses_its_turn_about_the_vertical(tmp_path, body, skeleton):
    motion = read_amc(write(tmp_path / "a.amc", amc_text({"root": (0, 0, 0, 0, 130, 0)}, {})), skeleton)
    rotations = amc_poses(skeleton, motion, body)
    np.testing.assert_allclose(rotations[0], rotations[1], atol=1e-6)
    np.testing.assert_allclose(rotations[0, 0], np.eye(3), atol=1e-6)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.replace(":hierarchy", ":tree"), "07.asf: no section ':hierarchy'"),
        (
            lambda t: t.replace("direction 0 1 0", "direction 0 1", 1),
            r"07.asf:\d+: direction of bone 'lowerback' must be 3",
        ),
        (lambda t: t.replace("0 0 20 XYZ", "0 0 20 XYY", 1), r"07.asf:\d+: axis order .*'XYY'"),
        (lambda t: t.replace("root lowerback", "root tail"), r"07.asf:\d+: unknown bone 'tail'"),
    ],
)
def test_wrong_asf_files_are_named_with_their_line(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        read_asf(write(tmp_path / "07.asf", change(asf_text())))


@pytest.mark.parametrize(
    "text, message",
    [
        (amc_text({"tail": (1,)}), r"a.amc:6: bone 'tail' is not in the skeleton 07.asf"),
        (amc_text({"ltibia": (1, 2)}), r"a.amc:6: values of bone 'ltibia' must be 1 numbers, got 2"),
        (amc_text({"ltibia": ("x",)}), r"a.amc:6: values of bone 'ltibia': .*'x'"),
        ("root 0 0 0 0 0 0\n", r"a.amc:1: values before the first frame number"),
        (amc_text({"ltibia": (1,)}, {}), r"a.amc: 2 frames, but bone 'ltibia' has fewer"),
        (amc_text({}, {"ltibia": (1,)}), r"a.amc:\d+: bone 'ltibia' has 1 rows of values up to frame 2"),
        ("# nothing\n", r"a.amc: the file is empty"),
    ],
)
def test_wrong_amc_files_are_named_with_their_line(tmp_path, skeleton, text, message):
    with pytest.raises(ValueError, match=message):
        read_amc(write(tmp_path / "a.amc", text), skeleton)


def test_foreign_skeletons_are_refused(tmp_path, body):
    skeleton = read_asf(write(tmp_path / "07.asf", asf_text().replace("humerus", "arm")))
    motion = read_amc(write(tmp_path / "a.amc", amc_text({})), skeleton)
    with pytest.raises(ValueError, match="no bone lhumerus, rhumerus: not the skeleton of the CMU database"):
        amc_poses(skeleton, motion, body)


def test_load_poses_reads_a_folder_and_lists_what_it_leaves_out(tmp_path, body, caplog):
    (tmp_path / "deep").mkdir()
    write(tmp_path / "a.bvh", bvh_text(frames=(frame(),) * 3))
    write(tmp_path / "b.bvh", "HIER")
    write(tmp_path / "deep" / "07.asf", asf_text())
    write(tmp_path / "deep" / "07_01.amc", amc_text({"ltibia": (0,)}, {"ltibia": (30,)}))
    write(tmp_path / "deep" / "07_02.amc", amc_text({"tail": (1,)}))
    write(tmp_path / "notes.txt", "no motion")
    with caplog.at_level(logging.WARNING):
        poses = load_poses(tmp_path, body)
    assert poses.shape == (5, 104, 3, 3) and poses.dtype == np.float32
    assert "2 of 4 motion files left out" in caplog.text
    assert "b.bvh:1" in caplog.text and "07_02.amc:6" in caplog.text
    np.testing.assert_allclose(np.linalg.det(poses), 1, atol=1e-5)
    assert load_poses(tmp_path, body, frame_step=2).shape == (3, 104, 3, 3)
    some = load_poses(tmp_path, body, files=[tmp_path / "deep" / "07_01.amc"])
    np.testing.assert_array_equal(some, poses[3:])
    with pytest.raises(ValueError, match=f"none of 1 motion files can be used:\n  {tmp_path}/b.bvh:1"):
        load_poses(tmp_path, body, files=[str(tmp_path / "b.bvh")])
    with pytest.raises(FileNotFoundError, match="c.bvh: no motion file of the folder"):
        load_poses(tmp_path, body, files=[tmp_path / "a.bvh", "c.bvh"])


def test_load_poses_says_why_there_are_none(tmp_path, body):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        load_poses(tmp_path / "nowhere", body)
    with pytest.raises(FileNotFoundError, match="no .bvh or .amc file"):
        load_poses(tmp_path, body)
    with pytest.raises(ValueError, match="frame_step must be at least 1, got 0"):
        load_poses(tmp_path, body, frame_step=0)
    write(tmp_path / "01_01.amc", amc_text({}))
    with pytest.raises(
        ValueError, match="none of 1 motion files.*\n.*01_01.amc: no skeleton; put 01.asf beside it"
    ):
        load_poses(tmp_path, body)
