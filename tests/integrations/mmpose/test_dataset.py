"""MeshPoseDataset on small hand-made files, whole and broken."""

import json
import logging

import cv2
import numpy as np
import pytest

pytest.importorskip('mmpose')

import meshpose_plugins.integrations.mmpose  # noqa: E402,F401
from mmengine.dataset import pseudo_collate  # noqa: E402
from mmengine.logging import MMLogger  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmpose.registry import DATASETS  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

from meshpose_plugins.data.rle import encode_mask  # noqa: E402
from meshpose_plugins.integrations.mmpose.dataset import MeshPoseDataset  # noqa: E402
from meshpose_plugins.templates import load_template  # noqa: E402

TEMPLATE = load_template('anny')
COUNT = 6
PIPELINE = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', prob=1.0),
    dict(type='TopdownAffine', input_size=(48, 64)),
    dict(type='MeshPoseTransform'),
    dict(type='PackMeshPoseInputs'),
]


def make_annotation(identity, rng, points=20):
    return dict(
        id=identity,
        image_id=identity - 100,
        category_id=1,
        bbox=[10.0, 12.0, 50.0, 80.0],
        area=3000.0,
        iscrowd=0,
        keypoints=np.column_stack([rng.uniform(10, 60, (17, 2)), np.full(17, 2)]).ravel().tolist(),
        num_keypoints=17,
        dp_x=rng.uniform(0, 255, points).tolist(),
        dp_y=rng.uniform(0, 255, points).tolist(),
        dp_I=rng.integers(1, 25, points).tolist(),
        dp_U=rng.random(points).tolist(),
        dp_V=rng.random(points).tolist(),
    )


@pytest.fixture
def content():
    rng = np.random.default_rng(0)
    return dict(
        info=dict(densepose_surface='anny', template='anny'),
        categories=[dict(id=1, name='person')],
        images=[dict(id=i, file_name=f'{i}.jpg', width=72, height=100) for i in range(COUNT)],
        annotations=[make_annotation(100 + i, rng) for i in range(COUNT)],
    )


@pytest.fixture
def meshes():
    rng = np.random.default_rng(1)
    vertices = TEMPLATE.num_vertices
    # In another order than the annotations, and without the last one.
    ids = np.array([103, 100, 101, 104, 102])
    return dict(
        template='anny',
        version=1,
        annotation_ids=ids,
        vertices_image=rng.uniform(0, 72, (5, vertices, 3)).astype(np.float32),
        visibility=rng.integers(0, 2, (5, vertices)).astype(np.uint8),
        vertices_camera=rng.normal(size=(5, vertices, 3)).astype(np.float32),
    )


@pytest.fixture
def folder(tmp_path):
    """A folder whose picture i is of grey level 40 * i."""
    init_default_scope('mmpose')
    (tmp_path / 'images').mkdir()
    for i in range(COUNT):
        cv2.imwrite(str(tmp_path / 'images' / f'{i}.jpg'), np.full((100, 72, 3), 40 * i, np.uint8))
    return tmp_path


@pytest.fixture
def messages():
    """What the log of MMEngine says meanwhile."""
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


def build(folder, content, meshes=None, pipeline=PIPELINE, **arguments):
    (folder / 'people.json').write_text(json.dumps(content))
    if meshes is not None:
        np.savez(folder / 'meshes.npz', **meshes)
        arguments['mesh_file'] = 'meshes.npz'
    return DATASETS.build(
        dict(
            type='MeshPoseDataset',
            data_root=str(folder),
            ann_file='people.json',
            data_prefix=dict(img='images/'),
            pipeline=pipeline,
            **arguments,
        )
    )


