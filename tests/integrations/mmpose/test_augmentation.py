"""Truncation to regions of the body, and occlusion, with the labels that follow."""
import cv2
import numpy as np
import pytest

import meshpose_plugins.integrations.mmpose  # noqa: F401  before mmpose
from meshpose_plugins.data.records import SurfacePoints
from meshpose_plugins.data.rle import encode_mask
from meshpose_plugins.integrations.mmpose import MeshPoseTransform, RandomOcclusion, RandomTruncation
from meshpose_plugins.rendering import rasterize
from meshpose_plugins.rendering.benchmark import fit_to_picture
from meshpose_plugins.templates import load_template
from mmpose.datasets.transforms import GetBBoxCenterScale, RandomFlip, TopdownAffine

WIDTH, HEIGHT, INPUT_SIZE = 160, 200, (96, 128)
TEMPLATE = load_template("anny")
VERTICES = fit_to_picture(TEMPLATE.vertices, HEIGHT, WIDTH).astype(np.float32)
KEYPOINTS = TEMPLATE.keypoints(VERTICES)[:, :2]
PERSON = rasterize(VERTICES, TEMPLATE.faces, HEIGHT, WIDTH).face_ids >= 0


def make_person(keypoints=True, mesh=True, masks=True):
    rng = np.random.default_rng(1)
    faces = TEMPLATE.faces[rng.integers(0, len(TEMPLATE.faces), 80)]
    barycentrics = rng.dirichlet(np.ones(3), 80)
    points = np.einsum("pk,pkc->pc", barycentrics, VERTICES[faces])[:, :2]
    rows, columns = np.nonzero(PERSON)
    return dict(
        img=np.full((HEIGHT, WIDTH, 3), 90, np.uint8), img_shape=(HEIGHT, WIDTH), id=5, img_path="person.jpg",
        bbox=np.array([[columns.min(), rows.min(), columns.max(), rows.max()]], np.float32),
        bbox_score=np.ones(1, np.float32),
        keypoints=KEYPOINTS[None].astype(np.float32),
        keypoints_visible=np.full((1, 17), float(keypoints), np.float32), flip_indices=list(range(17)),
        surface_points=SurfacePoints(points, faces, barycentrics),
        vertices_image=VERTICES[None] if mesh else None, vertices_camera=VERTICES[None] if mesh else None,
        vertex_visibility=np.ones((1, len(VERTICES)), np.uint8) if mesh else None,
        segmentation=encode_mask(PERSON) if masks else None)


def run(results, *steps):
    for step in steps:
        results = step(results)
    return results


def crop(person, seed=0, **arguments):
    np.random.seed(seed)
    return run(person, GetBBoxCenterScale(padding=1.1), RandomTruncation(prob=1, **arguments),
               TopdownAffine(INPUT_SIZE), MeshPoseTransform(with_mask=True))


def inside(results):
    """Which keypoints of the body lie in the crop."""
    scale = np.array(INPUT_SIZE) / results["bbox_scale"][0]
    xy = (KEYPOINTS - results["bbox_center"][0]) * scale + np.array(INPUT_SIZE) / 2
    return ((xy > 0) & (xy < INPUT_SIZE)).all(1)


@pytest.mark.parametrize("labels", [dict(), dict(keypoints=False), dict(mesh=False),
                                    dict(keypoints=False, mesh=False)], ids=str)
@pytest.mark.parametrize("mode, shown, hidden", [
    ("head_shoulders", range(7), range(11, 17)), ("half_body", (*range(7), 11, 12), (15, 16))])
def test_regions_of_the_body_fill_the_crop(labels, mode, shown, hidden):
    for seed in range(5):
        results = crop(make_person(**labels), seed, mode_weights={mode: 1.0})
        seen = inside(results)
        assert seen[list(shown)].all() and not seen[list(hidden)].any(), (seed, seen)


def test_a_flip_before_the_truncation_is_followed():
    person = make_person(keypoints=False)
    person["vertices_image"] = person["vertices_image"] - np.array([30, 0, 0], np.float32)  # towards the left
    person["bbox"] = person["bbox"] - np.array([30, 0, 30, 0], np.float32)
    np.random.seed(0)
    results = run(person, GetBBoxCenterScale(), RandomFlip(prob=1.0),
                  RandomTruncation(prob=1, mode_weights=dict(head_shoulders=1)))
    middle = KEYPOINTS[[5, 6], 0].mean() - 30
    assert results["bbox_center"][0, 0] == pytest.approx(WIDTH - 1 - middle, abs=1)


