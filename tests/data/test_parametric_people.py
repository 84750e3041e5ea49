"""HumanData, 3DPW and BEDLAM files of the true layouts, with known people: read, placed, projected."""
import pickle
from collections import OrderedDict

import cv2
import numpy as np
import pytest
from random_smpl import smpl_template, write_smpl
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from smpl_topology import asset

pytest.importorskip('smplx')

from meshpose_plugins.bodies import load_body  # noqa: E402
from meshpose_plugins.cli import convert_dataset  # noqa: E402
from meshpose_plugins.data import DensePoseCoco  # noqa: E402
from meshpose_plugins.data.parametric import convert_people, read_people  # noqa: E402
from meshpose_plugins.data.parametric.placement import fit_translation, project  # noqa: E402
from meshpose_plugins.templates import load_template, save_template  # noqa: E402

COUNT = 3
K = np.array([[900.0, 0, 320], [0, 900, 240], [0, 0, 1]])
PLACES = np.array([[0.1, 0.2, 5.0], [-0.3, 0, 6.5], [0.2, -0.1, 8]])
TURNS = Rotation.from_rotvec([[0.2, 2.9, 0.1], [-0.1, 0.4, 0], [3.0, 0.1, 0.2]])


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp('model') / 'SMPL_NEUTRAL.npz'
    return path, write_smpl(path)


@pytest.fixture(scope='module')
def template():
    return smpl_template()


@pytest.fixture(scope='module')
def expected(model, template):
    """Vertices of the template and joints in camera space, by hand: only the root turns."""
    rest = model[1]['v_template'].astype(np.float64)
    joints = model[1]['J_regressor'].astype(np.float64) @ rest
    turned = [TURNS[k].apply(np.concatenate([rest, joints]) - joints[0]) + joints[0] + PLACES[k]
              for k in range(COUNT)]
    return (np.stack([points[:len(rest)][template.source_vertex_ids] for points in turned]),
            np.stack([points[len(rest):] for points in turned]))


def parameters(**changes):
    values = dict(global_orient=TURNS.as_rotvec(), body_pose=np.zeros((COUNT, 23, 3)),
                  betas=np.zeros((COUNT, 10)), transl=PLACES.copy())
    values.update(changes)
    return values


def human_data(**changes):
    values = {
        '__key_strict__': False, '__data_len__': COUNT, '__keypoints_compressed__': False,
        'image_path': [f's1/{k}.jpg' for k in range(COUNT)],
        'bbox_xywh': np.tile([50.0, 40, 200, 300, 1], (COUNT, 1)),
        'config': 'h36m', 'smpl': parameters(),
        'meta': dict(gender=['m', 'f', 'n'], focal_length=np.tile([900.0, 900], (COUNT, 1)),
                     principal_point=np.tile([320.0, 240], (COUNT, 1)), height=[480] * COUNT,
                     width=[640] * COUNT),
    }
    values.update(changes)
    return values


def projected(points, k):
    return np.column_stack([points @ K[0] / points[:, 2], points @ K[1] / points[:, 2]])


def check(out, template, expected, rows=range(COUNT), z_atol=0.02):
    """The written files, read by the library's own reader, hold the hand-made meshes."""
    data = DensePoseCoco(out / 'annotations.json', template, out / 'meshes.npz')
    assert [record.annotation_id - 1 for record in data] == list(rows)
    for record in data:
        mesh = expected[0][record.annotation_id - 1]
        root = template.joints(mesh)[template.root_joint]
        np.testing.assert_allclose(record.vertices_camera, mesh - root, atol=1e-4)
        np.testing.assert_allclose(record.vertices_image[:, :2], projected(mesh, 0), atol=0.05)
        # px per metre at the depth of the body's first joint, which is the model's own root.
        scale = 900 / expected[1][record.annotation_id - 1][0, 2]
        np.testing.assert_allclose(record.vertices_image[:, 2], (mesh - root)[:, 2] * scale, atol=z_atol)
        assert set(np.unique(record.vertex_visibility)) <= {0, 1}
    return data


def bodies(model):
    return lambda gender: load_body('smpl', str(model[0]))


def test_human_data(tmp_path, model, template, expected):
    np.savez_compressed(tmp_path / 'h36m.npz', **human_data())
    people = read_people(tmp_path / 'h36m.npz', 'humandata')
    assert (len(people), people.body, people.genders) == (COUNT, 'smpl', ['male', 'female', 'neutral'])
    report = convert_people(people, template, bodies(model), tmp_path / 'out', progress=False)
    data = check(tmp_path / 'out', template, expected)
    assert data[0].bbox.tolist() == [50, 40, 200, 300] and data[0].image_size == (640, 480)
    assert data[0].file_name == 's1/0.jpg' and report.read['people converted'] == COUNT
    assert data[0].keypoints is None and not report.dropped