def test_labels_reach_the_right_people(folder, content, meshes):
    dataset = build(folder, content, meshes)
    assert isinstance(dataset, MeshPoseDataset) and len(dataset) == COUNT
    for index in range(COUNT):
        info = dataset.get_data_info(index)
        annotation = content['annotations'][index]
        assert (info['id'], info['img_id']) == (100 + index, index)
        assert info['img_path'] == str(folder / 'images' / f'{index}.jpg')
        np.testing.assert_array_equal(info['bbox'], [[10, 12, 60, 92]])
        x = np.array(annotation['dp_x']) / 255 * 50 + 10
        np.testing.assert_allclose(info['surface_points'].xy[:, 0], x, atol=1e-4)
        ids, _ = TEMPLATE.locate_iuv(*(np.array(annotation[f'dp_{name}']) for name in 'IUV'))
        np.testing.assert_array_equal(info['surface_points'].vertex_ids, ids)
        if index == COUNT - 1:
            assert info['vertices_image'] is info['vertices_camera'] is info['vertex_visibility'] is None
        else:
            row = meshes['annotation_ids'].tolist().index(100 + index)
            for key, name in (
                ('vertices_image', 'vertices_image'),
                ('vertices_camera', 'vertices_camera'),
                ('vertex_visibility', 'visibility'),
            ):
                np.testing.assert_array_equal(info[key], meshes[name][row][None])
        assert not any(key.startswith('dp_') for key in info['raw_ann_info'])


def test_the_masks_of_others_in_the_image_are_ignored(folder, content):
    def square(left, top):
        return [[left, top, left + 19, top, left + 19, top + 19, left, top + 19]]

    people = content['annotations']
    for person, image in zip(people, (0, 0, 0, 1, 2, 3)):
        person['image_id'] = image
    people[0]['segmentation'], people[1]['segmentation'] = square(20, 20), square(40, 60)
    people[2].update(iscrowd=1, segmentation=square(0, 0))  # a crowd is no sample, but has pixels
    people[3]['segmentation'] = square(20, 20)
    people[4]['dp_masks'] = [encode_mask(np.ones((256, 256)))] * 14
    dataset = build(folder, content)
    others = {info['id']: info['other_people'] for info in map(dataset.get_data_info, range(len(dataset)))}
    np.testing.assert_array_equal(others[100], [square(40, 60), square(0, 0)])
    np.testing.assert_array_equal(others[101], [square(20, 20), square(0, 0)])
    assert others[103] == others[104] == others[105] == []
    pipeline = [dict(step, with_mask=True) if step['type'] == 'MeshPoseTransform' else step
                for step in PIPELINE]
    dataset = build(folder, content, pipeline=pipeline)
    labels = {dataset.get_data_info(i)['id']: dataset[i]['data_samples'].gt_instance_labels
              for i in range(len(dataset))}
    assert [bool(labels[i].person_mask_valid[0]) for i in (100, 103, 104, 105)] == [True, True, True, False]
    assert labels[100].ignore_mask.sum() > labels[103].ignore_mask.sum() + 100
    # Without a segmentation the part masks are the person: here the whole box, 50 x 80 of 75 x 100 px.
    assert labels[104].person_mask.mean() == pytest.approx(50 * 80 / (75 * 100), abs=0.01)


def test_samples_come_out_of_the_pipeline(folder, content, meshes):
    dataset = build(folder, content, meshes)
    sample = dataset[2]
    assert sample['inputs'].shape == (3, 64, 48)
    assert abs(float(sample['inputs'].float()[:, 20:40, 15:30].mean()) - 80) < 3
    labels = sample['data_samples'].gt_instance_labels
    assert labels.vertices_valid.all() and labels.point_valid.sum() == 20
    assert not dataset[COUNT - 1]['data_samples'].gt_instance_labels.vertices_valid.any()


def test_plain_coco_files_work(folder, content):
    for annotation in content['annotations']:
        for name in [key for key in annotation if key.startswith('dp_')]:
            del annotation[name]
    del content['info']
    dataset = build(folder, content)
    assert len(dataset) == COUNT
    assert not dataset[0]['data_samples'].gt_instance_labels.point_valid.any()
    with pytest.raises(
        ValueError, match="no usable person is left; dropped: .*neither points nor a mesh': 6"
    ):
        build(folder, content, drop_unlabelled=True)


