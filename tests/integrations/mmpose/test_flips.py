"""A flip is its own inverse on every label, and a flipped sample costs what the original costs."""
import numpy as np
import pytest
import torch

import meshpose_plugins.integrations.mmpose  # noqa: F401  before mmpose
from meshpose_plugins.data.affine import carry_camera_vertices, carry_points, carry_vertices
from meshpose_plugins.data.records import SurfacePoints
from meshpose_plugins.data.rle import decode_mask, encode_mask
from meshpose_plugins.integrations.mmpose import (MeshPoseTransform, PackMeshPoseInputs,
                                                  targets_of_data_samples)
from meshpose_plugins.integrations.mmpose.transforms import flip_matrix
from meshpose_plugins.losses import (BarycentricLoss, EdgeLengthLoss, FaceNormalLoss, JointLoss,
                                     SilhouetteLoss, UVConsistencyLoss, VertexHeatmapLoss, VertexLoss,
                                     VisibilityLoss)
from meshpose_plugins.modeling import MeshPoseOutput, VisibilityFusion, soft_argmax_2d
from meshpose_plugins.rendering import rasterize
from meshpose_plugins.rendering.benchmark import fit_to_picture
from meshpose_plugins.templates import load_template
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.datasets.transforms import GetBBoxCenterScale, RandomFlip, TopdownAffine

WIDTH, HEIGHT, STRIDE = 160, 200, 4
INPUT_SIZE = (96, 128)
TEMPLATE = load_template("anny")
SYMMETRY = torch.tensor(np.array(TEMPLATE.symmetry))
FLIP_INDICES = parse_pose_metainfo(dict(from_file="configs/_base_/datasets/coco.py"))["flip_indices"]
LOSSES = {
    "barycentric": BarycentricLoss(), "uv": UVConsistencyLoss(), "visibility": VisibilityLoss(),
    "fused": VertexLoss(), "regressed": VertexLoss(which="regressed"),
    "vertexpose": VertexLoss(which="vertexpose"), "fused_height": VertexLoss(unit="height"),
    "edges": EdgeLengthLoss(template="anny"),
    "heatmap": VertexHeatmapLoss(), "normals": FaceNormalLoss(template="anny"),
    "keypoints": JointLoss("keypoints", template="anny"), "joints": JointLoss("joints", template="anny"),
    "keypoints_vertexpose": JointLoss("keypoints", template="anny", which="vertexpose"),
    "mesh_joints": JointLoss("mesh", template="anny"), "silhouette": SilhouetteLoss(template="anny"),
    "silhouette_sharp": SilhouetteLoss(template="anny", which="regressed", softness=0)}
JOINTS = LOSSES["joints"]


def make_person():
    """The rest pose, narrow and turned a little, whose legs the box cuts off; another person beside it."""
    rng = np.random.default_rng(0)
    body = TEMPLATE.vertices * [0.5, 1, 1]
    body = np.column_stack([body[:, 0] + 0.3 * body[:, 1], body[:, 1] - 0.3 * body[:, 0], body[:, 2]])
    vertices = (fit_to_picture(body, HEIGHT, WIDTH) + [7, 0, 0]).astype(np.float32)
    faces = TEMPLATE.faces[rng.integers(0, len(TEMPLATE.faces), 60)]
    barycentrics = rng.dirichlet(np.ones(3), 60)
    person = rasterize(vertices, TEMPLATE.faces, HEIGHT, WIDTH).face_ids >= 0
    other = np.zeros_like(person)
    other[40:120, 84:98] = True
    keypoints = TEMPLATE.keypoints(vertices)[:, :2] + rng.normal(0, 2, (17, 2))
    visible = np.ones(17, np.float32)
    visible[[3, 10]] = 0
    return dict(
        img=rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), img_shape=(HEIGHT, WIDTH),
        ori_shape=(HEIGHT, WIDTH), bbox=np.array([[50, 10, 110, 130]], np.float32),
        bbox_score=np.ones(1, np.float32), id=5, img_id=3, img_path="person.jpg",
        keypoints=keypoints[None].astype(np.float32), keypoints_visible=visible[None],
        surface_points=SurfacePoints(
            np.einsum("pk,pkc->pc", barycentrics, vertices[faces])[:, :2], faces, barycentrics),
        vertices_image=vertices[None], vertices_camera=vertices[None] / 100,
        vertex_visibility=rng.integers(0, 2, (1, len(vertices))).astype(np.uint8),
        segmentation=encode_mask(person), other_people=[encode_mask(other)], flip_indices=FLIP_INDICES)


def mirrored_person(person):
    """The same person as another annotator would see it in the mirror."""
    flip = flip_matrix("horizontal", WIDTH, HEIGHT)
    drawn = [decode_mask(mask) for mask in (person["segmentation"], *person["other_people"])]
    keypoints = person["keypoints"][:, FLIP_INDICES].copy()
    keypoints[..., 0] = WIDTH - 1 - keypoints[..., 0]
    left, top, right, bottom = person["bbox"][0]
    symmetry = TEMPLATE.symmetry
    return dict(
        person, img=person["img"][:, ::-1].copy(), keypoints=keypoints,
        bbox=np.array([[WIDTH - 1 - right, top, WIDTH - 1 - left, bottom]], np.float32),
        keypoints_visible=person["keypoints_visible"][:, FLIP_INDICES],
        surface_points=carry_points(person["surface_points"], flip, symmetry),
        vertices_image=carry_vertices(person["vertices_image"], flip, symmetry),
        vertices_camera=carry_camera_vertices(person["vertices_camera"], flip, symmetry),
        vertex_visibility=person["vertex_visibility"][:, symmetry],
        segmentation=encode_mask(drawn[0][:, ::-1]), other_people=[encode_mask(drawn[1][:, ::-1])])


