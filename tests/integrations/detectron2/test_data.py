"""Labels of detectron2's data path: of the same files, carried by its augmentations, equal to MMPose's."""

import json
import shutil

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('detectron2')

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data import transforms as T
from small_models import tiny_config

from meshpose_plugins.data.densepose import DensePoseCoco
from meshpose_plugins.integrations.detectron2 import (
    MeshPoseDatasetMapper,
    MeshPoseTrainer,
    register_densepose_coco,
    register_folder,
    register_from_config,
)
from meshpose_plugins.integrations.detectron2.mapper import affine_map
from meshpose_plugins.modeling import RegionFrames
from meshpose_plugins.templates import load_template

TEMPLATE = load_template('anny')
KEYPOINTS = ['MODEL.ROI_MESHPOSE_HEAD.LOSS_WEIGHTS.KEYPOINT', 1.0]


@pytest.fixture(autouse=True)
def clean_catalogs():
    before = set(DatasetCatalog.list())
    yield
    for name in set(DatasetCatalog.list()) - before:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


@pytest.fixture
def dicts(people_folder):
    register_folder(str(people_folder))
    return DatasetCatalog.get(str(people_folder))


def mapper(*options, augmentations=(), is_train=True):
    made = MeshPoseDatasetMapper(tiny_config('INPUT.RANDOM_FLIP', 'none', *options), is_train)
    made.augmentations = T.AugmentationList(list(augmentations))
    return made


AUGMENTATIONS = dict(
    nothing=[],
    resize=[T.ResizeTransform(128, 96, 200, 300)],
    flip=[T.HFlipTransform(96)],
    vertical=[T.VFlipTransform(128)],
    crop=[T.CropTransform(10, 20, 70, 90)],
    rotation=[T.RotationTransform(128, 96, 30)],
    all=[T.CropTransform(10, 20, 70, 90), T.HFlipTransform(70), T.ResizeTransform(90, 70, 180, 210)],
)