def test_people_without_keypoints_stay(folder, content):
    del content['annotations'][0]['keypoints'], content['annotations'][0]['num_keypoints']
    content['annotations'][1]['keypoints'] = [0] * 51
    dataset = build(folder, content)
    assert len(dataset) == COUNT
    assert dataset[0]['data_samples'].gt_instances.keypoints_visible.sum() == 0


def test_broken_annotations_are_dropped_and_named(folder, content, meshes, messages):
    annotations = content['annotations']
    annotations[0]['bbox'] = [0, 0, float('nan'), 5]
    annotations[1]['iscrowd'] = 1
    del annotations[2]['dp_U']
    annotations[3]['bbox'] = [5, 5, 0, 10]
    annotations.append(make_annotation(109, np.random.default_rng(9)) | dict(image_id=1, bbox=[2000, 9, 30, 9]))
    annotations.append(make_annotation(105, np.random.default_rng(9)) | dict(image_id=1))
    annotations[4]['dp_x'][3] = float('nan')
    annotations[4]['dp_I'][5] = 77
    meshes['vertices_image'][3, 7, 1] = np.nan
    annotations.append(make_annotation(106, np.random.default_rng(9)))
    annotations[-1]['image_id'] = 999
    annotations.append(make_annotation(107, np.random.default_rng(9)) | dict(image_id=1, area='large'))
    annotations.append(make_annotation(108, np.random.default_rng(9)) | dict(image_id=1, category_id=2))
    dataset = build(folder, content, meshes)
    assert [dataset.get_data_info(i)['id'] for i in range(len(dataset))] == [105]
    text = '\n'.join(messages)
    assert 'annotation 100: bbox must be finite, got [0.0, 0.0, nan, 5.0]' in text
    assert 'annotation 102: dp_U is missing though dp_x is there' in text
    assert 'annotation 106: image_id 999 is not among' in text
    assert 'annotation 107: area must be a finite number of at least 0, got large' in text
    assert dataset.dropped['annotation: of another category than person'] == 1
    assert dataset.dropped['person: bbox lies outside the image'] == 1
    problems = '\n'.join(dataset.report.problems)
    assert 'annotation 105: annotations[7] has the id of one before it' in problems
    assert 'annotation 104: dp_x[3] is not finite: nan (1 of ' in problems
    assert dataset.dropped['person: crowd'] == dataset.dropped['person: bbox has no area'] == 1
    assert (
        dataset.dropped['point: dp_x is not finite'] == dataset.dropped['point: dp_I is no part 1..24'] == 1
    )
    assert sum(count for reason, count in dataset.dropped.items() if 'are not finite' in reason) == 1
    assert '1 samples, 1 samples with points' in text and '5 x person: broken annotation' in text


def test_unusable_files_are_errors(folder, content, meshes):
    (folder / 'cut.json').write_text(json.dumps(content)[:-100])
    with pytest.raises(ValueError, match=r'cut.json: no valid JSON .* \(the file seems to be cut off\)'):
        MeshPoseDataset(ann_file=str(folder / 'cut.json'))
    with pytest.raises(FileNotFoundError, match='none.json'):
        MeshPoseDataset(ann_file=str(folder / 'none.json'))
    with pytest.raises(FileNotFoundError, match='none.npz'):
        build(folder, content, mesh_file='none.npz')
    with pytest.raises(ValueError, match="meshes.npz: meshes of template 'smpl'"):
        build(folder, content, dict(meshes, template='smpl'))
    content['info']['densepose_surface'] = 'smpl'
    with pytest.raises(ValueError, match="info.densepose_surface is 'smpl'"):
        build(folder, content)
    with pytest.raises(ValueError, match="data_mode must be 'topdown', got 'bottomup'"):
        build(folder, content, data_mode='bottomup')


