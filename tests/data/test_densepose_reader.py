import json
import logging
from collections import Counter

import numpy as np
import pytest

from meshpose_plugins.data import DensePoseCoco, parse_surface_points
from meshpose_plugins.data.meshes import load_meshes
from meshpose_plugins.templates import load_template


@pytest.fixture(scope='module')
def template():
    return load_template('anny')


def points_on(template, count, seed=0):
    """Return faces, weights and (I, U, V) of random places of the template."""
    rng = np.random.default_rng(seed)
    faces = rng.integers(0, len(template.faces), count)
    weights = rng.dirichlet(np.full(3, 5.0), count)
    return faces, weights, template.iuv(faces, weights)


def annotation_with(template, count=20, **changes):
    _, _, (i, u, v) = points_on(template, count)
    grid = np.random.default_rng(1).uniform(0, 255, (2, count)).round(2)
    annotation = {
        'id': 7,
        'image_id': 1,
        'category_id': 1,
        'bbox': [30.0, 40.0, 60.0, 120.0],
        'area': 100,
        'iscrowd': 0,
        'dp_x': grid[0].tolist(),
        'dp_y': grid[1].tolist(),
        'dp_I': np.asarray(i).tolist(),
        'dp_U': np.asarray(u, float).tolist(),
        'dp_V': np.asarray(v, float).tolist(),
    }
    annotation.update(changes)
    return annotation


def write(path, *annotations, info=None, image=None, **lists):
    info = {'densepose_surface': 'anny'} if info is None else info
    images = [{'id': 1, 'file_name': 'a.jpg', 'width': 200, 'height': 300, **(image or {})}]
    path.write_text(json.dumps({'info': info, 'images': images, 'annotations': list(annotations), **lists}))
    return path


def test_points_come_back_at_their_pixels_and_near_their_places(template):
    faces, weights, _ = points_on(template, 20)
    annotation = annotation_with(template)
    points = parse_surface_points(annotation, template)
    grid = np.column_stack([annotation['dp_x'], annotation['dp_y']])
    np.testing.assert_allclose(points.xy, grid / 255 * [60, 120] + [30, 40], atol=1e-4)
    np.testing.assert_allclose(points.barycentrics.sum(1), 1, atol=1e-5)
    places = np.einsum('pk,pkc->pc', weights, template.vertices[template.faces[faces]])
    distance = np.linalg.norm(points.positions(template.vertices) - places, axis=1)
    assert distance.mean() < 0.005, 'metres on the resting body'


def test_values_out_of_range_are_dropped_and_counted(template):
    annotation = annotation_with(template)
    annotation['dp_x'][0] = float('nan')
    annotation['dp_y'][1] = 256.0
    annotation['dp_I'][2] = 0
    annotation['dp_I'][3] = 25
    annotation['dp_U'][4] = 1.01
    annotation['dp_V'][5] = float('inf')
    dropped = Counter()
    points = parse_surface_points(annotation, template, dropped=dropped)
    assert len(points) == 14
    assert dropped == {'point: dp_x is not finite': 1, 'point: dp_y is outside 0..255': 1,
                       'point: dp_I is no part 1..24': 2, 'point: dp_U is outside [0, 1]': 1,
                       'point: dp_V is not finite': 1}


@pytest.mark.parametrize('changes, match', [
    ({'dp_U': None}, 'annotation 7: dp_U is missing though dp_x is there'),
    ({'dp_V': [0.5]}, "point fields differ in length: .*'dp_V': 1"),
    ({'dp_x': 'abc'}, "annotation 7: dp_x must be a list of numbers, got abc"),
    ({'dp_I': [[1], [2]]}, 'dp_I must be a list of numbers'),
    ({'bbox': [1, 2, 3]}, r'bbox must be a list of 4 numbers, got \[1, 2, 3\]'),
    ({'bbox': [1, 2, float('nan'), 3]}, 'bbox must be finite, got .*nan'),
    ({'bbox': None}, 'bbox must be a list of 4 numbers, got None'),
    ({'keypoints': [1, 2]}, 'keypoints must be a list of 51 numbers'),
    ({'keypoints': [1, 2, float('nan')] * 17}, 'keypoints must be finite, got nan'),
    ({'image_id': 5}, "image_id 5 is not among the file's images"),
    ({'image_id': [1]}, r'image_id must be a whole number or text, got \[1\]'),
    ({'image_id': None}, 'image_id must be a whole number or text, got None'),
    ({'category_id': {}}, 'category_id must be a whole number or text, got {}'),
    ({'area': 'large'}, 'area must be a finite number of at least 0, got large'),
    ({'area': float('nan')}, 'area must be a finite number of at least 0, got nan'),
    ({'area': [3]}, r'area must be a finite number of at least 0, got \[3\]'),
    ({'area': 10 ** 400}, 'area must be a finite number of at least 0, got 1000'),
])
def test_broken_structure_names_file_annotation_field_and_value(template, tmp_path, changes, match):
    path = write(tmp_path / 'broken.json', annotation_with(template, **changes))
    with pytest.raises(ValueError, match=match) as error:
        DensePoseCoco(path, template)
    assert 'broken.json: annotation 7' in str(error.value)


