"""A data set of four synthetic people, made once."""

import pytest


@pytest.fixture(scope='session')
def people_folder(tmp_path_factory):
    """Folder with annotations.json, meshes.npz and four pictures of 96 x 128 px."""
    from meshpose_plugins.data.synthetic import SyntheticSettings, make_synthetic

    folder = tmp_path_factory.mktemp('synthetic')
    make_synthetic(folder, 4, SyntheticSettings(seed=3, width=96, height=128), None, 'procedural', 1, False)
    return folder
