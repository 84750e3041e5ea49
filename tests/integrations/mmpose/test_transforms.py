"""Labels carried through MMPose's stock transforms must stay on the image content they were annotated on."""

import numpy as np
import pytest

pytest.importorskip('mmpose')

import meshpose_plugins.integrations.mmpose  # noqa: E402,F401
from meshpose_plugins.data.affine import (  # noqa: E402
    carry_camera_vertices,
    carry_points,
    carry_vertices,
    crop_to_image,
)
from meshpose_plugins.data.records import SurfacePoints  # noqa: E402
from meshpose_plugins.data.rle import encode_mask  # noqa: E402
from meshpose_plugins.evaluation import mpvpe  # noqa: E402
from meshpose_plugins.integrations.mmpose.augmentation import RandomTruncation  # noqa: E402
from meshpose_plugins.integrations.mmpose.formatting import PackMeshPoseInputs  # noqa: E402
from meshpose_plugins.integrations.mmpose.transforms import (  # noqa: E402
    MeshPoseTransform,
    flip_matrix,
)
from meshpose_plugins.templates import load_template  # noqa: E402
from mmpose.datasets.datasets.utils import parse_pose_metainfo  # noqa: E402
from mmpose.datasets.transforms import (
    GetBBoxCenterScale,
    RandomBBoxTransform,
    RandomFlip,
    RandomHalfBody,  # noqa: E402
    TopdownAffine,
)

WIDTH, HEIGHT = 160, 200
INPUT_SIZE = (96, 128)
TEMPLATE = load_template('anny')
METAINFO = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))


def make_results(seed=0, points=60):
    """A person with a mesh that is an orthographic view of its metric vertices, keypoints and points."""
    rng = np.random.default_rng(seed)
    camera = rng.uniform(-0.5, 0.5, (1, TEMPLATE.num_vertices, 3)).astype(np.float32)
    image = 110 * camera + np.array([70, 100, 0], np.float32)
    faces = TEMPLATE.faces[rng.integers(0, len(TEMPLATE.faces), points)]
    barycentrics = rng.dirichlet(np.ones(3), points)
    return dict(
        img=np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        img_shape=(HEIGHT, WIDTH),
        ori_shape=(HEIGHT, WIDTH),
        bbox=np.array([[20, 30, 120, 190]], np.float32),
        bbox_score=np.ones(1, np.float32),
        id=5,
        img_id=3,
        img_path='person.jpg',
        keypoints=rng.uniform(30, 120, (1, 17, 2)).astype(np.float32),
        keypoints_visible=np.ones((1, 17), np.float32),
        surface_points=SurfacePoints(rng.uniform(30, 120, (points, 2)), faces, barycentrics),
        vertices_image=image,
        vertices_camera=camera,
        vertex_visibility=rng.integers(0, 2, (1, TEMPLATE.num_vertices)).astype(np.uint8),
        flip_indices=METAINFO['flip_indices'],
        upper_body_ids=METAINFO['upper_body_ids'],
        lower_body_ids=METAINFO['lower_body_ids'],
    )


def run(results, *steps):
    for step in steps:
        results = step(results)
    return results


class Rotate:
    """Stands for RandomBBoxTransform with a known angle."""

    def __init__(self, degrees):
        self.degrees = degrees

    def __call__(self, results):
        return dict(results, bbox_rotation=np.array([self.degrees], np.float32))


def draw_dot(xy):
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    dot = 250 * np.exp(-((x - xy[0]) ** 2 + (y - xy[1]) ** 2) / (2 * 1.5**2))
    return np.repeat(dot.round().astype(np.uint8)[..., None], 3, axis=2)


def centroid(image):
    weights = image[..., 0].astype(np.float64)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()


@pytest.mark.parametrize('degrees', [0, 30, -75])
@pytest.mark.parametrize('direction', [None, 'horizontal', 'vertical', 'diagonal'])
@pytest.mark.parametrize('use_udp', [False, True])
def test_labels_stay_on_the_image_content(degrees, direction, use_udp):
    results = make_results(1)
    xy = np.array([63.3, 101.8])
    vertex = 17
    results['img'] = draw_dot(xy)
    results['surface_points'].xy[4] = xy
    results['vertices_image'][0, vertex, :2] = xy
    flip = [RandomFlip(prob=1.0, direction=direction)] if direction else []
    results = run(
        results,
        GetBBoxCenterScale(),
        *flip,
        Rotate(degrees),
        TopdownAffine(INPUT_SIZE, use_udp),
        MeshPoseTransform(use_udp=use_udp),
    )
    expected = centroid(results['img'])
    if direction in ('horizontal', 'vertical'):
        vertex = TEMPLATE.symmetry[vertex]
    np.testing.assert_allclose(results['surface_points_crop'].xy[4], expected, atol=0.1)
    np.testing.assert_allclose(results['vertices_crop'][0, vertex, :2], expected, atol=0.1)