def test_annotations_of_smpl_are_carried_to_anny(folder, content):
    import smpl_topology

    from meshpose_plugins.templates.correspondence import CarriedCharts

    smpl_topology.charts_or_skip()
    del content['info']['densepose_surface']  # as the public files, which lie on SMPL
    dataset = build(folder, content, correspondence='smpl_to_anny', cache=False)
    assert len(dataset) == COUNT
    annotation = content['annotations'][2]
    ids, _ = CarriedCharts.load('smpl_to_anny', TEMPLATE).locate_iuv(
        *(np.array(annotation[f'dp_{name}']) for name in 'IUV')
    )
    np.testing.assert_array_equal(dataset.get_data_info(2)['surface_points'].vertex_ids, ids)
    with pytest.raises(FileNotFoundError, match='no such charts file'):
        build(folder, content, correspondence='smpl_to_anny', charts='none.mat')


def test_unreadable_images_are_skipped_in_training(folder, content, messages):
    (folder / 'images' / '1.jpg').unlink()
    (folder / 'images' / '2.jpg').write_bytes(b'no image')
    (folder / 'images' / '3.jpg').write_bytes((folder / 'images' / '4.jpg').read_bytes()[:30])
    dataset = build(folder, content)
    np.random.seed(0)
    for _ in range(3):
        found = {dataset[index]['data_samples'].img_id for index in range(COUNT)}
        assert found <= {0, 4, 5}
    assert dataset[4]['data_samples'].img_id == 4
    skipped = [message for message in messages if message.startswith('image skipped')]
    assert len(skipped) == 3
    assert dataset.report.dropped['image: missing or unreadable'] == 3
    assert any('1.jpg: no such image file' in message for message in skipped)
    assert any('2.jpg: no readable image (8 bytes)' in message for message in skipped)


def test_unreadable_images_are_errors_in_tests_and_when_there_are_no_others(folder, content):
    dataset = build(folder, content, test_mode=True)
    (folder / 'images' / '1.jpg').unlink()
    assert dataset[0] is not None
    with pytest.raises(ValueError, match='1.jpg: no such image file; check data_root and data_prefix'):
        dataset[1]
    dataset = build(folder, content)
    for path in (folder / 'images').iterdir():
        path.write_bytes(b'')
    with pytest.raises(
        ValueError, match=r'20 images one after the other were unreadable, the last one .*jpg: no'
    ):
        dataset[0]


