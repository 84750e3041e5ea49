"""DensePose files of the true formats: masks, PoseTrack, broken images, the report, and the cache."""
import json
import logging

import numpy as np
import pytest

from meshpose_plugins.bodies.base import COCO_KEYPOINT_NAMES
from meshpose_plugins.data import DensePoseCoco, ReadReport
from meshpose_plugins.data import densepose as densepose_module
from meshpose_plugins.data.people_cache import cache_path
from meshpose_plugins.data.rle import encode_labels, encode_mask
from meshpose_plugins.templates import load_template

TEMPLATE = load_template('anny')
#: The person category of PoseTrack: a head's bottom and top where COCO has the eyes.
POSETRACK_KEYPOINTS = ['nose', 'head_bottom', 'head_top', *COCO_KEYPOINT_NAMES[3:]]


def annotation(identity, points=10, **changes):
    rng = np.random.default_rng(identity)
    labels = np.zeros((256, 256), np.uint8)
    labels[40:200, 60:180] = rng.integers(1, 15)
    values = dict(
        id=identity, image_id=1, category_id=1, iscrowd=0, bbox=[20.0, 10, 80, 120], area=4000.5,
        segmentation=[[20.0, 10, 100, 10, 100, 130, 20, 130]],
        dp_masks=encode_labels(labels, 14),
        dp_x=rng.uniform(0, 255, points).round(3).tolist(),
        dp_y=rng.uniform(0, 255, points).round(3).tolist(),
        dp_I=rng.integers(1, 25, points).astype(float).tolist(),
        dp_U=rng.random(points).round(6).tolist(), dp_V=rng.random(points).round(6).tolist())
    values.update(changes)
    return {name: value for name, value in values.items() if value is not None}


def plain(identity, **changes):
    """An annotation of the DensePose-COCO files that nobody annotated densely."""
    dense = ('dp_x', 'dp_y', 'dp_I', 'dp_U', 'dp_V', 'dp_masks')
    return annotation(identity, **dict.fromkeys(dense), **changes)


def write(path, *annotations, images=None, **lists):
    images = images or [dict(id=1, file_name='COCO_train2014_000000000001.jpg', width=200, height=150)]
    path.write_text(json.dumps(dict(info=dict(densepose_surface='anny'), images=images,
                                    annotations=list(annotations), **lists)))
    return path


def same(a, b):
    """Compare two lists of records field by field."""
    assert len(a) == len(b)
    for one, other in zip(a, b):
        for name in ('annotation_id', 'image_id', 'file_name', 'image_size', 'area', 'iscrowd',
                     'segmentation', 'dp_masks', 'ignore_regions'):
            assert getattr(one, name) == getattr(other, name), name
        np.testing.assert_array_equal(one.bbox, other.bbox)
        for name in ('keypoints', 'points'):
            assert (getattr(one, name) is None) == (getattr(other, name) is None), name
        if one.keypoints is not None:
            np.testing.assert_array_equal(one.keypoints, other.keypoints)
        if one.points is not None:
            for name in ('xy', 'vertex_ids', 'barycentrics', 'valid'):
                np.testing.assert_array_equal(getattr(one.points, name), getattr(other.points, name))


@pytest.fixture
def mixed(tmp_path):
    """People with and without dense labels, one broken, one with points that cannot be used."""
    bad = annotation(5)
    bad['dp_I'][0], bad['dp_x'][1] = 25, 300.0
    return write(tmp_path / 'people.json', annotation(2), plain(3, keypoints=[4, 5, 2] * 17),
                 annotation(4, dp_U=None), bad, annotation(6, points=0), annotation(7))


def test_the_second_reading_gives_the_same_from_the_cache(mixed, monkeypatch, caplog):
    reference = DensePoseCoco(mixed, TEMPLATE, on_error='skip')
    first = DensePoseCoco(mixed, TEMPLATE, on_error='skip', cache=True)
    assert not first.from_cache and cache_path(mixed, TEMPLATE).is_file()
    monkeypatch.setattr(densepose_module, 'parse_json', lambda *_: pytest.fail('the file was parsed again'))
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        second = DensePoseCoco(mixed, TEMPLATE, on_error='skip', cache=True)
    assert second.from_cache
    for read in (first, second):
        same(reference.records, read.records)
        assert read.report() == reference.report() and read.info == reference.info
    assert any('annotation 4: dp_U is missing' in r.getMessage() for r in caplog.records), 'still named'
    assert len(second[3].points) == 0 and second[1].points is None
    assert len(list(mixed.parent.iterdir())) == 2, 'nothing temporary is left'