@pytest.mark.parametrize('compressed', [True, False])
def test_human_data_without_a_camera_is_placed_by_its_joints(tmp_path, model, template, expected, compressed):
    keypoints, mask = np.zeros((COUNT, 190, 3)), np.zeros(190)
    for k in range(COUNT):
        keypoints[k, :22, :2], keypoints[k, :22, 2] = projected(expected[1][k], 0)[:22], 1
    mask[:22] = 1
    smpl = parameters()
    del smpl['transl']
    held = keypoints[:, :22] if compressed else keypoints
    np.savez(tmp_path / 'a.npz', **human_data(
        smpl=smpl, keypoints2d=held, keypoints2d_mask=mask, __keypoints_compressed__=compressed))
    people = read_people(tmp_path / 'a.npz', 'humandata')
    convert_people(people, template, bodies(model), tmp_path / 'out', progress=False)
    data = check(tmp_path / 'out', template, expected)
    left_shoulder = data[1].keypoints[5]
    np.testing.assert_allclose(left_shoulder, [*projected(expected[1][1], 0)[16], 2], atol=0.02)
    assert data[1].keypoints[0, 2] == 0, 'the file has no nose'
    # Without a focal length the projection is scaled orthographic: nearly the same at some distance.
    people.intrinsics[:] = np.nan
    convert_people(people, template, bodies(model), tmp_path / 'weak', progress=False)
    weak = DensePoseCoco(tmp_path / 'weak/annotations.json', template, tmp_path / 'weak/meshes.npz')
    size = np.ptp(data[2].vertices_image[:, :2], axis=0).max()
    assert np.abs(weak[2].vertices_image - data[2].vertices_image).mean() < 0.03 * size


def test_3dpw_sequences(tmp_path, model, template, expected):
    world = Rotation.from_rotvec([0.4, -0.7, 0.2])
    camera = np.tile(np.eye(4), (COUNT, 1, 1))
    camera[:, :3, :3], camera[:, :3, 3] = world.as_matrix(), [0.3, -0.2, 1.0]
    root = model[1]['J_regressor'].astype(np.float64)[0] @ model[1]['v_template']
    # The world's parameters: v_camera = R v_world + t, where the body turns about its own root.
    orient = (world.inv() * TURNS).as_rotvec()
    trans = world.inv().apply(PLACES + root - camera[:, :3, 3]) - root
    pose = np.concatenate([orient, np.zeros((COUNT, 69))], axis=1)
    values = dict(
        sequence='downtown_test_00', poses=[pose, pose], trans=[trans, trans], betas=[np.zeros(10)] * 2,
        genders=['m', 'f'], cam_poses=camera, cam_intrinsics=K, poses2d=[np.zeros((COUNT, 3, 18))] * 2,
        campose_valid=[np.ones(COUNT), np.array([1, 0, 1])], img_frame_ids=np.arange(COUNT))
    (tmp_path / 'sequences').mkdir()
    (tmp_path / 'sequences/a.pkl').write_bytes(pickle.dumps(values, protocol=2))
    people = read_people(tmp_path / 'sequences', '3dpw')
    assert len(people) == COUNT + 2 and people.genders == ['male'] * 3 + ['female'] * 2
    assert people.image_paths[4] == 'downtown_test_00/image_00002.jpg'
    convert_people(people[range(COUNT)], template, bodies(model), tmp_path / 'out', progress=False)
    data = check(tmp_path / 'out', template, expected)
    assert data[0].image_size == (640, 480), 'twice the principal point'


def test_bedlam(tmp_path, model, template, expected):
    camera = np.tile(np.eye(4), (COUNT, 1, 1))
    camera[:, :3, 3] = [0.5, 0, 1.5]
    np.savez(
        tmp_path / 'scene.npz', imgname=np.array([f'seq_{k}/a.png' for k in range(COUNT)]),
        center=np.tile([300.0, 200], (COUNT, 1)), scale=np.full(COUNT, 0.5),
        pose_cam=np.concatenate([TURNS.as_rotvec(), np.zeros((COUNT, 69))], axis=1),
        shape=np.zeros((COUNT, 10)), trans_cam=PLACES - camera[:, :3, 3], cam_ext=camera,
        cam_int=np.tile(K, (COUNT, 1, 1)), gtkps=np.zeros((COUNT, 127, 3)))
    people = read_people(tmp_path / 'scene.npz', 'bedlam')
    convert_people(people, template, bodies(model), tmp_path / 'out', progress=False)
    data = check(tmp_path / 'out', template, expected)
    assert data[0].bbox.tolist() == [250, 150, 100, 100], 'a square of 200 scale'