@pytest.mark.parametrize('name', AUGMENTATIONS)
def test_points_and_meshes_follow_the_pixels(dicts, people_folder, name):
    """In a picture of a dot at a vertex, the dot and the vertex go to the same place."""
    person = DensePoseCoco(people_folder / 'annotations.json', TEMPLATE, people_folder / 'meshes.npz')[0]
    entry = next(entry for entry in dicts if entry['image_id'] == person.image_id)
    transforms = T.TransformList(AUGMENTATIONS[name])
    out = mapper(*KEYPOINTS, augmentations=AUGMENTATIONS[name])(entry)
    labels, shape = out['instances'].gt_mesh, out['image'].shape[1:]
    mirrored = name in ('flip', 'vertical', 'all')
    inside = np.flatnonzero((np.abs(person.vertices_image[:, :2] - [48, 64]) < [20, 30]).all(1))
    compared = 0
    for vertex in inside[:: max(len(inside) // 5, 1)]:
        x, y = person.vertices_image[vertex, :2]
        dot = np.exp(-((np.arange(96) - x) ** 2 + (np.arange(128)[:, None] - y) ** 2) / 8).astype(np.float32)
        moved = transforms.apply_image(dot)
        position = labels.vertices[0, TEMPLATE.symmetry[vertex] if mirrored else vertex, :2].numpy()
        if not (np.abs(position - np.array(shape[::-1]) / 2) < np.array(shape[::-1]) / 2 - 12).all():
            continue
        centre = [
            (moved * np.arange(shape[1])).sum() / moved.sum(),
            (moved * np.arange(shape[0])[:, None]).sum() / moved.sum(),
        ]
        np.testing.assert_allclose(position, centre, atol=0.25)
        compared += 1
    assert compared >= 2
    # The same augmentations take the points where detectron2 would take keypoints.
    expected = transforms.apply_coords(person.points.xy + 0.5) - 0.5
    count = len(person.points)
    np.testing.assert_allclose(labels.points_xy[0, :count], expected, atol=1e-3)
    ids = TEMPLATE.symmetry[person.points.vertex_ids] if mirrored else person.points.vertex_ids
    np.testing.assert_array_equal(labels.point_vertex_ids[0, :count], ids)
    keypoints = transforms.apply_coords(person.keypoints[:, :2] + 0.5) - 0.5
    if mirrored:
        swapped = [
            n.replace('left', 'x').replace('right', 'left').replace('x', 'right')
            for n in TEMPLATE.keypoint_names
        ]
        keypoints = keypoints[[TEMPLATE.keypoint_names.index(n) for n in swapped]]
    np.testing.assert_allclose(labels.keypoints[0], keypoints, atol=1e-3)
    scale = np.sqrt(abs(np.linalg.det(affine_map(transforms, 96, 128)[:, :2])))
    order = TEMPLATE.symmetry if mirrored else slice(None)
    np.testing.assert_allclose(
        labels.vertices[0, :, 2], person.vertices_image[order, 2] * scale, rtol=1e-3, atol=1e-3
    )


def test_an_augmentation_that_is_not_affine_is_refused():
    class Bend:
        def apply_coords(self, coords):
            return coords + 0.01 * coords[:, :1] * coords[:, 1:]

    with pytest.raises(ValueError, match='no affine map'):
        affine_map(Bend(), 96, 128)


def test_the_labels_of_both_frameworks_are_the_same(dicts, people_folder):
    """One image and box: MMPose's pipeline and this mapper with a region give the same targets."""
    pytest.importorskip('mmpose')
    from mmengine.registry import init_default_scope
    from mmpose.registry import DATASETS

    from meshpose_plugins.integrations.mmpose import targets_of_data_samples

    init_default_scope('mmpose')
    side, stride = 56, 4
    size = (side * stride, side * stride)
    mmpose_set = DATASETS.build(
        dict(
            type='MeshPoseDataset',
            data_root=str(people_folder),
            ann_file='annotations.json',
            mesh_file='meshes.npz',
            data_prefix=dict(img=''),
            pipeline=[
                dict(type='LoadImage'),
                dict(type='GetBBoxCenterScale', padding=1.1),
                dict(type='TopdownAffine', input_size=size),
                dict(type='MeshPoseTransform'),
                dict(type='PackMeshPoseInputs', max_points=500),
            ],
        )
    )
    for sample in mmpose_set:
        sample = sample['data_samples']
        ours = targets_of_data_samples([sample], TEMPLATE.num_vertices, size)
        entry = next(entry for entry in dicts if entry['image_id'] == sample.img_id)
        index = [annotation['id'] for annotation in entry['annotations']].index(sample.id)
        labels = mapper()(entry)['instances'].gt_mesh[index]
        centre, scale = (np.asarray(sample.metainfo[name]) for name in ('input_center', 'input_scale'))
        box = torch.tensor(np.concatenate([centre - scale / 2, centre + scale / 2]), dtype=torch.float32)
        frames = RegionFrames.of_boxes(box[None], side, stride)
        theirs = labels.in_regions(frames)
        # A heatmap pixel of a region is the centre of its cell, one of a crop lies at stride times its index:
        # the two frames differ by this shift, everywhere.
        shift = 0.5 * size[0] / scale - stride / 2
        count = labels.point_valid.shape[1]
        both = (ours.point_valid[:, :count] & theirs.point_valid)[0]
        assert both.sum() > 50 and (ours.point_valid[:, :count] != theirs.point_valid).sum() <= 2
        np.testing.assert_allclose(
            (theirs.points_xy - ours.points_xy[:, :count])[0, both],
            np.tile(shift, (int(both.sum()), 1)),
            atol=2e-3,
        )
        assert torch.equal(ours.point_vertex_ids[0, :count][both], theirs.point_vertex_ids[0, both])
        torch.testing.assert_close(
            ours.point_barycentrics[0, :count][both], theirs.point_barycentrics[0, both]
        )
        difference = (theirs.vertices - ours.vertices)[0].numpy()
        np.testing.assert_allclose(difference, np.tile([*shift, 0], (len(difference), 1)), atol=5e-3)
        assert torch.equal(ours.vertices_valid, theirs.vertices_valid)


def test_masks_and_keypoints_come_along(dicts, people_folder):
    out = mapper('MODEL.MASK_ON', True, 'MODEL.KEYPOINT_ON', True, 'DATASETS.TRAIN', (str(people_folder),))(
        dicts[0]
    )['instances']
    assert len(out.gt_masks) == len(out.gt_keypoints) == len(out.gt_mesh) == len(out)
    ys, xs = np.nonzero(out.gt_masks.tensor[0].numpy())
    x0, y0, x1, y1 = out.gt_boxes.tensor[0].numpy()
    assert x0 - 1 <= xs.min() and xs.max() <= x1 + 1 and y0 - 1 <= ys.min() and ys.max() <= y1 + 1


def test_masks_and_meshes_meet_in_a_region(dicts):
    """The mask that is cut out for the silhouette loss covers the true mesh, and no other place."""
    from meshpose_plugins.losses import SilhouetteLoss

    made = mapper('MODEL.ROI_MESHPOSE_HEAD.LOSS_WEIGHTS.SILHOUETTE', 0.1)
    loss = SilhouetteLoss(template='anny', softness=0)
    for entry in dicts:
        people = made(entry)['instances']
        boxes = people.gt_boxes.tensor
        targets = people.gt_mesh.in_regions(RegionFrames.of_boxes(boxes, 28, 4))
        mask = people.gt_masks.crop_and_resize(boxes, 28).float()
        inside = targets.vertices[..., :2] / 4
        costs = [
            float(loss(inside + torch.tensor(shift), mask, torch.ones(len(people), dtype=torch.bool)))
            for shift in ([0.0, 0.0], [3.0, 0.0], [-3.0, 0.0], [0.0, 3.0], [0.0, -3.0])
        ]
        assert costs[0] == min(costs) and costs[0] < 0.5, costs


def rewritten(folder, tmp_path, change):
    """A copy of the data set whose annotations are changed by a function."""
    target = tmp_path / 'changed'
    shutil.copytree(folder, target)
    content = json.loads((target / 'annotations.json').read_text())
    change(content)
    (target / 'annotations.json').write_text(json.dumps(content))
    return target


def test_images_and_people_without_labels(people_folder, tmp_path):
    def change(content):
        first, second, third, _ = content['annotations']
        for name in ('dp_x', 'dp_y', 'dp_I', 'dp_U', 'dp_V'):
            first.pop(name)
        first['id'] = 999  # which has no mesh
        second['iscrowd'] = 1
        third['bbox'] = [0, 0, 'wide', 3]

    folder = rewritten(people_folder, tmp_path, change)
    register_folder(str(folder))
    entries = DatasetCatalog.get(str(folder))
    assert [len(entry['annotations']) for entry in entries] == [1, 1, 0, 1]
    outputs = [mapper()(entry)['instances'] for entry in entries]
    assert [len(out) for out in outputs] == [1, 0, 0, 1]
    assert [out.gt_mesh.labelled().tolist() for out in outputs] == [[False], [], [], [True]]
    with_keypoints = [mapper(*KEYPOINTS)(entry)['instances'].gt_mesh.labelled().tolist() for entry in entries]
    assert with_keypoints == [[True], [], [], [True]]


@pytest.mark.parametrize('pixels', ['gray', 'gray16', 'palette'])
def test_unusual_images(dicts, tmp_path, pixels):
    image = cv2.imread(dicts[0]['file_name'])
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    path = str(tmp_path / 'odd.png')
    if pixels == 'palette':
        from PIL import Image

        Image.fromarray(gray).convert('P').save(path)
    else:
        cv2.imwrite(path, gray if pixels == 'gray' else gray.astype(np.uint16) * 257)
    out = mapper(is_train=False)(dict(dicts[0], file_name=path))
    assert out['image'].dtype == torch.uint8 and 'instances' not in out
    np.testing.assert_allclose(out['image'], np.repeat(gray[None], 3, 0), atol=1)


def test_channels_are_in_the_configs_order(dicts):
    bgr = cv2.imread(dicts[0]['file_name']).transpose(2, 0, 1)
    np.testing.assert_array_equal(mapper('INPUT.FORMAT', 'BGR')(dicts[0])['image'], bgr)
    np.testing.assert_array_equal(mapper('INPUT.FORMAT', 'RGB')(dicts[0])['image'], bgr[::-1])


def test_huge_images_are_shrunk_and_unreadable_ones_skipped(dicts, tmp_path, caplog):
    huge = tmp_path / 'huge.png'
    cv2.imwrite(str(huge), np.zeros((3000, 200, 3), np.uint8))
    entry = dict(dicts[0], file_name=str(huge), width=200, height=3000)
    test_mapper = MeshPoseDatasetMapper(tiny_config('INPUT.MAX_SIZE_TEST', 320), False)
    assert max(test_mapper(entry)['image'].shape) == 320
    (tmp_path / 'broken.jpg').write_bytes(b'\xff\xd8 no more')
    for name, message in (('broken.jpg', 'cannot be read'), ('gone.jpg', 'does not exist')):
        entry = dict(dicts[0], file_name=str(tmp_path / name))
        assert mapper()(entry) is None
        with pytest.raises((FileNotFoundError, ValueError), match=message):
            mapper(is_train=False)(entry)
    patient = mapper()
    with pytest.raises(FileNotFoundError, match='gone.jpg'):
        assert [patient(entry) for _ in range(19)] == [None] * 19
        patient(entry)
    with pytest.raises(ValueError, match="INPUT.FORMAT='L'"):
        mapper('INPUT.FORMAT', 'L')
    with pytest.raises(ValueError, match='Mismatched image shape'):
        mapper(is_train=False)(dict(dicts[0], width=5))


def test_registration_names_what_is_missing(people_folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="'x': no such annotation file: .*gone.json"):
        register_densepose_coco('x', str(tmp_path / 'gone.json'))
    register_folder(str(people_folder))
    metadata = MetadataCatalog.get(str(people_folder))
    assert metadata.meshpose_template == 'anny' and metadata.thing_classes == ['person']
    with pytest.raises(ValueError, match='registered already'):
        register_folder(str(people_folder))


def test_another_template_is_an_error_before_training(people_folder, tmp_path):
    import dataclasses

    from meshpose_plugins.templates import save_template

    other = tmp_path / 'other.npz'
    save_template(dataclasses.replace(TEMPLATE, name='other', faces=TEMPLATE.faces[:, [1, 2, 0]]), other)
    cfg = tiny_config(
        'DATASETS.MESHPOSE',
        [dict(name='others', json_file=str(people_folder / 'annotations.json'), template=str(other))],
        'DATASETS.TRAIN',
        ('others',),
        'DATASETS.TEST',
        (),
    )
    with pytest.raises(
        ValueError, match="'others' is registered with template='.*other.npz'.*TEMPLATE='anny'"
    ):
        MeshPoseTrainer(cfg)
    with pytest.raises(ValueError, match="'nothing' of DATASETS is neither registered nor a folder"):
        MeshPoseTrainer(tiny_config('DATASETS.TRAIN', ('nothing',), 'DATASETS.TEST', ()))
    with pytest.raises(ValueError, match='an entry needs name and json_file'):
        register_from_config(tiny_config('DATASETS.MESHPOSE', [dict(name='x')]))
