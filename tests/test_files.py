"""Files that a reader never sees half written."""
import numpy as np
import pytest

from meshpose_plugins.files import write_atomically, written_aside


def test_a_finished_file_has_its_name_and_folder(tmp_path):
    path = tmp_path / 'new' / 'numbers.npz'
    with written_aside(path) as temporary:
        assert temporary.parent == path.parent and temporary.suffix == '.npz' and not path.exists()
        np.savez(temporary, numbers=np.arange(3))
    assert [file.name for file in path.parent.iterdir()] == ['numbers.npz']
    assert np.load(path)['numbers'].tolist() == [0, 1, 2]


def test_an_error_keeps_what_was_there_and_leaves_nothing_behind(tmp_path):
    path = write_atomically(tmp_path / 'a.txt', b'old')
    with pytest.raises(OSError, match='disk full'), written_aside(path) as temporary:
        temporary.write_bytes(b'half')
        raise OSError('disk full')
    assert path.read_bytes() == b'old' and list(tmp_path.iterdir()) == [path]


def test_files_are_readable_as_any_other(tmp_path):
    (tmp_path / 'plain').write_bytes(b'')
    assert write_atomically(tmp_path / 'b', b'x').stat().st_mode == (tmp_path / 'plain').stat().st_mode
