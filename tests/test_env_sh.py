"""tools/env.sh with a Python that pretends to install: keys, reuse, killed, failed, concurrent installs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Makes environments that hold a copy of itself, notes each install, hands all else to the real Python.
STAND_IN = """#!/usr/bin/env bash
case "$1 $2" in
    '-m venv')
        mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && printf '#!%s/bin/python\\n' "$3" > "$3/bin/script" ;;
    '-m pip')
        echo "$*" >> {notes}
        cat {folder}/say 2>/dev/null
        sleep "$(cat {folder}/seconds 2>/dev/null || echo 0)"
        exit "$(cat {folder}/status 2>/dev/null || echo 0)" ;;
    *)
        [ "$1" = -c ] && [[ "$2" == 'import cv2'* ]] && exit 0  # the last step of an install
        exec {python} "$@" ;;
esac
"""


class Place:
    """A checkout's tools, a cache folder and a stand-in for Python, all in a temporary folder."""

    def __init__(self, folder: Path):
        self.folder, self.cache, self.notes = folder, folder / 'cache', folder / 'notes'
        self.python = folder / 'python'
        text = STAND_IN.format(notes=self.notes, folder=folder, python=sys.executable)
        self.python.write_text(text)
        self.python.chmod(0o755)
        self.checkout = self.copy('checkout')

    def copy(self, name: str) -> Path:
        for part in ('env.sh', 'test.sh', 'requirements'):
            source, target = ROOT / 'tools' / part, self.folder / name / 'tools' / part
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
        return self.folder / name

    def start(self, *arguments: str, checkout: Path | None = None, script='env.sh') -> subprocess.Popen:
        path = (checkout or self.checkout) / 'tools' / script
        environment = dict(os.environ, XDG_CACHE_HOME=str(self.cache))
        return subprocess.Popen(
            ['bash', str(path), *(arguments or ('--python', str(self.python)))],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        process = self.start(*arguments, **options)
        return subprocess.CompletedProcess(process.args, *self.ended(process))

    @staticmethod
    def ended(process: subprocess.Popen) -> tuple[int, str, str]:
        output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    def environment(self, **options) -> Path:
        """The folder of the environment that a run prints."""
        process = self.run(**options)
        assert process.returncode == 0, process.stderr
        return Path(process.stdout.splitlines()[-1]).parents[1]

    def installs(self) -> int:
        """How many times the requirements were installed."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return sum('stack.txt' in line for line in lines)

    def wait_for_install(self) -> None:
        for _ in range(400):
            if self.installs():
                return
            time.sleep(0.05)
        raise TimeoutError('the install did not start')


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_the_last_line_is_a_python_and_a_second_start_reuses_it(place):
    first = place.environment()
    assert first.parent == place.cache / 'meshpose_plugins' and (first / 'bin/python').is_file()
    assert place.environment() == first and place.installs() == 1
    assert place.run().stdout.splitlines() == [f'{first}/bin/python']


def test_scripts_name_the_final_folder(place):
    folder = place.environment()
    assert (folder / 'bin/script').read_text() == f'#!{folder}/bin/python\n'


def test_every_requirement_file_is_installed(place):
    place.environment()
    notes = place.notes.read_text()
    files = sorted((ROOT / 'tools/requirements').glob('*.txt'))
    assert len(files) >= 3 and all(path.name in notes for path in files)
    assert all('--no-deps' in line for line in notes.splitlines() if 'stack.txt' not in line)


def test_the_key_follows_the_requirements_and_nothing_else(place):
    first = place.environment()
    assert place.environment(checkout=place.copy('another')) == first
    stack = place.checkout / 'tools/requirements/stack.txt'
    stack.write_text('# another comment\n\n' + stack.read_text())
    assert place.environment() == first and place.installs() == 1
    stack.write_text(stack.read_text() + 'one-more==1.0\n')
    assert place.environment() != first and place.installs() == 2


def test_a_killed_install_is_never_reused(place):
    (place.folder / 'seconds').write_text('60')
    process = place.start()
    place.wait_for_install()
    os.killpg(process.pid, signal.SIGKILL)
    place.ended(process)
    leftovers = [path.name for path in (place.cache / 'meshpose_plugins').iterdir() if path.is_dir()]
    assert len(leftovers) == 1 and '.building-' in leftovers[0]

    (place.folder / 'seconds').write_text('0')
    folder = place.environment()
    assert place.installs() == 2
    assert [path for path in folder.parent.iterdir() if path.is_dir()] == [folder]


def test_a_failed_install_shows_its_log_and_leaves_nothing(place):
    (place.folder / 'status').write_text('1')
    (place.folder / 'say').write_text('no matching distribution')
    process = place.run()
    assert process.returncode != 0 and process.stdout == ''
    assert 'no matching distribution' in process.stderr
    assert 'the install failed; the whole log: ' in process.stderr
    assert not [path for path in (place.cache / 'meshpose_plugins').iterdir() if path.is_dir()]
    (place.folder / 'status').write_text('0')
    assert place.environment().is_dir()


def test_two_starts_at_once_install_once(place):
    (place.folder / 'seconds').write_text('0.5')
    processes = [place.start() for _ in range(2)]
    results = [place.ended(process) for process in processes]
    assert [code for code, *_ in results] == [0, 0]
    assert results[0][1] == results[1][1] and place.installs() == 1
    assert sum('waiting for another install' in errors for *_, errors in results) == 1


def test_an_environment_whose_python_is_gone_is_made_again(place):
    folder = place.environment()
    (folder / 'bin/python').unlink()
    assert place.environment() == folder and place.installs() == 2


def test_wrong_arguments_are_named(place):
    process = place.run('--python', '/no/such/python')
    assert process.returncode == 1 and 'tried: /no/such/python' in process.stderr
    process = place.run('--pyhton=python3')
    assert process.returncode == 1 and "unknown argument '--pyhton=python3'" in process.stderr
    process = place.run('--python')
    assert process.returncode == 1 and '--python needs a Python' in process.stderr


def test_the_test_command_hands_its_arguments_to_pytest(place):
    """With an env.sh that prints a Python of the test's own."""
    shown = place.folder / 'shown'
    shown.write_text('#!/usr/bin/env bash\necho "$PYTHONPATH|$PWD|$*"; exit 7\n')
    shown.chmod(0o755)
    (place.checkout / 'tools/env.sh').write_text(f'echo installing\necho {shown}\n')
    process = place.run('tests/losses', '-k', 'a b', script='test.sh')
    path, folder, arguments = process.stdout.strip().split('|')
    assert process.returncode == 7
    assert path.split(':')[0] == folder == str(place.checkout)
    assert arguments == '-m pytest tests/losses -k a b'


def test_the_test_command_stops_where_the_environment_fails(place):
    (place.checkout / 'tools/env.sh').write_text('echo broken >&2; exit 3\n')
    process = place.run('-x', script='test.sh')
    assert process.returncode == 3 and 'broken' in process.stderr
