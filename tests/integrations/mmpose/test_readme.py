"""What README and docs show as Python really runs."""
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('mmpose')

from PIL import Image
from random_weights import anny_lite, checkpoint, weights  # noqa: F401

ROOT = Path(__file__).parents[3]


def python_blocks(name):
    return re.findall(r'```python\n(.*?)```', (ROOT / name).read_text(encoding='utf-8'), flags=re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch, anny_lite):  # noqa: F811
    """A working folder with photo.jpg and nothing else, where 'anny-lite' can be found."""
    pixels = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'photo.jpg')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_five_lines(folder):
    from meshpose_plugins.templates import load_template

    block = python_blocks('README.md')[0]
    assert len([line for line in block.splitlines() if line.strip()]) == 5
    names = {}
    exec(block, names)
    vertices = names['vertices']
    assert vertices.shape == (1, load_template('anny').num_vertices, 3) and np.isfinite(vertices).all()


def test_inferencer_lines(folder):
    names = {}
    exec(python_blocks('README.md')[1], names)
    assert {'vertices', 'bbox'} <= set(names['people'][0]) and names['picture'].shape == (512, 512, 3)


def test_demo_page(folder):
    from meshpose_plugins.cli.demo import main

    arguments = ['photo.jpg', '--bbox', '16,0,380,512', '--out', 'results', '--device', 'cpu']
    assert main([*arguments, '--meshes', 'ply']) == 0
    (folder / 'folder').mkdir()
    (folder / 'photo.jpg').rename(folder / 'folder' / 'photo.jpg')

    class Middle:
        def detect(self, image):
            return np.asarray([[100, 100, 400, 400]], np.float32), np.ones(1, np.float32)

    for block in python_blocks('docs/demo.md'):
        names = {'my_detector': Middle()}
        exec(block, names)
        if 'surface' in names:
            assert names['surface'].shape == (12272, 3)
        if 'person' in names and 'result' in names:
            assert names['person']['bbox'] == [100, 100, 400, 400]
        if 'metadata' in names:
            assert names['metadata'].template == 'anny'


def test_links_of_readme_and_index_lead_somewhere():
    missing = []
    for page in ('README.md', 'docs/index.md', 'docs/demo.md', 'docs/model_card.md'):
        for target in re.findall(r'\]\((?!http)([^)#]+)', (ROOT / page).read_text(encoding='utf-8')):
            if not ((ROOT / page).parent / target).exists():
                missing.append(f'{page}: {target}')
    assert not missing