def test_errors_of_the_pipeline_are_not_hidden(folder, content):
    dataset = build(folder, content)
    dataset.pipeline.transforms.insert(1, lambda results: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dataset[0]


def test_detections_replace_annotations(folder, content, messages):
    detections = [
        dict(image_id=3, category_id=1, bbox=[5, 6, 30, 40], score=0.7),
        dict(image_id=3, category_id=2, bbox=[5, 6, 30, 40], score=0.7),
        dict(image_id=1, category_id=1, bbox=[1, 2, 3, 4], score=0.1),
    ]
    path = folder / 'detections.json'
    path.write_text(json.dumps(detections))
    dataset = build(folder, content, bbox_file=str(path), test_mode=True, filter_cfg=dict(bbox_score_thr=0.5))
    assert len(dataset) == 1
    info = dataset.get_data_info(0)
    assert info['img_id'] == 3 and info['bbox'].tolist() == [[5, 6, 35, 46]]
    sample = dataset[0]['data_samples']
    assert sample.gt_instances.bbox_scores[0] == pytest.approx(0.7)
    assert not sample.gt_instance_labels.vertices_valid.any()
    path.write_text(json.dumps(detections + [dict(image_id=3, bbox=[1, 2, 3, 4], score=1)]))
    dataset = build(folder, content, bbox_file=str(path), test_mode=True)
    assert len(dataset) == 2 and sum(dataset.dropped.values()) == 1
    assert "detections.json: result 3: field 'category_id' is missing" in '\n'.join(messages)
    content['categories'] = [dict(id=2, name='person')]  # the file says which category people are
    path.write_text(json.dumps(detections))
    assert len(build(folder, content, bbox_file=str(path), test_mode=True)) == 1
    path.write_text('[]')
    with pytest.raises(ValueError, match='detections.json: no detection of a person is left'):
        build(folder, content, bbox_file=str(path), test_mode=True)


@pytest.mark.parametrize('workers', [1, 2])
def test_workers_give_what_one_process_gives(folder, content, meshes, workers):
    dataset = build(folder, content, meshes)
    plain = DataLoader(dataset, batch_size=2, collate_fn=pseudo_collate)
    parallel = DataLoader(dataset, batch_size=2, collate_fn=pseudo_collate, num_workers=workers)
    batches = 0
    for expected, batch in zip(plain, parallel):
        for a, b in zip(expected['inputs'], batch['inputs']):
            assert (a == b).all()
        for a, b in zip(expected['data_samples'], batch['data_samples']):
            assert a.id == b.id
            for name, value in a.gt_instance_labels.items():
                assert (value == b.gt_instance_labels[name]).all(), name
            np.testing.assert_array_equal(a.gt_instances.vertices, b.gt_instances.vertices)
        batches += 1
    assert batches == COUNT // 2


def test_subsets_and_lazy_loading(folder, content, meshes):
    assert len(build(folder, content, meshes, indices=2)) == 2
    lazy = build(folder, content, meshes, lazy_init=True)
    assert lazy.metainfo['dataset_name'] == 'coco' and lazy.metainfo['num_keypoints'] == 17
    lazy.full_init()
    assert len(lazy) == COUNT
    assert len(build(folder, content, serialize_data=False)) == COUNT


def test_only_the_labels_asked_for_are_given(folder, content, meshes):
    content['annotations'][0]['segmentation'] = [[10, 12, 60, 12, 60, 92]]

    def labels(*names):
        info = build(folder, content, meshes, labels=names).get_data_info(0)
        return (len(info['surface_points']) > 0, info['vertices_image'] is not None,
                bool(info['keypoints_visible'].any()), info['segmentation'] is not None)
    assert labels('points', 'mesh', 'keypoints', 'masks') == (True, True, True, True)
    assert labels('points') == (True, False, False, False)
    assert labels('mesh', 'masks') == (False, True, False, True)
    dataset = build(folder, content, meshes, labels=['mesh'], drop_unlabelled=True)
    assert len(dataset) == COUNT - 1 and dataset.report.read['samples with a mesh'] == COUNT - 1
    with pytest.raises(ValueError, match=r"labels must be of .*, got \('depth',\)"):
        build(folder, content, labels=['depth'])


def test_what_was_read_is_cached_beside_the_data(folder, content, meshes):
    first, second = build(folder, content, meshes), build(folder, content, meshes)
    assert (folder / 'people.anny.cache.npz').is_file()
    assert first.report == second.report
    for index in range(COUNT):
        a, b = first.get_data_info(index), second.get_data_info(index)
        np.testing.assert_array_equal(a['surface_points'].barycentrics, b['surface_points'].barycentrics)
        np.testing.assert_array_equal(a['bbox'], b['bbox'])
    (folder / 'people.anny.cache.npz').unlink()
    build(folder, content, cache=False)
    assert not (folder / 'people.anny.cache.npz').exists()


def test_broken_masks_do_not_stop_a_training(folder, content):
    content['annotations'][0]['segmentation'] = dict(size=[3, 3], counts=[9])
    content['annotations'][1]['dp_masks'] = [[]] * 5
    content['annotations'][2]['segmentation'] = [[10, 12, 60, 12, 60, 92]]
    dataset = build(folder, content)
    dataset.pipeline.transforms[4].with_mask = True
    assert dataset.dropped == {'mask: broken segmentation': 1, 'mask: broken dp_masks': 1}
    valid = [bool(dataset[k]['data_samples'].gt_instance_labels.person_mask_valid[0]) for k in range(3)]
    assert valid == [False, False, True]