def test_a_body_seen_end_on_is_not_shown_closer_than_a_quarter():
    person = make_person()
    person["keypoints"] = person["keypoints"].mean(1, keepdims=True) + 0.02 * person["keypoints"]
    results = run(person, GetBBoxCenterScale(), RandomTruncation(prob=1, mode_weights=dict(head_shoulders=1)))
    whole = run(make_person(), GetBBoxCenterScale())["bbox_scale"]
    assert results["bbox_scale"].max() == pytest.approx(0.25 * whole.max())


def test_modes_are_drawn_by_their_weights():
    truncate = RandomTruncation(prob=1, mode_weights=dict(side=1, half_body=1, head_shoulders=2),
                                keep=(0.5, 0.5), padding=(2.5, 2.5))
    np.random.seed(0)
    sizes = [run(make_person(), GetBBoxCenterScale(), truncate)["bbox_scale"][0, 1] for _ in range(80)]
    extents = [np.ptp(KEYPOINTS[:count], axis=0) for count in (7, 13)]
    head, half = (2.5 * max(extent[1], 0.6 * extent.max()) for extent in extents)
    counts = [np.isclose(sizes, size).sum() for size in (head, half)]
    assert 28 < counts[0] < 52 and 10 < counts[1] < 32 and 10 < 80 - sum(counts) < 32
    for arguments in (dict(mode_weights=dict(feet=1)), dict(mode_weights=dict(side=0)),
                      dict(mode_weights={}), dict(padding=(2, 1))):
        with pytest.raises(ValueError, match=f"RandomTruncation: {next(iter(arguments))} must be"):
            RandomTruncation(**arguments)


def occluded(occlusion, person=None, seed=0):
    results = run(person or make_person(), GetBBoxCenterScale(padding=1.1), TopdownAffine(INPUT_SIZE),
                  MeshPoseTransform(with_mask=True))
    before = {key: np.copy(results[key]) for key in ("img", "person_mask", "keypoints_crop", "vertices_crop")}
    before.update(points=results["surface_points_crop"], visibility=results["vertex_visibility"])
    np.random.seed(seed)
    return before, occlusion(results)


def under(changed, xy):
    x, y = np.round(xy).astype(int).T
    return changed[y.clip(0, 127), x.clip(0, 95)]


@pytest.mark.parametrize("labels", [dict(), dict(masks=False), dict(masks=False, mesh=False)], ids=str)
def test_what_is_hidden_is_no_longer_seen_but_still_there(labels):
    hidden_points = hidden_vertices = 0
    for seed in range(12):
        before, results = occluded(RandomOcclusion(prob=1), make_person(**labels), seed)
        for key in ("person_mask", "keypoints_crop", "vertices_crop"):
            np.testing.assert_array_equal(results[key], before[key])
        changed = (results["img"] != before["img"]).any(-1)
        sure = cv2.erode(changed.astype(np.uint8), np.ones((5, 5))) > 0  # away from the soft edge
        around = cv2.dilate(changed.astype(np.uint8), np.ones((5, 5))) > 0
        lost = before["points"].valid & ~results["surface_points_crop"].valid
        assert not (under(sure, before["points"].xy) & results["surface_points_crop"].valid).any()
        assert under(around, before["points"].xy)[lost].all()
        faded = (before["visibility"] > results["vertex_visibility"])[0]
        assert under(around, before["vertices_crop"][0, :, :2])[faded].all()
        hidden_points, hidden_vertices = hidden_points + lost.sum(), hidden_vertices + faded.sum()
        person = before["person_mask"][0] > 0.5
        if person.any():
            assert (person & ~around).sum() > 0.25 * person.sum()
    assert hidden_points > 20 and (hidden_vertices > 100 or not labels.get("mesh", True))