def packed(person, flip):
    np.random.seed(0)
    for step in (GetBBoxCenterScale(padding=1.25), RandomFlip(prob=float(flip)), TopdownAffine(INPUT_SIZE),
                 MeshPoseTransform(with_mask=True), PackMeshPoseInputs()):
        person = step(person)
    return person


def test_a_flip_of_the_mirrored_person_gives_every_label_of_the_original():
    original, twice = packed(make_person(), False), packed(mirrored_person(make_person()), True)
    once = packed(make_person(), True)
    have, want = (sample["data_samples"].gt_instance_labels for sample in (twice, original))
    other = once["data_samples"].gt_instance_labels
    assert set(have.keys()) == set(want.keys()) >= {
        "points_xy", "point_vertex_ids", "vertices_crop", "vertices_camera", "vertex_visibility",
        "keypoints_crop", "keypoints_valid", "person_mask", "ignore_mask"}
    for name in want.keys():
        tolerance = 0.05 if "mask" in name else 2e-3  # OpenCV warps masks with 5 bits of a pixel
        np.testing.assert_allclose(have[name], want[name], atol=tolerance, err_msg=name)
        if name.endswith("_valid"):
            continue
        assert not np.allclose(other[name], want[name]) or name == "point_barycentrics", name
    difference = twice["inputs"].float() - original["inputs"].float()
    assert difference.abs().max() <= 1
    assert want["ignore_mask"].max() == 1 and 0 < want["person_mask"].mean() < 0.5


def test_charts_flipped_twice_are_the_same():
    rng = np.random.default_rng(0)
    faces = np.concatenate([rng.choice(np.flatnonzero(TEMPLATE.surface.face_parts == part), 4)
                            for part in range(1, 25)])
    i, u, v = TEMPLATE.surface.iuv(faces, rng.dirichlet(np.ones(3), len(faces)))
    once = TEMPLATE.flip_iuv(i, u, v)
    assert (once[0] != i).sum() > 40
    for have, want in zip(TEMPLATE.flip_iuv(*once), (i, u, v)):
        np.testing.assert_allclose(have, want, atol=1e-6)


def predictions(truth):
    """Random heatmaps, and meshes near the true one; column 0, which has no partner, is left empty."""
    generator = torch.Generator().manual_seed(0)
    count = TEMPLATE.num_vertices
    heatmaps = torch.randn(1, count, INPUT_SIZE[1] // STRIDE, INPUT_SIZE[0] // STRIDE, dtype=torch.float64,
                           generator=generator)
    heatmaps[..., 0] = -1e4
    regressed = truth + torch.randn(1, count, 3, dtype=torch.float64, generator=generator)
    logits = torch.randn(1, count, dtype=torch.float64, generator=generator) - 3  # mostly the regressed mesh
    return heatmaps, regressed, logits


def output_of(heatmaps, regressed, logits):
    xy = soft_argmax_2d(heatmaps)
    fused = VisibilityFusion()(STRIDE * xy, regressed, logits)
    return MeshPoseOutput(heatmaps, xy, regressed, logits, fused, stride=STRIDE)


@pytest.fixture(scope="module")
def both():
    """(output, targets) of a sample, and those of its flip: MMPose mirrors crops at x = W / 2."""
    targets = []
    for flip in (False, True):
        sample = packed(make_person(), flip)["data_samples"]
        labels = sample.gt_instance_labels
        joints = JOINTS.regress(torch.tensor(labels.vertices_crop)).numpy() + [0, 2, 1]
        labels.set_field(joints.astype(np.float32), "joints_crop")
        labels.set_field(np.ones(joints.shape[:2], bool), "joints_valid")
        targets.append(targets_of_data_samples([sample], TEMPLATE.num_vertices, INPUT_SIZE).to(torch.float64))
    heatmaps, regressed, logits = predictions(targets[0].vertices)
    mirrored = heatmaps.clone()
    mirrored[..., 1:] = heatmaps[..., 1:].flip(-1)
    flipped = (mirrored[:, SYMMETRY], TEMPLATE.mirror(regressed, INPUT_SIZE[0] + 1), logits[:, SYMMETRY])
    return (output_of(heatmaps, regressed, logits), targets[0]), (output_of(*flipped), targets[1])


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_flipped_sample_costs_the_same_on_mirrored_predictions(loss, both):
    original, flipped = both
    value = loss.from_output(*original).item()
    assert value > 0.01
    # Masks are warped with 5 bits of a pixel, and coordinates are float32.
    tolerance = 1e-2 if isinstance(loss, SilhouetteLoss) else 1e-4
    assert loss.from_output(*flipped).item() == pytest.approx(value, rel=tolerance)
    wrong = loss.from_output(original[0], flipped[1]).item()
    # Lengths alone do not tell a nearly symmetric body from its mirror image.
    assert loss is LOSSES["edges"] or wrong != pytest.approx(value, rel=tolerance)