@pytest.mark.parametrize('change', ['content', 'options', 'broken', 'cut', 'empty', 'foreign'])
def test_a_cache_that_does_not_fit_is_read_anew(mixed, change):
    DensePoseCoco(mixed, TEMPLATE, on_error='skip', cache=True)
    path = cache_path(mixed, TEMPLATE)
    options = dict(on_error='skip')
    if change == 'content':  # of the same length
        text = mixed.read_text()
        mixed.write_text(text.replace('4000.5', '4000.6'))
    elif change == 'options':
        options['surface'] = 'anny'
    elif change == 'foreign':
        np.savez(path, other=np.zeros(3))
    else:
        data = path.read_bytes()
        path.write_bytes(dict(broken=data[:200] + b'x' * 50 + data[250:], cut=data[:-100], empty=b'')[change])
    read = DensePoseCoco(mixed, TEMPLATE, cache=True, **options)
    assert not read.from_cache
    same(DensePoseCoco(mixed, TEMPLATE, **options).records, read.records)
    assert DensePoseCoco(mixed, TEMPLATE, cache=True, **options).from_cache, 'it was replaced'


def test_a_damaged_array_of_the_cache_is_noticed(mixed):
    DensePoseCoco(mixed, TEMPLATE, on_error='skip', cache=True)
    path = cache_path(mixed, TEMPLATE)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays['xy'] = arrays['xy'][:-3]
    np.savez(path, **arrays)
    assert not DensePoseCoco(mixed, TEMPLATE, on_error='skip', cache=True).from_cache


def test_other_templates_have_caches_of_their_own(mixed):
    import dataclasses
    DensePoseCoco(mixed, TEMPLATE, on_error='skip', cache=True)
    moved = dataclasses.replace(TEMPLATE, vertices=TEMPLATE.vertices * 1.01)
    assert not DensePoseCoco(mixed, moved, on_error='skip', cache=True).from_cache
    named = dataclasses.replace(TEMPLATE, name='another')
    assert not DensePoseCoco(mixed, named, on_error='skip', cache=True).from_cache
    assert cache_path(mixed, named) != cache_path(mixed, TEMPLATE)


def test_a_folder_that_cannot_be_written_to_is_no_error(mixed, monkeypatch, caplog):
    def refuse(*_, **__):
        raise PermissionError(13, 'Permission denied')
    monkeypatch.setattr('meshpose_plugins.data.people_cache.write_npz', refuse)
    with caplog.at_level(logging.INFO):
        read = DensePoseCoco(mixed, TEMPLATE, on_error='skip', cache=True)
    assert len(read) == 5 and not cache_path(mixed, TEMPLATE).exists()
    assert 'not cached (Permission denied)' in caplog.text


def test_a_cache_goes_where_it_is_told(mixed, tmp_path):
    place = tmp_path / 'elsewhere' / 'people.npz'
    DensePoseCoco(mixed, TEMPLATE, on_error='skip', cache=place)
    assert place.is_file() and not cache_path(mixed, TEMPLATE).exists()


def test_meshes_are_not_cached_but_found_anew(mixed, tmp_path):
    DensePoseCoco(mixed, TEMPLATE, on_error='skip', cache=True)
    count = TEMPLATE.num_vertices
    np.savez(tmp_path / 'm.npz', template='anny', version=1, annotation_ids=np.array([3]),
             vertices_image=np.ones((1, count, 3), np.float32), visibility=np.ones((1, count), np.uint8),
             vertices_camera=np.ones((1, count, 3), np.float32))
    read = DensePoseCoco(mixed, TEMPLATE, tmp_path / 'm.npz', on_error='skip', cache=True)
    assert read.from_cache and [r.mesh_index for r in read] == [-1, 0, -1, -1, -1]


def test_the_report_counts_everything(mixed):
    report = DensePoseCoco(mixed, TEMPLATE, on_error='skip').report()
    assert report.read == {
        'images': 1, 'people': 5, 'people with points': 3, 'points': 28, 'people with keypoints': 1,
        'people with a mask': 5, 'people with part masks': 4}
    assert report.dropped == {'person: broken annotation': 1, 'point: dp_I is no part 1..24': 1,
                              'point: dp_x is outside 0..255': 1}
    table = report.table()
    assert '| read | points | 28 |' in table and '| dropped | point: dp_I is no part 1..24 | 1 |' in table
    assert 'annotation 4: dp_U is missing though dp_x is there' in table
    assert ReadReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    long = ReadReport('x', {'a': 1234}, problems=[f'problem {k}' for k in range(9)]).table()
    assert 'problem 4' in long and 'problem 5' not in long and '... and 4 more' in long and '1,234' in long


MASK = encode_mask(np.ones((256, 256)))
SMALL = encode_mask(np.ones((3, 4)))