def test_bedlam_of_smplx_is_split_into_parts(tmp_path):
    pose = np.arange(2 * 165, dtype=float).reshape(2, 165)
    np.savez(tmp_path / 'x.npz', imgname=np.array(['a', 'b']), pose_cam=pose, shape=np.zeros((2, 11)),
             trans_cam=np.zeros((2, 3)), cam_ext=np.tile(np.eye(4), (2, 1, 1)), cam_int=np.tile(K, (2, 1, 1)))
    people = read_people(tmp_path / 'x.npz', 'bedlam')
    assert people.body == 'smplx'
    order = ('global_orient', 'body_pose', 'jaw_pose', 'leye_pose', 'reye_pose', 'left_hand_pose',
             'right_hand_pose')
    np.testing.assert_array_equal(np.concatenate([people.parameters[n] for n in order], axis=1), pose)


def test_bad_people_are_counted_and_the_others_go_on(tmp_path, model, template, expected):
    values = human_data(meta={})
    values['smpl'] = parameters()
    people = 7
    for name in ('global_orient', 'body_pose', 'betas', 'transl'):
        values['smpl'][name] = np.repeat(values['smpl'][name][:1], people, axis=0)
    values['smpl']['betas'][1, 3] = np.nan
    values['smpl']['transl'][2] = [0, 0, -3]
    values['smpl']['transl'][3] = [90, 0, 5]
    values['smpl']['transl'][4] = np.nan
    values.update(__data_len__=people, image_path=[f'{k}.png' for k in range(people)],
                  bbox_xywh=np.zeros((people, 5)))
    (tmp_path / 'images').mkdir()
    for k in range(people):
        cv2.imwrite(str(tmp_path / f'images/{k}.png'), np.zeros((480, 640), np.uint8))
    (tmp_path / 'images/5.png').unlink()
    (tmp_path / 'images/6.png').write_bytes(b'nothing')
    np.savez(tmp_path / 'a.npz', **values)
    report = convert_people(read_people(tmp_path / 'a.npz', 'humandata'), template, bodies(model),
                            tmp_path / 'out', tmp_path / 'images', focal=900, progress=False)
    check(tmp_path / 'out', template, expected, rows=[0])
    assert report.dropped == {
        'person: betas is not finite': 1, 'person: not in front of the camera': 1,
        'person: outside the image': 1, 'person: neither a camera with a translation nor 2-D joints': 1,
        'person: image is missing or unreadable': 2}


def test_a_body_file_of_the_wrong_model_is_named(tmp_path, model, template, capsys):
    np.savez(tmp_path / 'a.npz', **human_data())
    people = read_people(tmp_path / 'a.npz', 'humandata')
    (tmp_path / 'models').mkdir()
    write_smpl(tmp_path / 'models/SMPL_MALE.npz')
    np.savez(tmp_path / 'models/SMPL_FEMALE.npz', **dict(
        write_smpl(tmp_path / 'x.npz'), v_template=np.zeros((778, 3)), kintree_table=np.zeros((2, 16))))

    def load(gender):
        return load_body('smpl', str(tmp_path / 'models'), gender)
    report = convert_people(people, template, load, tmp_path / 'out', progress=False)
    assert report.dropped == {'person: no female model file': 1, 'person: no neutral model file': 1}
    assert any('MANO' in problem and 'SMPL_FEMALE.npz' in problem for problem in report.problems)
    assert 'no neutral SMPL model' in report.table()
    save_template(template, tmp_path / 'template.npz')
    arguments = ['humandata', str(tmp_path / 'a.npz'), '--out', str(tmp_path / 'out2'), '--quiet',
                 '--template', str(tmp_path / 'template.npz')]
    with pytest.raises(SystemExit, match='^convert_dataset: .*nobody is left to convert'):
        convert_dataset.main([*arguments, '--model-path', str(tmp_path / 'models/SMPL_FEMALE.npz')])
    arguments += ['--model-path', str(tmp_path / 'models'), '--gender', 'male']
    assert convert_dataset.main(arguments) == 0
    assert '| read | people converted | 3 |' in capsys.readouterr().out
    with pytest.raises(ValueError, match="lies on the body 'anny'.*or correspondence='smpl_to_anny'"):
        convert_people(people, load_template('anny'), bodies(model), tmp_path / 'out3', progress=False)