def test_patches_come_from_earlier_crops(monkeypatch):
    """Plain fills aside, the second sample's patches show the first one's picture."""
    occlusion = RandomOcclusion(prob=1)
    person = make_person()
    person["img"][:] = (10, 200, 30)
    occluded(occlusion, person)
    found = 0
    for seed in range(12):
        before, results = occluded(occlusion, seed=seed)
        changed = cv2.erode((results["img"] != before["img"]).any(-1).astype(np.uint8), np.ones((5, 5))) > 0
        colors = results["img"][changed].astype(float)
        brightness = colors.sum(1, keepdims=True) / 240
        found += (np.abs(colors - brightness * [10, 200, 30]).max(1) < 6).sum() > 30
    assert found >= 2 and len(occlusion.pictures.photos) == 13


def test_patches_come_from_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        RandomOcclusion(photos=str(tmp_path / "nothing"))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for number in range(20):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((64, 64, 3), (255, 0, 255), np.uint8))
    occlusion = RandomOcclusion(prob=1, photos=str(tmp_path), max_photos=8)
    assert len(occlusion.pictures.photos) == 8
    results = [occluded(occlusion, seed=seed)[1]["img"].astype(int) for seed in range(8)]
    magenta = [(image[..., 0] - image[..., 1] > 120) & (image[..., 2] > 120) for image in results]
    assert sum(pixels.sum() > 30 for pixels in magenta) >= 2
    assert len(occlusion.pictures.photos) == 8


def test_occlusion_is_rare_and_reproducible_as_asked():
    before, results = occluded(RandomOcclusion(prob=0))
    np.testing.assert_array_equal(results["img"], before["img"])
    images = [occluded(RandomOcclusion(prob=1), seed=4)[1]["img"] for _ in range(2)]
    np.testing.assert_array_equal(*images)
    for arguments, message in ((dict(prob=-1), "prob must be in"),
                               (dict(max_photos=0), "max_photos must be")):
        with pytest.raises(ValueError, match=f"RandomOcclusion: {message}"):
            RandomOcclusion(**arguments)
    with pytest.raises(ValueError, match="put dict\\(type='RandomOcclusion'\\) after"):
        RandomOcclusion()(make_person())


def test_outside_the_image_and_other_people_are_ignored():
    person = make_person()
    other = np.zeros((HEIGHT, WIDTH), np.uint8)
    other[100:160, 20:60] = 1
    person.update(other_people=[encode_mask(other)], ignore_regions=[[0, 0, 9, 0, 9, 9, 0, 9]])
    person["bbox"] = np.array([[-40, -40, 159, 199]], np.float32)
    results = run(person, GetBBoxCenterScale(padding=1), TopdownAffine(INPUT_SIZE),
                  MeshPoseTransform(with_mask=True))
    ignored, mask = results["ignore_mask"][0], results["person_mask"][0]
    scale = INPUT_SIZE[0] / results["bbox_scale"][0, 0]
    corner = (np.array([0, 0]) - results["bbox_center"][0]) * scale + np.array(INPUT_SIZE) / 2
    x, y = corner.round().astype(int)
    assert (ignored[: y - 1] == 1).all() and (ignored[:, : x - 1] == 1).all()
    assert ignored[y + 2, x + 2] == 1, "the ignored region"
    assert ignored[int(corner[1] + 130 * scale), int(corner[0] + 25 * scale)] == 1, "the other person"
    assert (ignored[mask > 0.99] < 0.01).all(), "where masks overlap the person comes first"
    assert 0.2 < (ignored == 0).mean() < 0.8


def test_part_masks_stand_in_for_the_segmentation():
    person = make_person(masks=False)
    left, top, right, bottom = person["bbox"][0]
    grid = cv2.resize(PERSON[int(top):int(bottom), int(left):int(right)].astype(np.uint8), (256, 256))
    person.update(dp_masks=[[]] * 13 + [encode_mask(grid)],
                  raw_ann_info=dict(bbox=[left, top, right - left, bottom - top]))
    steps = GetBBoxCenterScale(), TopdownAffine(INPUT_SIZE), MeshPoseTransform(with_mask=True)
    have, want = (run(sample, *steps) for sample in (person, make_person()))
    assert have["person_mask_valid"].all()
    assert np.abs(have["person_mask"] - want["person_mask"]).mean() < 0.01
