"""MHR against a plain reimplementation of its published formulas, and asset files that are wrong."""

import io
import zipfile

import mhr_assets
import numpy as np
import pytest

from meshpose_plugins.bodies import COCO_KEYPOINT_NAMES, BodyModel, load_body
from meshpose_plugins.bodies.mhr_files import find_asset_files
from meshpose_plugins.bodies.motion import load_poses
from meshpose_plugins.bodies.pose_sampling import sample_pose
from meshpose_plugins.bodies.pose_transfer import PoseTransfer, limb_landmarks
from meshpose_plugins.bodies.rotations import Z_UP_FROM_Y_UP


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return mhr_assets.write(tmp_path_factory.mktemp('mhr') / 'assets')


@pytest.fixture(scope='module')
def body(folder):
    return load_body('mhr', folder)


def quaternion_matrix(q):
    x, y, z, w = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def euler_matrix(x, y, z):
    cx, cy, cz, sx, sy, sz = *np.cos((x, y, z)), *np.sin((x, y, z))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def homogeneous(rotation, translation, scale):
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation * scale, translation
    return matrix


def reference(identity, parameters, expression, correctives=True):
    """Vertices and joints of one body in MHR's own units, centimetres, from the fields of the files."""
    rig, surface = mhr_assets.fields()
    vertices = surface['base_shape'].astype(float)
    for value, shape in zip(np.concatenate([identity, expression]), surface['shape_vectors']):
        vertices = vertices + value * shape
    joint_parameters = (rig['parameter_transform'][:, :204].astype(float) @ parameters).reshape(-1, 7)
    world, features = [], []
    for joint, (*translation, x, y, z, scale) in enumerate(joint_parameters):
        turned = euler_matrix(x, y, z)
        local = homogeneous(
            quaternion_matrix(rig['joint_prerotations'][joint].astype(float)) @ turned,
            rig['joint_offsets'][joint] + translation,
            2.0**scale,
        )
        parent = rig['joint_parents'][joint]
        world.append(local if parent < 0 else world[parent] @ local)
        if joint >= 2:
            features += [*(turned[:, 0] - [1, 0, 0]), *(turned[:, 1] - [0, 1, 0])]
    if correctives:
        weights = np.zeros((mhr_assets.NUM_HIDDEN, len(features)))
        np.add.at(weights, tuple(rig['0.sparse_indices']), rig['0.sparse_weight'])
        for active, displacement in zip(weights @ features, surface['corrective_blendshapes']):
            vertices = vertices + max(active, 0) * displacement
    skinned = np.zeros_like(vertices)
    placed = np.append(vertices, np.ones((len(vertices), 1)), axis=1)
    for joint, (bind, matrix) in enumerate(zip(rig['inverse_bind_pose'].astype(float), world)):
        total = matrix @ homogeneous(quaternion_matrix(bind[3:7]), bind[:3], bind[7])
        weight = np.where(surface['skin_indices'] == joint, surface['skin_weights'], 0).sum(axis=1)
        skinned += weight[:, None] * (placed @ total.T)[:, :3]
    return skinned, np.array([matrix[:3, 3] for matrix in world])


def random_parameters(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.8, 45), rng.uniform(-0.4, 0.4, 204), rng.normal(0, 0.3, 72)


def test_parameters_give_the_vertices_of_the_published_formulas(body):
    everybody = [random_parameters(seed) for seed in range(2)]
    posed = body.pose_parameters(*(np.array(group) for group in zip(*everybody)))
    for found, joints, parameters in zip(posed.vertices, posed.joints, everybody):
        vertices, expected = reference(*parameters)
        np.testing.assert_allclose(found * 100, vertices, atol=2e-4)  # centimetres
        np.testing.assert_allclose(joints * 100, expected[1:], atol=1e-4)
    one = body.pose_parameters(*everybody[1])
    assert (
        one.vertices.shape == (12272, 3) and one.joints.shape == (126, 3) and one.keypoints.shape == (17, 3)
    )
    np.testing.assert_allclose(one.vertices, posed.vertices[1], atol=1e-6)
    identity, parameters, expression = everybody[1]
    moods = body.pose_parameters(identity, parameters, np.stack([0 * expression, expression]))
    assert moods.vertices.shape == (2, 12272, 3)
    np.testing.assert_allclose(moods.vertices[1], one.vertices, atol=1e-6)
    calm = body.pose_parameters(np.zeros(3), np.zeros(204))  # fewer coefficients, no expression
    np.testing.assert_allclose(calm.vertices * 100, mhr_assets.fields()[1]['base_shape'], atol=2e-4)


