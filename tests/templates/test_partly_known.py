"""Templates of which not everything is known: read back as they are, and clear about what they lack."""

import numpy as np
import pytest
import torch

from meshpose_plugins.losses import EdgeLengthLoss
from meshpose_plugins.modeling import MeshPoseOutput, average_flipped
from meshpose_plugins.templates import BodySurface, MeshTemplate, load_template, save_template
from meshpose_plugins.templates.identity import check_template_id, encode_template_id

UNKNOWN = (
    'vertices', 'faces', 'face_parts', 'source_vertex_ids', 'symmetry', 'upsampler_weights',
    'joint_regressor', 'geodesics', 'surface',
)  # fmt: skip


@pytest.fixture
def template():
    return load_template('meshpose-published')


def some_template(**known) -> MeshTemplate:
    return MeshTemplate(name='some', body='none', num_vertices=4, **known)


def test_published_layout(template):
    assert template.num_vertices == 518
    assert template.seams.shape == (22, 2) and len(np.unique(template.seams)) == 44  # 496 distinct vertices
    assert np.count_nonzero(template.upsampler_center) == 16
    assert template.upsampler_center.sum() == pytest.approx(1, abs=1e-4)
    assert template.keypoints(np.zeros((2, 518, 3))).shape == (2, 0, 3)


@pytest.mark.parametrize('field', UNKNOWN)
def test_what_is_unknown_says_so(template, field):
    assert not template.knows(field) and load_template('anny').knows(field)
    with pytest.raises(ValueError, match=f"MeshTemplate 'meshpose-published' has no {field}: ."):
        getattr(template, field)


def test_every_use_of_what_is_unknown_says_so(template):
    xyz = torch.zeros(1, 518, 3)
    output = MeshPoseOutput(torch.zeros(1, 518, 2, 2), xyz[..., :2], xyz, xyz[..., 0], xyz)
    uses = {
        'symmetry: set flip_test=False': lambda: average_flipped(output, output, template, 288),
        'no upsampler_weights': lambda: template.upsample(xyz),
        'no joint_regressor': lambda: template.joints(xyz),
        'no faces': lambda: EdgeLengthLoss(template='meshpose-published'),
        'no surface': lambda: template.locate_iuv([1], [0.5], [0.5]),
    }
    for message, use in uses.items():
        with pytest.raises(ValueError, match=message):
            use()
    surface = BodySurface(None, np.array([[0, 1, 2]]), None, None)
    with pytest.raises(ValueError, match='BodySurface has no face_uv: DensePose charts need them'):
        surface.face_uv


def test_round_trip(tmp_path):
    surface = BodySurface(None, np.array([[0, 1, 2]]), None, None)
    bias = np.array([1.0, 2, 3], np.float32)
    template = some_template(
        seams=np.array([[0, 3]]),
        upsampler_weights=np.eye(3, 4, dtype=np.float32),
        upsampler_bias=bias,
        surface=surface,
    )
    save_template(template, tmp_path / 'some.npz')
    copy = load_template(tmp_path / 'some.npz')
    known = [
        name
        for name, field in MeshTemplate.__dataclass_fields__.items()
        if field.init and template.knows(name)
    ]
    assert known == [
        name for name in MeshTemplate.__dataclass_fields__ if name[0] != '_' and copy.knows(name)
    ]
    for name in set(known) - {'surface'}:
        np.testing.assert_array_equal(getattr(copy, name), getattr(template, name))
    assert copy.joint_names == () and copy.num_vertices == 4 and copy.num_body_vertices == 3
    np.testing.assert_array_equal(copy.surface.faces, surface.faces)
    assert not copy.surface.knows('vertices')


def test_a_file_written_again_is_read_again(tmp_path):
    for count in (4, 5):
        save_template(MeshTemplate(name='some', body='none', num_vertices=count), tmp_path / 'some.npz')
        assert load_template(tmp_path / 'some.npz').num_vertices == count


def test_files_that_lack_too_much(tmp_path):
    np.savez(tmp_path / 'count.npz', format_version=1, name='x', body='y')
    with pytest.raises(ValueError, match=r'lacks vertices \(or num_vertices\)'):
        load_template(tmp_path / 'count.npz')
    np.savez(
        tmp_path / 'faces.npz', format_version=1, name='x', body='y', num_vertices=4,
        **{'surface.vertices': np.zeros((3, 3))},
    )  # fmt: skip
    with pytest.raises(ValueError, match='lacks surface.faces'):
        load_template(tmp_path / 'faces.npz')


@pytest.mark.parametrize('seams', [[[0, 1], [1, 2]], [[2, 2]], [[0, 4]], [[-1, 2]], [[0, 1, 2]]], ids=str)
def test_impossible_seams(tmp_path, seams):
    with pytest.raises(ValueError, match="template 'some': seams"):
        some_template(seams=np.array(seams))
    np.savez(tmp_path / 'seams.npz', format_version=1, name='some', body='y', num_vertices=4, seams=seams)
    with pytest.raises(ValueError, match="seams.npz: template 'some': seams"):
        load_template(tmp_path / 'seams.npz')


@pytest.mark.parametrize('sparse', [False, True])
def test_upsampler_with_bias_and_center(sparse):
    rng = np.random.default_rng(0)
    ids = np.stack([rng.permutation(4)[:3] for _ in range(7)]) if sparse else None
    weights = rng.normal(size=(7, 3 if sparse else 4)).astype(np.float32)
    center, bias = rng.random(4, dtype=np.float32), rng.random(7, dtype=np.float32)
    template = some_template(
        upsampler_ids=ids, upsampler_weights=weights, upsampler_bias=bias, upsampler_center=center
    )
    xyz = rng.normal(size=(2, 4, 3)).astype(np.float32) * 100
    dense = weights
    if sparse:
        dense = np.zeros((7, 4), np.float32)
        np.put_along_axis(dense, ids, weights, axis=1)
    origin = np.einsum('v,bvd->bd', center, xyz)[:, None]
    expected = np.einsum('nv,bvd->bnd', dense, xyz - origin) + bias[:, None] + origin
    np.testing.assert_allclose(template.upsample(xyz), expected, atol=1e-3)
    np.testing.assert_allclose(template.upsample(torch.from_numpy(xyz)).numpy(), expected, atol=1e-3)


def test_identity_is_about_the_channels_alone(template):
    stored = encode_template_id(template)
    with_upsampler = template.replace(upsampler_weights=np.zeros((3, 518)), upsampler_bias=np.ones(3))
    check_template_id(with_upsampler, stored)
    for other in (template.replace(seams=template.seams[1:]), template.replace(num_vertices=519)):
        with pytest.raises(ValueError, match='another build of the template'):
            check_template_id(other, stored)