@pytest.mark.parametrize('changes, match', [
    (dict(smpl=None), "'smpl' or 'smplx' of body parameters is missing"),
    (dict(image_path=None), "a.npz: 'image_path' is missing"),
    (dict(__data_len__=9), "'__data_len__' is 9, image_path has 3"),
    (dict(smpl=parameters(betas=np.zeros((2, 10)))), r'betas must have one row .* 3 images, got \(2, 10\)'),
    (dict(smpl=parameters(betas='abc')), 'betas must be an array of numbers, got abc'),
    (dict(smpl=dict(global_orient=np.zeros((3, 3)), betas=np.zeros((3, 10)))), "'body_pose' is missing"),
    (dict(keypoints2d=np.zeros((3, 7, 3))), r'keypoints2d must be \(3, 190, 3\)'),
])
def test_broken_human_data_is_named(tmp_path, changes, match):
    np.savez(tmp_path / 'a.npz', **human_data(**changes))
    with pytest.raises(ValueError, match=match):
        read_people(tmp_path / 'a.npz', 'humandata')


def test_pickles_execute_nothing(tmp_path):
    for value in (print, OrderedDict):
        (tmp_path / 'a.pkl').write_bytes(pickle.dumps(dict(sequence=value)))
        with pytest.raises(ValueError, match='a.pkl: refused, nothing of it was executed'):
            read_people(tmp_path / 'a.pkl', '3dpw')
    with pytest.raises(ValueError, match="a.npz: field 'smpl'.*refused"):
        np.savez(tmp_path / 'a.npz', **human_data(smpl=dict(body_pose=print)))
        read_people(tmp_path / 'a.npz', 'humandata')
    with pytest.raises(FileNotFoundError, match='b.npz: no such file'):
        read_people(tmp_path / 'b.npz', 'bedlam')
    with pytest.raises(ValueError, match="must be one of humandata, 3dpw, bedlam, got 'coco'"):
        read_people(tmp_path / 'a.npz', 'coco')


def test_the_translation_is_found_again():
    rng = np.random.default_rng(0)
    joints, offset = rng.normal(size=(22, 3)) * 0.4, np.array([0.3, -0.4, 6.0])
    pixels = np.column_stack([project(joints + offset, K)[:, :2], rng.uniform(0.5, 1, 22)])
    np.testing.assert_allclose(fit_translation(joints, pixels, K), offset, atol=1e-9)


def test_people_of_smpl_reach_a_template_on_anny(tmp_path, capsys):
    """The surface of a real body of SMPL's topology: the template's vertices lie on it, where they belong."""
    rest = asset()['template'].astype(np.float32)
    near = cKDTree(rest).query(rest, 5)[1]  # the true faces are not free: small ones at every vertex instead
    faces = np.concatenate([near[:, [0, 1, 2]], near[:, [0, 3, 4]]])[:13776]
    write_smpl(tmp_path / 'SMPL_NEUTRAL.npz', v_template=rest, f=faces,
               J_regressor=np.full((24, 6890), 1 / 6890, np.float32), shapedirs=np.zeros((6890, 3, 10)))
    turn = Rotation.from_rotvec([np.pi, 0, 0])  # upright before a camera whose y points down
    np.savez(tmp_path / 'a.npz', **human_data(smpl=parameters(
        global_orient=np.tile(turn.as_rotvec(), (COUNT, 1)), transl=np.tile([0, 0, 6.0], (COUNT, 1)))))
    model = str(tmp_path / 'SMPL_NEUTRAL.npz')
    assert convert_dataset.main(['humandata', str(tmp_path / 'a.npz'), '--out', str(tmp_path / 'out'),
                                 '--model-path', model, '--gender', 'neutral', '--quiet']) == 0
    assert '| read | people converted | 3 |' in capsys.readouterr().out
    anny = load_template('anny')
    record = DensePoseCoco(tmp_path / 'out/annotations.json', anny, tmp_path / 'out/meshes.npz')[0]
    keypoints = dict(zip(anny.keypoint_names, anny.keypoints(record.vertices_camera)))
    assert keypoints['nose'][1] < -0.4 < 0.4 < keypoints['left_ankle'][1], 'y points down'
    assert keypoints['left_wrist'][0] > 0.2 and keypoints['right_wrist'][0] < -0.2, 'facing the camera'
    assert keypoints['nose'][2] < -0.02
