"""Template files: written whole, read back equal, refused with a reason."""

import dataclasses

import numpy as np
import pytest

from meshpose_plugins.templates import MeshTemplate, builtin_templates, load_template, save_template


def test_round_trip(tmp_path):
    template = load_template('anny')
    path = tmp_path / 'copy.npz'
    save_template(template, path)
    copy = load_template(path)
    for field in dataclasses.fields(MeshTemplate):
        if field.name.startswith('_') or field.name == 'surface':
            continue
        np.testing.assert_array_equal(getattr(copy, field.name), getattr(template, field.name))
    for field in dataclasses.fields(template.surface):
        np.testing.assert_array_equal(
            getattr(copy.surface, field.name), getattr(template.surface, field.name)
        )
    assert [file.name for file in tmp_path.iterdir()] == ['copy.npz']  # no temporary file stays


def test_loaded_once_and_read_only():
    template = load_template('anny')
    assert load_template('anny') is template
    with pytest.raises(ValueError):
        template.vertices[0] = 0


def test_unknown_name_lists_the_known_ones():
    assert 'anny' in builtin_templates()
    with pytest.raises(FileNotFoundError, match="no template 'smpl'.*anny"):
        load_template('smpl')


def test_broken_files_are_named(tmp_path):
    garbage = tmp_path / 'garbage.npz'
    garbage.write_bytes(b'not a template')
    with pytest.raises(ValueError, match='garbage.npz is no template file'):
        load_template(garbage)
    np.savez(tmp_path / 'old.npz', format_version=0)
    with pytest.raises(ValueError, match='format_version is 0'):
        load_template(tmp_path / 'old.npz')
    np.savez(tmp_path / 'part.npz', format_version=1, name='x')
    with pytest.raises(ValueError, match='lacks body, vertices'):
        load_template(tmp_path / 'part.npz')
