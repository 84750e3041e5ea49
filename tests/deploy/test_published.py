"""Importing published checkpoints: what is read, renamed and refused, without a network around it."""

import numpy as np
import pytest
import torch

from meshpose_plugins.deploy import published
from meshpose_plugins.templates import BodySurface, MeshTemplate, load_template, save_template

HEATMAP_SIZE = (4, 3)
SHAPES = {
    'backbone.conv1.weight': (2, 3, 3, 3),
    'head.network.vertexpose.conv.bias': (5,),
    'head.network.regression.nets.x.expand.bias': (12,),
    'head.network.regression.nets.x.norm.running_var': (12,),
    'head.network.regression.nets.x.project.weight': (5, 3, 1),
    'head.network.regression.nets.visibility.project.bias': (5,),
    'head.template_id': (64,),
}


def network() -> dict:
    tensors = {published.published_name(name): torch.randn(shape) for name, shape in SHAPES.items()}
    del tensors[None]
    tensors['model.model.1.branch_models.SP_MESHPOSE.grid'] = torch.from_numpy(np.stack(np.mgrid[:4, :3], -1))
    for axis in 'XYZ':
        tensors[f'model.model.1.head_layers.SP_VERTEX_{axis}.softargmax1D.positions'] = torch.arange(4.0)
    return tensors


def test_names():
    assert published.published_name('backbone.stage4.2.fuse_layers.0.3.0.weight') == (
        'model.model.0.encoder.stage4.2.fuse_layers.0.3.0.weight'
    )
    assert published.published_name('head.network.regression.nets.visibility.norm.bias') == (
        'model.model.1.head_layers.SP_VISIBILITY.conv_z_1.1.bias'
    )
    assert published.published_name('head.template_id') is None


def test_network_is_renamed_and_extra_tensors_are_ignored():
    tensors = network()
    converted = published.convert_network({**tensors, 'optimizer.step': torch.ones(1)}, SHAPES, HEATMAP_SIZE)
    assert set(converted) == set(SHAPES) - {'head.template_id'}
    for name, value in converted.items():
        assert torch.equal(value, tensors[published.published_name(name)])


def test_all_missing_and_misshapen_tensors_are_listed():
    tensors = network()
    del tensors['model.model.0.encoder.conv1.weight']
    del tensors['model.model.1.branch_models.SP_MESHPOSE.grid']
    tensors['model.model.1.head_layers.SP_MESHPOSE.bias'] = torch.zeros(4)
    with pytest.raises(ValueError) as error:
        published.convert_network(tensors, SHAPES, HEATMAP_SIZE)
    lines = str(error.value).splitlines()
    assert lines[0] == 'the network lacks 2 tensors and has 1 of another shape, of 10:'
    assert lines[1:] == [
        '  missing: model.model.0.encoder.conv1.weight',
        '  missing: model.model.1.branch_models.SP_MESHPOSE.grid',
        '  misshapen: model.model.1.head_layers.SP_MESHPOSE.bias is (4,), expected (5,)',
    ]


def test_constants_of_another_layout():
    tensors = network()
    tensors['model.model.1.branch_models.SP_MESHPOSE.grid'] = torch.zeros(4, 3, 2)
    with pytest.raises(ValueError, match='another layout: .*SP_MESHPOSE.grid'):
        published.convert_network(tensors, SHAPES, HEATMAP_SIZE)


def upsampler() -> dict:
    shapes = {
        'upsampling.weight': (6, 4),
        'upsampling.bias': (6,),
        'upsampling2.weight': (9, 6),
        'upsampling2.bias': (9,),
    }
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def test_upsampler_is_the_two_layers_around_the_center():
    tensors, center = upsampler(), np.array([0.5, 0.25, 0, 0.125], np.float32)
    template = MeshTemplate(name='some', body='none', num_vertices=4, upsampler_center=center)
    template = published.convert_template(tensors, template)
    xyz = torch.randn(2, 4, 3) * 100
    origin = torch.einsum('v,bvd->bd', torch.from_numpy(center), xyz)[:, None]
    hidden = tensors['upsampling.weight'] @ (xyz - origin) + tensors['upsampling.bias'][:, None]
    expected = tensors['upsampling2.weight'] @ hidden + tensors['upsampling2.bias'][:, None] + origin
    torch.testing.assert_close(template.upsample(xyz), expected, atol=1e-3, rtol=0)