@pytest.mark.parametrize('image, match', [
    ({'width': 'wide'}, 'annotation 7: image 1: width must be a finite number of at least 0, got wide'),
    ({'height': float('inf')}, 'annotation 7: image 1: height must be a finite number .*, got inf'),
    ({'height': [300]}, r'annotation 7: image 1: height must be .*, got \[300\]'),
    ({'id': {}}, r'images\[0\]: id must be a whole number or text, got {}'),
    ({'file_name': 3}, r'images\[0\]: file_name must be text, got 3'),
])
def test_broken_images_name_file_field_and_value(template, tmp_path, image, match):
    path = write(tmp_path / 'broken.json', annotation_with(template), image=image)
    with pytest.raises(ValueError, match=f'broken.json: {match}'):
        DensePoseCoco(path, template)


def test_an_annotation_without_a_usable_id_is_named_by_its_place(template, tmp_path):
    path = write(tmp_path / 'broken.json', annotation_with(template), annotation_with(template, id=[8]))
    with pytest.raises(ValueError, match=r'broken.json: annotations\[1\]: id must be .*, got \[8\]'):
        DensePoseCoco(path, template)


def test_broken_annotations_are_skipped_counted_and_the_first_five_named(template, tmp_path, caplog):
    broken = [annotation_with(template, id=20 + k, area='large') for k in range(7)]
    path = write(tmp_path / 'mixed.json', 'nothing', *broken, annotation_with(template))
    with caplog.at_level(logging.WARNING, 'meshpose_plugins.data.densepose'):
        data = DensePoseCoco(path, template, on_error='skip')
    assert [record.annotation_id for record in data] == [7] and len(data[0].points) == 20
    assert data.dropped == {'person: broken annotation': 8} and len(data.problems) == 8
    assert '8 x person: broken annotation' in data.summary()
    assert [record.getMessage() for record in caplog.records] == [
        f'problem in the annotations: {problem}' for problem in data.problems[:5]
    ]
    assert "annotations[0]: 'id' is missing" in data.problems[0]
    assert data.problems[7].endswith('annotation 26: area must be a finite number of at least 0, got large')
    with pytest.raises(ValueError, match="on_error must be one of .*, got 'ignore'"):
        DensePoseCoco(path, template, on_error='ignore')


def test_other_things_than_people_are_counted_not_read(template, tmp_path):
    annotations = [annotation_with(template, category_id=3), annotation_with(template, id=8, category_id=1),
                   annotation_with(template, id=9, category_id=3, bbox=None)]
    del annotations[0]['dp_I']
    other = 'annotation: of another category than person'

    def read(**lists):
        data = DensePoseCoco(write(tmp_path / 'a.json', *annotations, **lists), template, on_error='skip')
        return [record.annotation_id for record in data], data.dropped
    # Without categories 1 is a person; with them the one of that name, whatever its id.
    assert read() == read(categories=[]) == ([8], {other: 2})
    assert read(categories=[{'id': 1, 'name': 'person'}, {'id': 3, 'name': 'dog'}]) == ([8], {other: 2})
    people, dropped = read(categories=[{'id': 1, 'name': 'dog'}, {'id': 3, 'name': 'person'}])
    assert people == [] and dropped == {other: 1, 'person: broken annotation': 2}
    with pytest.raises(ValueError, match=r"a.json: categories\[0\]: 'name' is missing"):
        read(categories=[{'id': 1}])
    with pytest.raises(ValueError, match='a.json: categories must be a list, got 5'):
        read(categories=5)