@pytest.mark.parametrize('changes, match', [
    (dict(dp_masks=[MASK] * 13), 'annotation 2: dp_masks must be 14 masks'),
    (dict(dp_masks=[SMALL] + [[]] * 13), r'dp_masks\[0\] must be 256 x 256, got \[3, 4\]'),
    (dict(dp_masks=[[]] * 13 + [dict(size=[256, 256], counts='abc')]), r'annotation 2: dp_masks\[13\]: run-length mask: runs sum to'),
    (dict(dp_masks=[[]] * 13 + [7]), r"dp_masks\[13\]: a run-length mask needs 'size' and 'counts', got 7"),
    (dict(segmentation=SMALL), r'annotation 2: segmentation is \(3, 4\), the image \(150, 200\)'),
    (dict(segmentation=dict(size=[150, 200], counts=['a'])), 'counts must be numbers or text'),
    (dict(segmentation=[[1, 2, 3]]), 'segmentation: a polygon needs an even number'),
    (dict(segmentation=[[1, 2, 3, 4, 5, float('nan')]]), 'segmentation: a polygon needs an even number'),
    (dict(segmentation='mask'), 'segmentation must be polygons or a run-length mask, got mask'),
])
def test_broken_masks_are_left_out_named_and_counted(tmp_path, changes, match):
    path = write(tmp_path / 'a.json', annotation(2, **changes), annotation(3))
    read = DensePoseCoco(path, TEMPLATE, on_error='skip')
    field = next(iter(changes))
    assert len(read) == 2 and getattr(read[0], field) is None and len(read[0].points) == 10
    assert read.dropped == {f'mask: broken {field}': 1} and len(read.problems) == 1
    with pytest.raises(ValueError, match=match):
        DensePoseCoco(path, TEMPLATE)


def test_a_mask_of_an_image_without_a_size_is_taken(tmp_path):
    images = [dict(id=1, file_name='a.jpg')]
    path = write(tmp_path / 'a.json', annotation(2, segmentation=SMALL), images=images)
    assert DensePoseCoco(path, TEMPLATE)[0].segmentation == SMALL


def test_broken_images_take_only_their_people_along(tmp_path):
    images = [dict(id=1, file_name='a.jpg', width=200, height=150), dict(id=2), dict(id=3, file_name=5), 'x']
    path = write(tmp_path / 'a.json', annotation(2), annotation(3, image_id=2), images=images)
    read = DensePoseCoco(path, TEMPLATE, on_error='skip')
    assert [record.annotation_id for record in read] == [2]
    assert read.dropped == {'image: broken entry': 3, 'person: broken annotation': 1}
    assert "images[1]: 'file_name' is missing" in read.problems[0]
    with pytest.raises(ValueError, match=r"images\[1\]: 'file_name' is missing"):
        DensePoseCoco(path, TEMPLATE)


def test_densepose_posetrack(tmp_path):
    """Other keypoints and regions to ignore; text as names of frames, ids of many digits."""
    keypoints = np.column_stack([np.arange(17), np.arange(17) + 50, np.ones(17)])
    images = [dict(id=10000010001, file_name='images/val/000001_mpii_test/000000.jpg', width=200, height=150,
                   is_labeled=True, vid_id='000001', frame_id=10000010001,
                   ignore_regions_x=[[10, 50, 50, 10], [1, 2, 3]],
                   ignore_regions_y=[[10, 10, 30, 30], [4, 5, 9]]),
              dict(id=2, file_name='b.jpg', width=200, height=150, ignore_regions_x=[], ignore_regions_y=[])]
    person = dict(id=1, name='person', supercategory='person', keypoints=POSETRACK_KEYPOINTS)
    tracked = annotation(2, image_id=10000010001, keypoints=keypoints.ravel().tolist(), track_id=3)
    path = write(tmp_path / 'p.json', tracked, annotation(3, image_id=2), images=images, categories=[person])
    read = DensePoseCoco(path, TEMPLATE)
    expected = keypoints.copy()
    expected[1:3] = 0  # the eyes are not annotated
    np.testing.assert_array_equal(read[0].keypoints, expected)
    assert read[0].ignore_regions == [[10, 10, 50, 10, 50, 30, 10, 30], [1, 4, 2, 5, 3, 9]]
    assert read[1].ignore_regions is None and len(read[0].points) == 10
    assert read.report().read['people in images with ignored regions'] == 1
    images[0]['ignore_regions_y'] = [[1, 2]]
    path = write(tmp_path / 'p.json', annotation(2, image_id=10000010001), images=images, categories=[person])
    with pytest.raises(ValueError, match='image 10000010001: ignore_regions_x and ignore_regions_y must be'):
        DensePoseCoco(path, TEMPLATE)
    path = write(tmp_path / 'p.json', annotation(2, keypoints=[1, 2, 1]), categories=[person])
    with pytest.raises(ValueError, match='keypoints must be 3 numbers for each of the category'):
        DensePoseCoco(path, TEMPLATE)