@pytest.mark.parametrize('use_udp', [False, True])
def test_vertices_go_where_stock_transforms_take_keypoints(use_udp):
    """Through every stock augmentation: left-right vertex pairs that lie on the keypoints stay on them."""
    sides = np.flatnonzero(TEMPLATE.symmetry > np.arange(TEMPLATE.num_vertices))
    middle = np.flatnonzero(TEMPLATE.symmetry == np.arange(TEMPLATE.num_vertices))
    vertex_of_keypoint = np.full(17, middle[0])
    vertex_of_keypoint[1::2], vertex_of_keypoint[2::2] = sides[:8], TEMPLATE.symmetry[sides[:8]]
    steps = (
        GetBBoxCenterScale(),
        RandomFlip(prob=0.5),
        RandomHalfBody(prob=0.5),
        RandomTruncation(prob=0.5),
        RandomBBoxTransform(rotate_prob=1.0),
        TopdownAffine(INPUT_SIZE, use_udp),
        MeshPoseTransform(use_udp=use_udp),
    )
    flips = 0
    for seed in range(30):
        np.random.seed(seed)
        results = make_results(seed)
        results['vertices_image'][0, vertex_of_keypoint, :2] = results['keypoints'][0]
        results = run(results, *steps)
        flips += results['flip']
        np.testing.assert_allclose(
            results['vertices_crop'][0, vertex_of_keypoint, :2],
            results['transformed_keypoints'][0],
            atol=2e-3,
        )
        np.testing.assert_allclose(
            results['vertices_image'][0, vertex_of_keypoint, :2], results['keypoints'][0], atol=1e-3
        )
    assert 5 < flips < 25


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_two_flips_are_none(direction):
    results = make_results(2)
    flip = flip_matrix(direction, WIDTH, HEIGHT)
    points, vertices, camera = (
        results['surface_points'],
        results['vertices_image'],
        results['vertices_camera'],
    )
    twice = carry_points(carry_points(points, flip, TEMPLATE.symmetry), flip, TEMPLATE.symmetry)
    np.testing.assert_allclose(twice.xy, points.xy, atol=1e-4)
    np.testing.assert_array_equal(twice.vertex_ids, points.vertex_ids)
    for carry, labels in ((carry_vertices, vertices), (carry_camera_vertices, camera)):
        once = carry(labels, flip, TEMPLATE.symmetry)
        assert np.abs(once - labels).max() > 0.1
        np.testing.assert_allclose(carry(once, flip, TEMPLATE.symmetry), labels, atol=1e-4)


def test_horizontal_flip_equals_the_template_mirror():
    results = make_results(3)
    flip = flip_matrix('horizontal', WIDTH, HEIGHT)
    np.testing.assert_allclose(
        carry_vertices(results['vertices_image'], flip, TEMPLATE.symmetry),
        TEMPLATE.mirror(results['vertices_image'], WIDTH),
        atol=1e-4,
    )
    points = results['surface_points']
    carried = carry_points(points, flip, TEMPLATE.symmetry)
    mirrored = np.stack([WIDTH - 1 - points.xy[:, 0], points.xy[:, 1]], axis=1)
    np.testing.assert_allclose(carried.xy, mirrored, atol=1e-4)
    np.testing.assert_array_equal(carried.vertex_ids, TEMPLATE.symmetry[points.vertex_ids])
    with pytest.raises(ValueError, match="got 'sideways'"):
        flip_matrix('sideways', WIDTH, HEIGHT)