def test_upsampler_with_missing_or_misshapen_tensors():
    tensors = upsampler()
    del tensors['upsampling.weight']
    tensors['upsampling2.bias'] = torch.zeros(3)
    template = MeshTemplate(name='some', body='none', num_vertices=4)
    with pytest.raises(ValueError, match=r'missing: upsampling.weight\n(.*\n)*.*upsampling2.bias is \(3,\)'):
        published.convert_template(tensors, template)


def test_files_are_read_without_executing_them(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (tmp_path.joinpath('executed').touch, ())

    with pytest.raises(FileNotFoundError, match='absent.pth does not exist'):
        published.read_published(tmp_path / 'absent.pth', published.NETWORK)
    torch.save({'model': {'root': Harmful()}}, tmp_path / 'harmful.pth')
    for name, content in (('text.pth', b'hello'), ('empty.pth', b'')):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf'{name} cannot be loaded: \D\w+ .*\w') as stop:
            published.read_published(tmp_path / name, published.NETWORK)
        assert 'weights_only' not in str(stop.value)
    with pytest.raises(ValueError, match='harmful.pth cannot be loaded: .*plain-checkpoint'):
        published.read_published(tmp_path / 'harmful.pth', published.NETWORK)
    assert not (tmp_path / 'executed').exists()
    torch.save({'model': {'root': {}}}, tmp_path / 'network.pth')
    with pytest.raises(ValueError, match=r"under \['model'\]\['VERTEX_UPSAMPLE'\], got \['root'\]"):
        published.read_published(tmp_path / 'network.pth', published.UPSAMPLER)


def test_surface_files(tmp_path):
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.uint32)
    np.save(tmp_path / 'faces.npy', faces)
    np.savez(tmp_path / 'smpl.npz', f=faces, v_template=np.ones((4, 3)))
    surface = BodySurface(np.ones((4, 3)), faces, np.array([1, 2]), np.zeros((2, 3, 2)))
    save_template(
        MeshTemplate(name='x', body='y', num_vertices=2, surface=surface), tmp_path / 'template.npz'
    )
    known = {
        'faces.npy': (),
        'smpl.npz': ('vertices',),
        'template.npz': ('vertices', 'face_parts', 'face_uv'),
    }
    for name, fields in known.items():
        read = published.read_surface(tmp_path / name, 4)
        np.testing.assert_array_equal(read.faces, faces)
        assert [field for field in ('vertices', 'face_parts', 'face_uv') if read.knows(field)] == list(fields)
    with pytest.raises(ValueError, match='faces.npy: its faces name 4 vertices, the upsampled mesh has 6890'):
        published.read_surface(tmp_path / 'faces.npy', 6890)
    np.savez(tmp_path / 'other.npz', weights=faces)
    with pytest.raises(ValueError, match="other.npz: expected faces"):
        published.read_surface(tmp_path / 'other.npz', 4)
    with pytest.raises(FileNotFoundError, match='absent.npz does not exist'):
        published.read_surface(tmp_path / 'absent.npz', 4)


def test_builtin_template_takes_the_true_upsampler_shapes():
    shapes = {'upsampling.weight': (1723, 518), 'upsampling.bias': (1723,),
              'upsampling2.weight': (6890, 1723), 'upsampling2.bias': (6890,)}  # fmt: skip
    template = published.convert_template(
        {name: torch.zeros(shape) for name, shape in shapes.items()}, load_template('meshpose-published')
    )
    assert template.num_body_vertices == 6890
    center = template.upsampler_center @ np.arange(518)
    np.testing.assert_allclose(template.upsample(np.arange(518.0)[:, None]), center, rtol=1e-5)
