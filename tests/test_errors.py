"""Which errors end a command with one line, and with which exit code."""

import subprocess
import sys

import pytest

from meshpose_plugins.errors import explained, explanation
from meshpose_plugins.templates import load_template


def raised(error):
    try:
        raise error
    except type(error) as caught:
        return caught


def test_the_line_is_printed_once_and_the_exit_code_is_2(capsys):
    with pytest.raises(SystemExit, match="^x: no template 'nobody'") as stop, explained('x'):
        load_template('nobody')
    assert stop.value.code == 2
    assert capsys.readouterr().err == f'{stop.value}\n'


def test_a_command_of_its_own_process(tmp_path):
    command = [sys.executable, '-m', 'meshpose_plugins.cli', 'validate_predictions', str(tmp_path / 'none.npz')]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ''
    assert done.stderr.startswith('validate_predictions: ') and done.stderr.count('\n') == 1


def test_other_errors_keep_their_traceback():
    assert explanation(raised(ValueError('of somebody else'))) is None
    assert explanation(raised(FileNotFoundError('gone'))) == 'gone'
    with pytest.raises(ValueError, match='of somebody else'), explained('x', own_only=True):
        raise ValueError('of somebody else')
    with pytest.raises(SystemExit, match="^x: no template 'nobody'"), explained('x', own_only=True):
        load_template('nobody')
    with pytest.raises(SystemExit, match='^x: of somebody else'), explained('x'):
        raise ValueError('of somebody else')
    with pytest.raises(SystemExit, match='^x: .*Not a directory'), explained('x', own_only=True):
        open(f'{__file__}/y')
    with pytest.raises(OSError, match='lost'), explained('x', own_only=True):
        raise ConnectionError('lost')
    with pytest.raises(SystemExit, match="^x: No module named 'not_there'"), explained('x', own_only=True):
        __import__('not_there')
    with pytest.raises(KeyError), explained('x'):
        raise KeyError('x')