@pytest.mark.parametrize('direction', [None, 'horizontal', 'vertical', 'diagonal'])
def test_metric_mesh_turns_with_the_crop(direction):
    """The crop's mesh stays an orthographic view of the metric mesh: up to scale and place, with no turn."""
    flip = [RandomFlip(prob=1.0, direction=direction)] if direction else []
    results = run(
        make_results(4),
        GetBBoxCenterScale(),
        *flip,
        Rotate(40),
        TopdownAffine(INPUT_SIZE),
        MeshPoseTransform(),
    )
    weights = np.full(TEMPLATE.num_vertices, 1 / TEMPLATE.num_vertices)
    assert mpvpe(results['vertices_crop'], results['vertices_camera'], weights)[0] < 0.01
    scale = INPUT_SIZE[0] / results['bbox_scale'][0, 0]
    original = np.ptp(make_results(4)['vertices_image'][..., 2])
    assert np.ptp(results['vertices_crop'][..., 2]) == pytest.approx(scale * original, rel=1e-4)


def test_points_and_visibility_end_at_the_crop():
    results = make_results(5)
    results['bbox'] = np.array([[50, 60, 90, 110]], np.float32)
    results = run(
        results, GetBBoxCenterScale(), RandomFlip(prob=1.0), TopdownAffine(INPUT_SIZE), MeshPoseTransform()
    )
    points = results['surface_points_crop']
    inside = ((points.xy > -0.5) & (points.xy < np.array(INPUT_SIZE) - 0.5)).all(1)
    assert 0 < inside.sum() < len(points)
    np.testing.assert_array_equal(points.valid, inside)
    vertices = results['vertices_crop'][0]
    inside = ((vertices[:, :2] > -0.5) & (vertices[:, :2] < np.array(INPUT_SIZE) - 0.5)).all(1)
    before = make_results(5)['vertex_visibility'][0, TEMPLATE.symmetry]
    assert 0 < (before * inside).sum() < before.sum()
    np.testing.assert_array_equal(results['vertex_visibility'][0], before * inside)
    assert results['vertices_valid'].all()


@pytest.mark.parametrize('form', ['run-length', 'polygon', 'none'])
def test_person_mask_follows_the_image(form):
    results = make_results(6)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[50:151, 40:91] = 1
    results['img'] = np.repeat(mask[..., None] * 255, 3, axis=2)
    results['segmentation'] = {
        'run-length': encode_mask(mask),
        'polygon': [[40, 50, 90, 50, 90, 150, 40, 150]],
        'none': None,
    }[form]
    results = run(
        results,
        GetBBoxCenterScale(),
        RandomFlip(prob=1.0),
        Rotate(20),
        TopdownAffine(INPUT_SIZE),
        MeshPoseTransform(with_mask=True),
    )
    assert results['person_mask'].shape == (1, 128, 96)
    if form == 'none':
        assert not results['person_mask_valid'].any() and not results['person_mask'].any()
    else:
        # Only the crossing of outlines may differ: the image was flipped before it was resampled.
        difference = np.abs(results['person_mask'][0] - results['img'][..., 0] / 255)
        assert results['person_mask_valid'].all() and difference.mean() < 0.003 and difference.max() < 0.2


def test_missing_labels_become_empty_ones():
    results = make_results(7)
    for key in ('surface_points', 'vertices_image', 'vertices_camera', 'vertex_visibility', 'keypoints'):
        results.pop(key)
    results = run(
        results, GetBBoxCenterScale(), TopdownAffine(INPUT_SIZE), MeshPoseTransform(), PackMeshPoseInputs()
    )
    labels = results['data_samples'].gt_instance_labels
    assert not labels.vertices_valid.any() and not labels.point_valid.any()
    assert labels.vertices_crop.shape == (1, TEMPLATE.num_vertices, 3)


def test_wrong_pipelines_are_explained():
    results = run(make_results(8), GetBBoxCenterScale())
    with pytest.raises(ValueError, match="put dict\\(type='MeshPoseTransform'\\) after"):
        MeshPoseTransform()(results)
    results = TopdownAffine(INPUT_SIZE, use_udp=True)(results)
    with pytest.raises(ValueError, match='give both the same use_udp'):
        MeshPoseTransform()(results)
    with pytest.raises(ValueError, match="put dict\\(type='MeshPoseTransform'\\)"):
        PackMeshPoseInputs()(results)
    results['vertices_image'] = results['vertices_image'][:, :-1]
    with pytest.raises(
        ValueError, match=r"annotation 5 in person.jpg must be \(1, \d+, 3\) for template 'anny'"
    ):
        MeshPoseTransform(use_udp=True)(results)


