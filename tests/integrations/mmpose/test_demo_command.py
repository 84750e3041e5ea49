"""The demo as a command, from image and weights to files, and every bad input with its message."""
import re

import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('mmpose')

from PIL import Image
from random_weights import CONFIG, anny_lite, checkpoint, weights  # noqa: F401

from meshpose_plugins.cli import __main__ as console
from meshpose_plugins.cli.demo import main
from meshpose_plugins.evaluation import load_predictions


@pytest.fixture
def photograph(tmp_path):
    data = pytest.importorskip('skimage.data')
    path = tmp_path / 'astronaut.png'
    Image.fromarray(np.ascontiguousarray(data.astronaut()[::2, ::2])).save(path)
    return path


@pytest.fixture
def run(weights, tmp_path, capsys):
    """Run the command; returns exit code, output and errors."""

    def run_command(*arguments):
        common = ['--checkpoint', str(weights), '--out', str(tmp_path / 'out'), '--device', 'cpu']
        try:
            code = main([*map(str, arguments), *common])
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_command


def test_two_people_end_to_end(run, photograph, tmp_path):
    code, out, _ = run(photograph, '--bbox', '10,10,180,246', '--bbox', '100,60,80,150', '--wireframe')
    assert code == 0 and '2 people in 1 images' in out and str(tmp_path / 'out' / 'overlays') in out
    files = {str(p.relative_to(tmp_path / 'out')) for p in (tmp_path / 'out').rglob('*') if p.is_file()}
    assert {'overlays/astronaut.jpg', 'viewers/astronaut.html', 'predictions.npz'} <= files
    assert {f'meshes/astronaut_person{k}.{e}' for k in (0, 1) for e in ('obj', 'ply', 'glb')} <= files
    assert len(load_predictions(tmp_path / 'out' / 'predictions.npz')) == 2


def test_shipped_name_and_detector(anny_lite, photograph, tmp_path, capsys):
    arguments = [str(photograph), '--detector', 'whole-image', '--meshes', '', '--predictions', 'json']
    assert main([*arguments, '--out', str(tmp_path / 'out'), '--device', 'cpu']) == 0
    (record,) = load_predictions(tmp_path / 'out' / 'predictions.json')
    np.testing.assert_array_equal(record.box, [0, 0, 256, 256])
    assert not (tmp_path / 'out' / 'meshes').exists()


def test_again_over_old_results(run, photograph, tmp_path):
    assert run(photograph, '--meshes', 'ply')[0] == 0
    first = (tmp_path / 'out' / 'meshes' / 'astronaut_person0.ply').read_bytes()
    assert run(photograph, '--meshes', 'ply')[0] == 0
    assert (tmp_path / 'out' / 'meshes' / 'astronaut_person0.ply').read_bytes() == first


def test_a_folder_with_a_bad_image(run, photograph, tmp_path):
    (photograph.parent / 'bad.jpg').write_text('no image')
    code, out, err = run(photograph.parent, '--meshes', '', '--detector', 'whole-image')
    assert code == 1 and '1 people in 1 images' in out
    assert 'skipped bad.jpg: image' in err and '1 of 2 images were skipped' in err


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--bbox', '1,2,3'], "expected four numbers x,y,w,h .* got '1,2,3'"),
        (['--bbox', '0,0,-5,5'], 'width and height must be positive'),
        (['--bbox', '300,300,20,20'], 'skipped astronaut.png: .*outside the image of 256 x 256 px'),
        (['--boxes', 'gone.json'], 'boxes file gone.json does not exist'),
        (['--boxes-images', 'gone.json'], '--boxes-images gone.json names the images .* give --boxes too'),
        (['--detector', 'yolo'], "got 'yolo'"),
        (['--detector', 'torchvision', '--detector-weights', 'gone.pth'], 'gone.pth do not exist'),
        (['--detector', 'hog', '--detector-weights', 'x.pth'], 'takes no weights'),
        (['--score-threshold', '3'], 'score_threshold: expected'),
        (['--meshes', 'stl'], "expected any of obj, ply, glb, got 'stl'"),
        (['--config', 'gone.py'], 'config gone.py does not exist'),
    ],
)
def test_bad_arguments(run, photograph, arguments, message):
    code, _, err = run(photograph, *arguments)
    assert code == (1 if message.startswith('skipped') else 2)
    assert re.search(message, err), err
    assert 'Traceback' not in err


def test_bad_sources(run, tmp_path):
    code, _, err = run(tmp_path / 'gone.jpg')
    assert code == 2 and 'demo: ' in err and 'gone.jpg does not exist' in err
    (tmp_path / 'empty').mkdir()
    code, _, err = run(tmp_path / 'empty')
    assert code == 2 and 'empty has no image' in err
    (tmp_path / 'text.png').write_text('hello')
    code, _, err = run(tmp_path / 'text.png')
    assert code == 1 and 'text.png cannot be read' in err


def test_wrong_template_and_wrong_config(run, photograph, weights, tmp_path):
    config = tmp_path / 'other.py'
    config.write_text(f"_base_ = [{str(CONFIG)!r}]\nmodel = dict(head=dict(template='nobody'))\n")
    code, _, err = run(photograph, '--config', config)
    assert code == 2 and 'nobody' in err and 'Traceback' not in err


def test_console_entry(capsys):
    assert console.main([]) == 2 and 'commands: ' in capsys.readouterr().out
    assert console.main(['--help']) == 0
    assert console.main(['fly']) == 2 and "unknown command 'fly'" in capsys.readouterr().err
    assert {'demo', 'quickstart', 'publish_weights'} <= set(console.commands())
    with pytest.raises(SystemExit) as stop:
        console.main(['publish-weights', '--help'])
    assert stop.value.code == 0 and 'checkpoint' in capsys.readouterr().out