def test_a_file_is_read_with_counts_and_people_without_points(template, tmp_path):
    bad = annotation_with(template, id=8)
    bad['dp_U'][0] = -1
    path = write(tmp_path / 'people.json', annotation_with(template), bad,
                 {'id': 9, 'image_id': 1, 'bbox': [0, 0, 10, 10], 'keypoints': [3, 4, 2] * 17},
                 {'id': 10, 'image_id': 1, 'bbox': [0, 0, 0, 10]})
    data = DensePoseCoco(path, template)
    assert [record.annotation_id for record in data] == [7, 8, 9]
    assert [None if record.points is None else len(record.points) for record in data] == [20, 19, None]
    assert (
        data[2].keypoints.shape == (17, 3)
        and data[0].file_name == 'a.jpg'
        and data[0].image_size == (200, 300)
    )
    assert data[0].vertices_image is None
    assert (
        '1 x person: bbox has no area' in data.summary()
        and '1 x point: dp_U is outside [0, 1]' in data.summary()
    )


def test_a_file_that_is_cut_off_or_no_text_tells_where(template, tmp_path):
    path = write(tmp_path / 'cut.json', annotation_with(template))
    text = path.read_text()
    path.write_text(text[:len(text) // 2])
    with pytest.raises(ValueError, match=rf'cut.json: no valid JSON at line 1, column \d+, character \d+ of '
                                         rf'{len(text) // 2}'):
        DensePoseCoco(path, template)
    path.write_bytes(text[:11].encode() + b'\xff' + text[11:].encode())
    with pytest.raises(ValueError, match=rf'cut.json: no UTF-8 text at byte 11 of {len(text) + 1} \(0xff\)'):
        DensePoseCoco(path, template)
    path.write_text('{"images": []}')
    with pytest.raises(ValueError, match="needs a list 'annotations'"):
        DensePoseCoco(path, template)
    with pytest.raises(FileNotFoundError, match='absent.json'):
        DensePoseCoco(tmp_path / 'absent.json', template)


def test_charts_of_another_surface_are_refused(template, tmp_path):
    path = write(tmp_path / 'a.json', annotation_with(template), info={'densepose_surface': 'smpl'})
    with pytest.raises(ValueError, match="'smpl', but template 'anny' lies on the surface 'anny'"):
        DensePoseCoco(path, template)
    path = write(tmp_path / 'b.json', annotation_with(template), info={})
    with pytest.raises(ValueError, match="is missing, taken as 'smpl'"):
        DensePoseCoco(path, template)
    assert len(DensePoseCoco(path, template, surface='anny')) == 1
    plain = {'id': 1, 'image_id': 1, 'bbox': [0, 0, 5, 5]}
    assert len(DensePoseCoco(write(tmp_path / 'c.json', plain, info={}), template)) == 1


def save_meshes(path, on, compressed=False, **changes):
    count = on.num_vertices
    arrays = {
        'template': 'anny',
        'version': 1,
        'annotation_ids': np.array([9, 7]),
        'vertices_image': np.random.default_rng(0).random((2, count, 3), np.float32),
        'visibility': np.ones((2, count), np.uint8),
        'vertices_camera': np.zeros((2, count, 3), np.float32),
    }
    arrays.update(changes)
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path, arrays


@pytest.mark.parametrize('compressed', [False, True])
def test_meshes_go_to_their_annotations(template, tmp_path, compressed):
    path, arrays = save_meshes(tmp_path / 'm.npz', template, compressed)
    data = DensePoseCoco(
        write(tmp_path / 'a.json', annotation_with(template), annotation_with(template, id=8)), template, path
    )
    np.testing.assert_array_equal(data[0].vertices_image, arrays['vertices_image'][1])
    assert data[0].vertex_visibility.shape == (template.num_vertices,) and data[1].vertices_image is None


@pytest.mark.parametrize('changes, match', [
    ({'template': 'other'}, "meshes of template 'other', but template 'anny'"),
    ({'version': 9}, 'version 9, this library reads 1'),
    ({'visibility': np.ones((2, 3), np.uint8)}, r'visibility must be \(2, \d+\), got \(2, 3\)'),
])
def test_other_meshes_are_refused(template, tmp_path, changes, match):
    path, _ = save_meshes(tmp_path / 'm.npz', template, **changes)
    with pytest.raises(ValueError, match=match):
        load_meshes(path, template)


def test_broken_and_missing_meshes_are_named(template, tmp_path):
    (tmp_path / 'm.npz').write_bytes(b'nothing')
    with pytest.raises(ValueError, match='m.npz: no readable file of meshes'):
        load_meshes(tmp_path / 'm.npz', template)
    with pytest.raises(FileNotFoundError, match='n.npz'):
        load_meshes(tmp_path / 'n.npz', template)