@pytest.mark.parametrize('side, axis, sign', [(0, 1, 1), (1, 1, -1), (2, 0, -1), (3, 0, 1)])
def test_truncation_cuts_the_named_side(side, axis, sign):
    results = run(make_results(9), GetBBoxCenterScale())
    center, scale = results['bbox_center'].copy(), results['bbox_scale'].copy()
    weights = [float(k == side) for k in range(4)]
    results = RandomTruncation(prob=1.0, keep=(0.6, 0.6), side_weights=weights)(results)
    np.testing.assert_allclose(results['bbox_scale'], 0.6 * scale, rtol=1e-5)
    opposite = results['bbox_center'] - sign * results['bbox_scale'] / 2
    np.testing.assert_allclose(opposite[0, axis], (center - sign * scale / 2)[0, axis], rtol=1e-5)
    np.testing.assert_allclose(results['bbox_center'][0, 1 - axis], center[0, 1 - axis])


def test_truncation_rates_and_arguments():
    cut = 0
    np.random.seed(0)
    truncate = RandomTruncation(prob=0.3)
    for _ in range(300):
        results = run(make_results(0, points=0), GetBBoxCenterScale())
        scale = results['bbox_scale'].copy()
        cut += not np.array_equal(truncate(results)['bbox_scale'], scale)
    assert 60 < cut < 120
    for arguments, message in (
        (dict(prob=2), 'prob'),
        (dict(keep=(0.8, 0.5)), 'keep'),
        (dict(side_weights=(0, 0, 0, 0)), 'side_weights'),
    ):
        with pytest.raises(ValueError, match=f'RandomTruncation: {message} must be'):
            RandomTruncation(**arguments)


def pack(results, **arguments):
    return run(
        results,
        GetBBoxCenterScale(),
        RandomFlip(prob=1.0),
        TopdownAffine(INPUT_SIZE),
        MeshPoseTransform(),
        PackMeshPoseInputs(**arguments),
    )


def test_packed_labels_have_the_shapes_of_the_losses():
    packed = pack(make_results(10))
    sample = packed['data_samples']
    count = TEMPLATE.num_vertices
    assert packed['inputs'].shape == (3, 128, 96)
    labels = {
        name: (tuple(value.shape), str(value.dtype)) for name, value in sample.gt_instance_labels.items()
    }
    assert labels == dict(
        points_xy=((1, 128, 2), 'float32'),
        point_vertex_ids=((1, 128, 3), 'int64'),
        point_barycentrics=((1, 128, 3), 'float32'),
        point_valid=((1, 128), 'bool'),
        vertices_crop=((1, count, 3), 'float32'),
        vertices_valid=((1, count), 'bool'),
        vertices_camera=((1, count, 3), 'float32'),
        vertex_visibility=((1, count), 'float32'),
        keypoints_crop=((1, 17, 2), 'float32'),
        keypoints_valid=((1, 17), 'bool'),
    )
    assert sample.gt_instances.vertices.shape == (1, count, 3)
    assert sample.gt_instance_labels.point_valid.sum() == 60
    for key in (
        'id',
        'img_id',
        'img_path',
        'ori_shape',
        'img_shape',
        'input_size',
        'input_center',
        'input_scale',
        'flip',
        'flip_direction',
    ):
        assert key in sample.metainfo, key


def test_packed_mesh_fits_between_image_and_crop():
    """The image-frame mesh is the crop mesh through the inverse that MMPose applies to predictions."""
    sample = pack(make_results(11))['data_samples']
    meta = {key: sample.metainfo[key] for key in ('input_size', 'input_center', 'input_scale')}
    back = crop_to_image(sample.gt_instance_labels.vertices_crop, **meta)
    np.testing.assert_allclose(back, sample.gt_instances.vertices, atol=1e-3)


def test_more_points_than_room_give_a_random_subset():
    np.random.seed(1)
    seen = set()
    for _ in range(3):
        sample = pack(make_results(12, points=50), max_points=10)['data_samples']
        labels = sample.gt_instance_labels
        assert sample.gt_instances.points_xy.shape == (1, 50, 2), 'the metric sees all'
        assert labels.points_xy.shape == (1, 10, 2)
        seen |= {tuple(row) for row in labels.point_barycentrics[0].tolist()}
    assert 15 < len(seen) <= 30
    with pytest.raises(ValueError, match='max_points must be at least 1, got 0'):
        PackMeshPoseInputs(max_points=0)
