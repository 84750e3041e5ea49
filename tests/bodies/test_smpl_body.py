"""Bodies of the SMPL family against the classes of smplx, and model files that are wrong or dangerous."""

import io
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest
import smpl_topology
import smplx
import torch
from scipy import sparse

from meshpose_plugins.bodies import COCO_KEYPOINT_NAMES, BodyModel, load_body
from meshpose_plugins.bodies.pose_sampling import sample_pose
from meshpose_plugins.bodies.rotations import Z_UP_FROM_Y_UP
from meshpose_plugins.bodies.safe_pickle import as_array, load_arrays

SIZES = {'smpl': (6890, 24, 10), 'smplh': (6890, 52, 16), 'smplx': (10475, 55, 20)}


def write_npz(path, fields):
    np.savez(path, **fields)
    return path


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """One neutral model of each kind, named as published."""
    folder = tmp_path_factory.mktemp('models')
    for name, sizes in SIZES.items():
        fields = smpl_topology.random_fields(*sizes)
        if name == 'smplx':  # smplx asks for face landmarks
            fields.update(lmk_faces_idx=np.zeros(3, np.int64), lmk_bary_coords=np.full((3, 3), 1 / 3))
        write_npz(folder / f'{name.upper()}_NEUTRAL.npz', fields)
    return folder


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """Fields of an SMPL file that compress well, to be changed and written by tests."""
    fields = smpl_topology.random_fields(*SIZES['smpl'])
    fields['posedirs'] = np.zeros((6890, 3, 207), np.float32)
    return fields


def expected_from_smplx(name, folder, parameters):
    """Vertices of smplx's own class for the parameters, axis and angle."""
    kwargs = dict(ext='npz', use_pca=False, flat_hand_mean=True, batch_size=len(parameters['betas']))
    if name == 'smpl':  # smplx reads this one as a pickle only
        with np.load(folder / 'SMPL_NEUTRAL.npz') as file:
            kwargs = dict(data_struct=smplx.utils.Struct(**dict(file)), batch_size=kwargs['batch_size'])
    model = {'smpl': smplx.SMPL, 'smplh': smplx.SMPLH, 'smplx': smplx.SMPLX}[name](
        str(folder / f'{name.upper()}_NEUTRAL.npz'), num_betas=parameters['betas'].shape[1], **kwargs
    )
    with torch.no_grad():
        tensors = {key: torch.tensor(value, dtype=torch.float32) for key, value in parameters.items()}
        return model(**tensors).vertices.numpy()


@pytest.mark.parametrize('name', SIZES)
def test_vertices_equal_those_of_smplx(name, folder):
    rng = np.random.default_rng(1)
    body = load_body(name, folder)
    sizes = dict(betas=10, body_pose=69 if name == 'smpl' else 63, global_orient=3, transl=3)
    if name != 'smpl':
        sizes.update(left_hand_pose=45, right_hand_pose=45)
    if name == 'smplx':
        sizes.update(jaw_pose=3, leye_pose=3, reye_pose=3, expression=10)
    parameters = {key: rng.normal(0, 0.4, (3, size)) for key, size in sizes.items()}
    posed = body.pose_parameters(**parameters)
    expected = expected_from_smplx(name, folder, parameters)
    np.testing.assert_allclose(posed.vertices, expected, atol=2e-5)
    assert posed.joints.shape == (3, SIZES[name][1], 3) and len(body.joint_names) == SIZES[name][1]
    np.testing.assert_allclose(posed.keypoints, body.keypoint_regressor @ posed.vertices, atol=1e-5)


