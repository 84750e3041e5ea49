"""JSON whose errors say where, and files that a reader never sees half written."""
import numpy as np
import pytest

from meshpose_plugins.files import decode_json, write_atomically, written_aside


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


@pytest.mark.parametrize('end', [1, 5, 9, 20, 30, 33])
def test_json_that_ends_early_is_said_to_be_cut_off(end):
    text = '{"images": ["first", 12, {"b": 1}]}'
    assert decode_json(text.encode(), 'a.json')['images'][0] == 'first'
    with pytest.raises(ValueError, match=r'^a.json: no valid JSON at line 1, .* \(the file seems to be cut off\)'):
        decode_json(text[:end].encode(), 'a.json')


def test_other_broken_json_names_the_place():
    with pytest.raises(ValueError, match='^a.json: no valid JSON at line 2, column 3, character 4 of 9: Expecting'):
        decode_json(b'[\n  x, 1]', 'a.json')
    with pytest.raises(ValueError, match='^a.json: no UTF-8 text at byte 1 of 3 .0xff.*save the file as UTF-8'):
        decode_json(b'"\xff"', 'a.json')