def test_without_correctives_in_the_files_there_are_none(tmp_path):
    rigid = load_body('mhr', mhr_assets.write(tmp_path, surface={'corrective_blendshapes': None}))
    identity, parameters, expression = random_parameters(3)
    vertices, _ = reference(identity, parameters, expression, correctives=False)
    np.testing.assert_allclose(
        rigid.pose_parameters(identity, parameters, expression).vertices * 100, vertices, atol=2e-4
    )


def test_rotations_in_body_axes_do_what_they_say(body):
    """The elbow bent by 90 degrees about the vertical turns forearm and hand about it, and nothing else."""
    rotations = np.tile(np.eye(3), (126, 1, 1))
    rest = body.pose(np.full(10, 0.5), rotations)
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    elbow = body.joint_names.index('l_lowarm')
    rotations[elbow] = turn
    rigid_weights = body.skin_weights
    moving = np.zeros(126, bool)
    moving[elbow] = True
    for joint, parent in enumerate(body.parents):
        moving[joint] |= parent >= 0 and moving[parent]
    posed = body.pose(np.full(10, 0.5), rotations)
    center = rest.joints[elbow]
    np.testing.assert_allclose(
        posed.joints[moving], (rest.joints[moving] - center) @ turn.T + center, atol=1e-5
    )
    np.testing.assert_allclose(posed.joints[~moving], rest.joints[~moving], atol=1e-6)
    still = rigid_weights[:, moving].sum(axis=1) == 0
    shift = np.linalg.norm(posed.vertices[still] - rest.vertices[still], axis=1)
    assert still.mean() > 0.7 and shift.max() < 0.02  # the correctives of the pose move them a little