@pytest.mark.parametrize('name', SIZES)
def test_body_protocol_in_its_own_axes(name, folder):
    body = load_body(name, folder)
    assert isinstance(body, BodyModel) and body.keypoint_names == COCO_KEYPOINT_NAMES
    np.testing.assert_allclose(body.keypoint_regressor.sum(axis=1), 1, atol=1e-5)
    rng = np.random.default_rng(2)
    shape, rotations = body.sample_shape(rng), sample_pose(body, rng)
    assert rotations.shape == (len(body.joint_names), 3, 3)
    posed = body.pose(shape, rotations, translation=[0.1, 0.2, 0.3])
    np.testing.assert_allclose(posed.joints[0], [0.1, 0.2, 0.3], atol=1e-5)
    own = Z_UP_FROM_Y_UP.T @ rotations @ Z_UP_FROM_Y_UP
    groups = dict(global_orient=own[None, 0])
    if name == 'smpl':
        groups['body_pose'] = own[None, 1:]
    else:
        first = 25 if name == 'smplx' else 22
        groups.update(body_pose=own[None, 1:22], left_hand_pose=own[None, first : first + 15])
        groups['right_hand_pose'] = own[None, first + 15 :]
        if name == 'smplx':
            groups.update(jaw_pose=own[None, 22], leye_pose=own[None, 23], reye_pose=own[None, 24])
    same = body.pose_parameters((shape[None] * 2 - 1) * 3, **groups)
    moved = (same.vertices[0] - same.joints[0, 0]) @ Z_UP_FROM_Y_UP.T + [0.1, 0.2, 0.3]
    np.testing.assert_allclose(posed.vertices, moved, atol=2e-5)


def test_one_body_and_batches_agree(folder):
    body, rng = load_body('smpl', folder), np.random.default_rng(3)
    poses = sample_pose(body, rng, 70)  # more than are posed at once
    batch = body.pose(np.full(10, 0.6), poses)
    assert batch.vertices.shape == (70, 6890, 3)
    np.testing.assert_allclose(batch.vertices[69], body.pose(np.full(10, 0.6), poses[69]).vertices, atol=1e-5)
    one = body.pose_parameters(np.zeros(10), np.zeros(69))
    np.testing.assert_allclose(one.vertices, body.arrays.template, atol=1e-5)


def test_hands_by_components_and_with_their_mean(folder):
    body, rng = load_body('smplh', folder), np.random.default_rng(4)
    coefficients = rng.normal(0, 0.3, (2, 6))
    angles = coefficients @ body.arrays.hand_components['left'][:6]
    pose = dict(betas=np.zeros((1, 10)), body_pose=np.zeros((2, 63)))
    by_components = body.pose_parameters(**pose, left_hand_pose=coefficients)
    np.testing.assert_allclose(
        by_components.vertices, body.pose_parameters(**pose, left_hand_pose=angles).vertices, atol=1e-5
    )
    with_mean = body.pose_parameters(**pose, left_hand_pose=angles, hand_mean=True)
    plain = body.pose_parameters(**pose, left_hand_pose=angles + body.arrays.hand_means['left'])
    np.testing.assert_allclose(with_mean.vertices, plain.vertices, atol=1e-5)


def test_parameters_without_a_place_or_of_wrong_size_are_named(folder):
    body = load_body('smpl', folder)
    pose = np.zeros((2, 69))
    for parameters, message in (
        (dict(body_pose=np.zeros((2, 72))), r'body_pose must hold .* 23 joints'),
        (dict(body_pose=pose, jaw_pose=np.zeros((2, 3))), "'jaw_pose' has no place in 'smpl'"),
        (dict(body_pose=pose, global_orient=np.zeros((3, 3))), 'body_pose has 2 bodies'),
        (dict(body_pose=np.full((2, 69), np.nan)), 'body_pose has values that are not finite'),
        (dict(body_pose=pose, betas=np.zeros((2, 11))), 'betas must be .* at most 10'),
    ):
        with pytest.raises(ValueError, match=message):
            body.pose_parameters(**{'betas': np.zeros((1, 10)), **parameters})
    with pytest.raises(ValueError, match='beta_0'):
        body.pose(np.full(10, 1.5), np.tile(np.eye(3), (24, 1, 1)))


# ---- pickles


