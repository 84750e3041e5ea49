"""What is installed: the wheel's files and metadata; dependencies match the imports, and rooms keep apart."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import meshpose_plugins

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / 'meshpose_plugins'
SOURCES = sorted(PACKAGE.rglob('*.py'))
DATA_SUFFIXES = ('.html', '.json', '.md', '.npz', '.safetensors', '.txt')

# distribution -> the name it is imported by, where they differ
IMPORT_NAMES = {
    'opencv-python-headless': 'cv2',
    'pillow': 'PIL',
    'mmcv-lite': 'mmcv',
    'scikit-image': 'skimage',
    'hydra-core': 'hydra',
    'pyyaml': 'yaml',
}


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The wheel, built from a copy, as a build leaves its traces in the tree."""
    folder = tmp_path_factory.mktemp('wheel')
    source = folder / 'source'
    shutil.copytree(PACKAGE, source / 'meshpose_plugins', ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('pyproject.toml', 'setup.py', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, source / name)
    options = ['--quiet', '--no-deps', '--no-build-isolation', '--no-index', '--wheel-dir', str(folder)]
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', *options, source], check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob('*.whl'))) as archive:
        yield archive


def read(wheel: zipfile.ZipFile, name: str) -> str:
    return wheel.read(next(path for path in wheel.namelist() if path.endswith(name))).decode()


def test_the_wheel_has_every_module_and_data_file(wheel):
    wanted = {
        str(path.relative_to(ROOT))
        for path in PACKAGE.rglob('*')
        if path.suffix in ('.py', *DATA_SUFFIXES) and '__pycache__' not in path.parts
    }
    assert wanted and wanted <= set(wheel.namelist())


def test_no_data_file_of_another_kind_is_left_out(wheel):
    """A new kind of data file needs its line in pyproject.toml."""
    command = ['git', 'ls-files', 'meshpose_plugins']
    tracked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode != 0:
        pytest.skip('not a git checkout')
    assert set(tracked.stdout.split()) <= set(wheel.namelist()) | {'meshpose_plugins/.gitignore'}


def test_the_metadata_is_complete(wheel):
    metadata = read(wheel, '.dist-info/METADATA')
    assert f'Version: {meshpose_plugins.__version__}\n' in metadata
    assert 'License-Expression: Apache-2.0\n' in metadata
    assert set(re.findall(r'^Provides-Extra: (\w+)$', metadata, re.M)) == {
        'mmpose', 'detectron2', 'anny', 'smplx', 'evaluation', 'export', 'dev'
    }  # fmt: skip
    assert 'Apache License' in read(wheel, 'LICENSE')


def test_the_console_command_exists(wheel):
    entry = re.search(r'^meshpose = ([\w.]+):(\w+)$', read(wheel, 'entry_points.txt'), re.M)
    assert callable(getattr(importlib.import_module(entry[1]), entry[2]))


def test_setup_py_says_the_same(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / 'meshpose_plugins', ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('pyproject.toml', 'setup.py', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, tmp_path / name)
    command = [sys.executable, 'setup.py', '--quiet', '--name', '--version']
    lines = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.split()
    assert lines[-2:] == ['meshpose_plugins', meshpose_plugins.__version__]


def test_importing_the_package_costs_nothing():
    code = 'import sys; before = set(sys.modules); import meshpose_plugins; print(*set(sys.modules) - before)'
    command = [sys.executable, '-c', code]
    process = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert set(process.stdout.split()) <= {'meshpose_plugins'}


def imports(path: Path, at_import: bool) -> set[str]:
    """The modules a file imports, dotted; with at_import only those that importing the file needs."""
    found = set()

    def visit(node):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Try)) and at_import:
            return
        if isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(absolute(path, node))
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found - {'__future__'}


def absolute(path: Path, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module
    package = path.relative_to(ROOT).parent.parts
    return '.'.join((*package[: len(package) - node.level + 1], *filter(None, [node.module])))


def requirements(*groups: str) -> set[str]:
    """The import names of the dependencies, and of those extras."""
    text = (ROOT / 'pyproject.toml').read_text()
    names = set()
    for group in ('dependencies', *groups):
        block = re.search(rf'^{group} = \[(.*?)\]$', text, re.M | re.S)[1]
        names.update(re.match(r'[\w-]+', item)[0] for item in re.findall(r'"([^"]+)"', block))
    return {IMPORT_NAMES.get(name, name) for name in names}


def room(path: Path) -> tuple[str, ...]:
    return path.relative_to(PACKAGE).parts


def third_party(path: Path, at_import: bool) -> set[str]:
    tops = {name.partition('.')[0] for name in imports(path, at_import)}
    return tops - set(sys.stdlib_module_names) - {'meshpose_plugins'}


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_match_the_dependencies(path):
    allowed = requirements()
    if room(path)[:2] == ('integrations', 'mmpose'):
        allowed |= requirements('mmpose') | {'mmpose', 'mmdet'}
    if room(path)[:2] == ('integrations', 'detectron2'):
        allowed |= requirements('detectron2') | {'detectron2'}
    assert third_party(path, at_import=True) <= allowed
    extras = requirements('mmpose', 'detectron2', 'anny', 'smplx', 'export', 'evaluation', 'dev')
    frameworks = {'mmpose', 'mmdet', 'detectron2', 'pkg_resources'}
    assert third_party(path, at_import=False) <= allowed | extras | frameworks


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downward_only(path):
    """What MeshPose is knows no framework: only an integration, or a command, names an integration."""
    if room(path)[0] in ('integrations', 'cli'):
        return
    ours = ('meshpose_plugins.integrations', 'meshpose_plugins.cli')
    forbidden = (*ours, 'mmengine', 'mmcv', 'mmpose', 'mmdet', 'detectron2')
    named = {name for name in imports(path, at_import=True) if name.startswith(forbidden)}
    assert not named


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_sources_are_python_3_10(path):
    ast.parse(path.read_text(), feature_version=(3, 10))


@pytest.mark.parametrize('path', sorted((ROOT / 'tests').rglob('*.py')), ids=lambda path: path.stem)
def test_imports_of_the_tests_match_the_extras(path):
    allowed = requirements('mmpose', 'detectron2', 'anny', 'smplx', 'dev') | {'mmpose', 'mmdet', 'detectron2'}
    shared = [*path.parent.glob('*.py'), *(ROOT / 'tests').glob('*.py')]
    ours = {'meshpose_plugins', *(module.stem for module in shared)}
    assert third_party(path, at_import=True) <= allowed | ours