def test_body_protocol_in_its_own_axes(body):
    assert isinstance(body, BodyModel) and body.keypoint_names == COCO_KEYPOINT_NAMES
    assert body.joint_names[0] == 'root' and body.parents[0] == -1 and len(body.joint_names) == 126
    np.testing.assert_allclose(body.skin_weights.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(body.keypoint_regressor.sum(axis=1), 1, atol=1e-4)
    rng = np.random.default_rng(2)
    shape, rotations = body.sample_shape(rng), sample_pose(body, rng)
    posed = body.pose(shape, rotations, translation=[0.1, 0.2, 0.3])
    np.testing.assert_allclose(posed.joints[0], [0.1, 0.2, 0.3], atol=1e-5)
    many = body.pose(np.stack([shape] * 40), np.stack([rotations] * 40))  # more than are posed at once
    np.testing.assert_allclose(many.vertices[39] + [0.1, 0.2, 0.3], posed.vertices, atol=1e-5)
    straight = np.tile(np.eye(3), (126, 1, 1))
    same = body.pose_parameters((2 * shape - 1) * 3, np.zeros(204))
    np.testing.assert_allclose(
        body.pose(shape, straight).vertices, (same.vertices - same.joints[0]) @ Z_UP_FROM_Y_UP.T, atol=1e-5
    )


def test_keypoints_lie_where_annys_do(body):
    anny = load_body('anny')
    own = body.pose(np.full(10, 0.5), np.tile(np.eye(3), (126, 1, 1))).keypoints
    theirs = anny.pose(np.full(6, 0.5), np.tile(np.eye(3), (104, 1, 1))).keypoints
    assert np.linalg.norm(own - theirs, axis=1).max() < 0.035  # joints and face points are not defined alike
    for name, (x, _, _) in zip(COCO_KEYPOINT_NAMES, own):
        assert name == 'nose' or (x > 0) == name.startswith('left'), name


def test_poses_of_anny_give_limbs_the_same_directions(body):
    anny, rng = load_body('anny'), np.random.default_rng(4)
    poses = sample_pose(anny, np.random.default_rng(4), 5)
    theirs = anny.pose(np.full(6, 0.5), poses).joints
    own = body.pose(np.full(10, 0.5), sample_pose(body, rng, 5)).joints
    marks = limb_landmarks(body)
    for start, end in (('l_uparm', 'l_lowarm'), ('r_lowarm', 'r_wrist'), ('l_upleg', 'l_lowleg')):
        ours, anny_limb = (
            joints[:, names.index(b)] - joints[:, names.index(a)]
            for joints, names, a, b in (
                (own, body.joint_names, start, end),
                (theirs, anny.joint_names, marks[start], marks[end]),
            )
        )
        cosine = (
            (ours * anny_limb).sum(-1) / np.linalg.norm(ours, axis=-1) / np.linalg.norm(anny_limb, axis=-1)
        )
        assert cosine.min() > 0.995, (start, cosine)


def test_motion_files_pose_it_by_way_of_anny(body, tmp_path, monkeypatch):
    asked = []
    anny_poses = sample_pose(load_body('anny'), np.random.default_rng(5), 3)
    monkeypatch.setattr(
        'meshpose_plugins.bodies.motion._file_poses', lambda path, on: asked.append(on.name) or anny_poses
    )
    (tmp_path / 'a.bvh').write_text('')
    poses = load_poses(tmp_path, body)
    assert asked == ['anny'] and poses.shape == (3, 126, 3, 3)
    np.testing.assert_array_equal(poses, PoseTransfer(load_body('anny'), body)(anny_poses))


def test_files_are_found_by_folder_parent_and_level(folder, tmp_path):
    expected = (folder / 'rig.npz', folder / 'lod1.npz')
    for path in (folder, folder.parent, folder / 'lod1.npz', str(folder)):
        assert find_asset_files(path) == expected
    with pytest.raises(FileNotFoundError, match='lod1.npz: no such file .*github.com/facebookresearch/MHR'):
        find_asset_files(tmp_path)
    (tmp_path / 'lod3.npz').write_bytes(b'')
    with pytest.raises(FileNotFoundError, match='lod1.npz: .*there are lod3.npz: give the path of one'):
        find_asset_files(tmp_path)
    (tmp_path / 'lod3.npz').unlink()
    (tmp_path / 'mhr_model.pt').write_bytes(b'')
    with pytest.raises(
        FileNotFoundError, match=r'mhr_model.pt beside it is the older format.*convert_assets'
    ):
        find_asset_files(tmp_path / 'mhr_model.pt')
    with pytest.raises(ValueError, match=r"body 'mhr' needs model_path .*Apache-2.0"):
        load_body('mhr')
    with pytest.raises(ValueError, match="it takes no gender, got 'female'"):
        load_body('mhr', folder, 'female')
    with pytest.raises(ValueError, match="'anny' ships with the package: it takes no model_path"):
        load_body('anny', folder)


def wrong_files():
    rig, surface = mhr_assets.fields()
    renamed = np.where(rig['joint_names'] == 'l_wrist', 'hand', rig['joint_names'])
    looped = np.where(np.arange(127) == 5, 9, rig['joint_parents'])
    moving = rig['parameter_transform'].copy()
    moving[30, 250] = 1
    on_world = surface['skin_indices'].copy()
    on_world[7, 0] = 0
    bad_index = surface['faces'].copy()
    bad_index[0, 0] = 99999
    endless = surface['base_shape'].copy()
    endless[3, 1] = np.nan
    entries = rig['0.sparse_indices'] + 800
    flat = np.where(np.arange(127) == 3, 0, rig['joint_parents'])
    no_turn, no_bind = rig['joint_prerotations'].copy(), rig['inverse_bind_pose'].copy()
    no_turn[4], no_bind[2, 3:7] = 0, 2
    negative = surface['skin_weights'].copy()
    negative[5, :2] = [1.3, -0.3]
    return {
        "rig.npz: field 'schema_version' is 2, this release reads 1": ({'schema_version': np.array(2)}, {}),
        "rig.npz: field 'joint_parents' is missing: no file of MHR": ({'joint_parents': None}, {}),
        "rig.npz: field 'joint_parents' is no tree": ({'joint_parents': looped}, {}),
        "rig.npz: field 'joint_names' is not that of MHR: it lacks l_wrist": ({'joint_names': renamed}, {}),
        "rig.npz: field 'joint_offsets' has shape": ({'joint_offsets': np.zeros((3, 3))}, {}),
        "rig.npz: field 'parameter_transform' must end in 117 columns of zeros": (
            {'parameter_transform': moving},
            {},
        ),
        "rig.npz: field '0.sparse_indices' refers outside 40 x 750": ({'0.sparse_indices': entries}, {}),
        "lod1.npz: field 'lod' is 3, its name says 1": ({}, {'lod': np.array(3)}),
        "lod1.npz: field 'base_shape' has values that are no finite numbers": ({}, {'base_shape': endless}),
        "lod1.npz: field 'shape_vectors' has shape": ({}, {'shape_vectors': surface['shape_vectors'][:45]}),
        "lod1.npz: field 'faces' refers outside 0..12271": ({}, {'faces': bad_index}),
        "lod1.npz: field 'skin_weights' of vertex 0 sums to 0.5": (
            {},
            {'skin_weights': surface['skin_weights'] / 2},
        ),
        "lod1.npz: field 'skin_indices' binds vertex 7 to 'body_world'": ({}, {'skin_indices': on_world}),
        "rig.npz: field 'joint_parents' binds more than the root to 'body_world'": (
            {'joint_parents': flat},
            {},
        ),
        "rig.npz: field 'joint_prerotations' of joint 4 is no rotation": (
            {'joint_prerotations': no_turn},
            {},
        ),
        "rig.npz: field 'inverse_bind_pose' of joint 2 is no rotation": ({'inverse_bind_pose': no_bind}, {}),
        "rig.npz: field 'joint_names' must be a list of names": ({'joint_names': np.array([], 'U4')}, {}),
        "rig.npz: field '0.sparse_weight' is missing": ({'0.sparse_weight': None}, {}),
        "lod1.npz: field 'skin_weights' has negative values": ({}, {'skin_weights': negative}),
    }


@pytest.mark.parametrize('message', wrong_files())
def test_wrong_files_are_named_with_field_and_value(message, tmp_path):
    rig, surface = wrong_files()[message]
    with pytest.raises(ValueError) as error:
        load_body.__wrapped__('mhr', mhr_assets.write(tmp_path, rig, surface))
    assert message in str(error.value)


def test_broken_files_and_objects_in_them_are_refused(folder, tmp_path):
    mhr_assets.write(tmp_path)
    whole = (tmp_path / 'lod1.npz').read_bytes()
    (tmp_path / 'lod1.npz').write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r'lod1.npz: no readable .npz file'):
        load_body.__wrapped__('mhr', tmp_path)
    mhr_assets.write(tmp_path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {'shape': (3,), 'fortran_order': False, 'descr': '|O'})
    with zipfile.ZipFile(tmp_path / 'lod1.npz', 'w') as archive, zipfile.ZipFile(folder / 'lod1.npz') as old:
        for name in old.namelist():
            archive.writestr(
                name, header.getvalue() + b'cos\nsystem\n.' if name == 'faces.npy' else old.read(name)
            )
    with pytest.raises(ValueError, match="field 'faces' cannot be read .*allow_pickle=False"):
        load_body.__wrapped__('mhr', tmp_path)