def pickled_with_chumpy(fields, protocol):
    """The fields as SMPL's own files keep them: chumpy arrays and sparse matrices, without having chumpy."""
    chumpy = {name: types.ModuleType(name) for name in ('chumpy', 'chumpy.ch', 'chumpy.reordering')}
    ch = type('Ch', (), {'__module__': 'chumpy.ch'})
    select = type('Select', (), {'__module__': 'chumpy.reordering'})
    chumpy['chumpy.ch'].Ch, chumpy['chumpy.reordering'].Select = ch, select
    template, shapes, base = ch(), select(), ch()
    template.x = np.asarray(fields['v_template'])
    base.x = np.concatenate([fields['shapedirs'], np.ones((6890, 3, 2))], axis=2)
    shapes.a, shapes.preferred_shape = base, (6890, 3, 10)
    shapes.idxs = np.arange(base.x.size).reshape(base.x.shape)[..., :10].ravel()
    content = {
        **fields,
        'v_template': template,
        'shapedirs': shapes,
        'J_regressor': sparse.csc_matrix(fields['J_regressor']),
        'bs_type': 'lrotmin',
        'J': ch(),
    }
    sys.modules.update(chumpy)
    try:
        return pickle.dumps(content, protocol)
    finally:
        for name in chumpy:
            del sys.modules[name]


@pytest.mark.parametrize('protocol', [0, 2, 5])
def test_pickles_are_read_without_chumpy(protocol, small, tmp_path):
    fields = {**small, 'posedirs': small['posedirs'][:, :, :2]} if protocol == 0 else small  # 0 is text: large
    path = tmp_path / 'SMPL_FEMALE.pkl'
    path.write_bytes(pickled_with_chumpy(fields, protocol))
    found = load_arrays(path)
    for name in ('v_template', 'shapedirs', 'J_regressor', 'f', 'weights', 'kintree_table'):
        np.testing.assert_array_equal(as_array(found[name], name), small[name])
    if protocol:
        body = load_body('smpl', path)
        assert body.gender == 'female'
        np.testing.assert_allclose(body.arrays.template, small['v_template'], atol=1e-6)
    with pytest.raises(ValueError, match='chumpy expression'):
        as_array(found['J'], 'J')


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def attacks(target):
    """Pickles that would create the target file, or that reach for more than arrays."""
    import os
    import subprocess

    code = f"open({str(target)!r}, 'w').close()"
    calls = {
        'system': Call(os.system, f'touch {target}'),
        'eval': Call(eval, f'open({str(target)!r}, "w")'),
        'exec': Call(exec, code),
        'popen': Call(subprocess.Popen, ['touch', str(target)]),
        'getattr': Call(getattr, 'x', 'join'),
        'import': Call(__import__, 'antigravity'),
        'numpy.load': Call(np.load, str(target)),
        'object array': np.array([Call(os.system, f'touch {target}')], object),
    }
    streams = {name: pickle.dumps({'v_template': value}) for name, value in calls.items()}
    streams['protocol 0'] = b"cos\nsystem\n(S'touch " + str(target).encode() + b"'\ntR."
    streams['dotted name'] = b'\x80\x04\x8c\x08builtins\x8c\x0dobject.__init__\x93.'
    streams['name below chumpy'] = b'\x80\x04\x8c\x06chumpy\x8c\x0bos.system__\x93.'
    streams['changes a function'] = (
        b'cnumpy.core.multiarray\n_reconstruct\n(N}' + b"S'__call__'\nNstb."
    )
    return streams


def test_pickles_with_anything_executable_are_refused_and_nothing_runs(tmp_path):
    target = tmp_path / 'executed'
    for name, stream in attacks(target).items():
        path = tmp_path / 'SMPL_NEUTRAL.pkl'
        path.write_bytes(stream)
        with pytest.raises(ValueError, match='SMPL_NEUTRAL.pkl'):
            load_body.__wrapped__('smpl', path)
        assert not target.exists(), name
    with pytest.raises(ValueError, match=r"refused, nothing of it was executed: it asks for '(posix|nt).system'"):
        path.write_bytes(attacks(target)['system'])
        load_arrays(path)