@pytest.mark.parametrize(
    'arguments, message',
    [
        ((np.zeros(46), np.zeros(204)), r'identity must be .* at most 45, got \(46,\)'),
        ((np.zeros(10), np.zeros(136)), r'model_parameters must be \(B, 204\)'),
        ((np.zeros(10), np.full(204, np.nan)), 'model_parameters has values that are not finite'),
        ((np.zeros((2, 10)), np.zeros((3, 204))), 'identity has 2 bodies, other parameters 3'),
        ((np.zeros(10), np.zeros(204), np.zeros(80)), 'expression must be .* at most 72'),
    ],
)
def test_wrong_parameters_are_named(body, arguments, message):
    with pytest.raises(ValueError, match=message):
        body.pose_parameters(*arguments)


def test_wrong_shapes_and_rotations_are_named(body):
    straight = np.tile(np.eye(3), (126, 1, 1))
    with pytest.raises(ValueError, match=r'shape must be \(B, 10\)'):
        body.pose(np.full(6, 0.5), straight)
    with pytest.raises(ValueError, match=r'rotations must be \(B, 126, 3, 3\)'):
        body.pose(np.full(10, 0.5), straight[:24])
    with pytest.raises(ValueError, match="shape parameter 'identity_3' of body 0 is"):
        body.pose(np.where(np.arange(10) == 3, 1.5, 0.5), straight)
    with pytest.raises(ValueError, match='num_betas must be 1 to 20'):
        load_body('mhr', body.arrays.path, num_betas=30)