def test_a_pickle_inside_an_npz_is_read_by_the_same_rules(small, tmp_path):
    path = tmp_path / 'SMPL_NEUTRAL.npz'
    stored = np.empty((), object)
    stored[()] = sparse.csc_matrix(small['J_regressor'])
    write_npz(path, {**small, 'J_regressor': stored})
    np.testing.assert_allclose(
        load_body.__wrapped__('smpl', path).arrays.joint_regressor, small['J_regressor'], atol=1e-7
    )
    target = tmp_path / 'executed'
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {'shape': (), 'fortran_order': False, 'descr': '|O'})
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('v_template.npy', buffer.getvalue() + attacks(target)['system'])
    with pytest.raises(ValueError, match=r"field 'v_template': refused"):
        load_body.__wrapped__('smpl', path)
    assert not target.exists()


# ---- wrong files


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(v_template=None), "field 'v_template' is missing: no SMPL model file"),
        (dict(posedirs=np.zeros((6890, 3, 9))), "field 'posedirs' has shape .*, expected 6890 x 3 x 207"),
        (dict(weights=np.full((6890, 24), np.nan)), "field 'weights' has values that are not finite"),
        (dict(f=np.array([[0, 1, 6890]])), "field 'f' refers to vertices outside 0..6889"),
        (dict(kintree_table=np.tile(np.arange(24)[::-1], (2, 1))), "field 'kintree_table' is no tree"),
        (dict(J_regressor=np.array(['a'])), "field 'J_regressor' is no array of numbers"),
    ],
)
def test_broken_fields_are_named(changes, message, small, tmp_path):
    fields = {name: value for name, value in {**small, **changes}.items() if value is not None}
    with pytest.raises(ValueError, match=message) as error:
        load_body.__wrapped__('smpl', write_npz(tmp_path / 'model.npz', fields))
    assert 'model.npz' in str(error.value)


def test_other_models_genders_and_missing_files_are_named(folder, small, tmp_path):
    with pytest.raises(ValueError, match=r"10475 vertices and 55 joints: this is SMPL-X .*smpl.is.tue.mpg.de"):
        load_body('smpl', folder / 'SMPLX_NEUTRAL.npz')
    with pytest.raises(ValueError, match="this is SMPL .*; SMPL-H has 6890 and 52; obtain it from .*mano"):
        load_body('smplh', folder / 'SMPL_NEUTRAL.npz')
    hand = {'v_template': np.zeros((778, 3)), 'kintree_table': np.zeros((2, 16))}
    with pytest.raises(ValueError, match='this is MANO'):
        load_body('smpl', write_npz(tmp_path / 'MANO_RIGHT.npz', hand))
    with pytest.raises(ValueError, match="field 'gender' is 'neutral', asked for was 'male'"):
        load_body('smpl', folder / 'SMPL_NEUTRAL.npz', gender='male')
    with pytest.raises(FileNotFoundError, match='no female SMPL model in this folder .*SMPL_FEMALE.npz'):
        load_body('smpl', folder, gender='female')
    with pytest.raises(FileNotFoundError, match='no such SMPL-X model file or folder; obtain one from'):
        load_body('smplx', tmp_path / 'none.npz')
    with pytest.raises(ValueError, match="body 'smpl' needs model_path"):
        load_body('smpl')
    with pytest.raises(ValueError, match="gender must be one of"):
        load_body('smpl', folder, gender='femal')
    with pytest.raises(ValueError, match='num_betas=11'):
        load_body('smpl', folder, num_betas=11)
    for name, content in (('a.npz', b'PK no zip'), ('a.pkl', b'\x80\x04garbage'), ('a.txt', b'')):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name):
            load_body('smpl', tmp_path / name)


def test_published_names_in_folders(small, tmp_path):
    (tmp_path / 'models').mkdir()
    for name in ('basicModel_neutral_lbs_10_207_0_v1.0.0', 'basicmodel_m_lbs_10_207_0_v1.1.0'):
        (tmp_path / 'models' / f'{name}.pkl').write_bytes(pickle.dumps(small))
    assert load_body('smpl', tmp_path).gender == 'neutral'
    male = load_body('smpl', tmp_path, gender='male')
    assert male.gender == 'male' and 'v1.1.0' in male.arrays.path.name
