import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from meshpose_plugins.cli import make_synthetic as command
from meshpose_plugins.data import DensePoseCoco
from meshpose_plugins.data.synthetic import SyntheticSettings, make, make_synthetic
from meshpose_plugins.data.synthetic.photos import (
    PictureSource,
    find_photos,
    in_split,
    pack_photos,
)
from meshpose_plugins.templates import load_template

SETTINGS = SyntheticSettings(seed=2, width=48, height=64)
COUNT = 10


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(make, 'CHUNK_SIZE', 4)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp('made') / 'set'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make, 'CHUNK_SIZE', 4)
        report = make_synthetic(folder, COUNT, SETTINGS, backgrounds='procedural', progress=False)
    return folder, report


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob('*') if path.is_file()
    }


def test_the_set_is_read_by_the_reader(made):
    folder, report = made
    assert (report.count, report.made) == (COUNT, COUNT)
    template = load_template('anny')
    data = DensePoseCoco(folder / 'annotations.json', template, folder / 'meshes.npz')
    assert len(data) == COUNT and not data.dropped
    for record in data:
        assert (folder / record.file_name).is_file() and record.image_size == (48, 64)
        assert record.vertices_image.shape == record.vertices_camera.shape == (template.num_vertices, 3)
        assert len(record.points) > 0 and record.keypoints.shape == (17, 3)
    info = json.loads((folder / 'annotations.json').read_text())['info']
    assert info['densepose_surface'] == info['template'] == 'anny' and info['settings']['seed'] == 2
    assert not (folder / 'parts').exists()


def test_the_same_seed_gives_the_same_bytes_with_workers_and_resume(made, tmp_path):
    folder, _ = made
    again = tmp_path / 'again'
    shutil.copytree(folder, again)
    for name in ('annotations.json', 'meshes.npz'):
        (again / name).unlink()
    assert (
        make_synthetic(again, COUNT, SETTINGS, backgrounds='procedural', workers=2, progress=False).made
        == COUNT
    )
    assert contents(again) == contents(folder)


def test_a_killed_run_resumes_to_the_same_bytes(made, tmp_path, monkeypatch):
    folder, _ = made
    target = tmp_path / 'killed'
    real = make._make_chunk

    def killed(chunk, first, stop):
        if chunk == 2:
            raise KeyboardInterrupt
        return real(chunk, first, stop)
    monkeypatch.setattr(make, '_make_chunk', killed)
    with pytest.raises(KeyboardInterrupt):
        make_synthetic(target, COUNT, SETTINGS, backgrounds='procedural', progress=False)
    # A picture of the unfinished chunk is there but broken: it must be written again.
    (target / 'images' / '00000009.jpg').write_bytes(b'half')
    monkeypatch.setattr(make, '_make_chunk', real)
    report = make_synthetic(target, COUNT, SETTINGS, backgrounds='procedural', progress=False)
    assert report.made == 2
    assert contents(target) == contents(folder)
    # As a run leaves it that was stopped after its last file was written.
    (target / 'parts').mkdir()
    (target / 'parts' / '000000.npz').write_bytes(b'')
    assert make_synthetic(target, COUNT, SETTINGS, backgrounds='procedural', progress=False).made == 0
    assert contents(target) == contents(folder) and not (target / 'parts').exists()


def test_a_resume_with_other_settings_is_refused(made, tmp_path):
    folder, _ = made
    with pytest.raises(ValueError, match='was begun with other settings .seed: 2 there, 3 now'):
        make_synthetic(
            folder, COUNT, SyntheticSettings(seed=3, width=48, height=64), backgrounds='procedural'
        )
    with pytest.raises(ValueError, match='count: 10 there, 11 now'):
        make_synthetic(folder, 11, SETTINGS, backgrounds='procedural')
    (tmp_path / 'note.txt').write_text('mine')
    with pytest.raises(ValueError, match='is not empty and has no settings.json'):
        make_synthetic(tmp_path, 1, SETTINGS)


def write_photos(folder, count):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(count):
        cv2.imwrite(str(folder / f'{k:03d}.png'), rng.integers(0, 255, (30, 40 + k, 3), dtype=np.uint8))


def test_splits_share_no_file_and_depend_on_names_alone(tmp_path):
    write_photos(tmp_path / 'photos', 60)
    train, val = (find_photos(tmp_path / 'photos', split) for split in ('train', 'val'))
    assert not set(train) & set(val) and len(train) + len(val) == 60 and 1 <= len(val) <= 15
    names = [f'{k}.bvh' for k in range(5000)]
    assert 0.08 < np.mean([in_split(name, 'val') for name in names]) < 0.12


def test_pictures_come_from_packed_photographs(tmp_path):
    write_photos(tmp_path / 'photos', 3)
    paths = sorted((tmp_path / 'photos').iterdir())
    pack_photos(paths, tmp_path / 'packed')
    source = PictureSource(tmp_path / 'packed')
    for photo, path in zip(source.photos, paths):
        np.testing.assert_array_equal(photo, cv2.imread(str(path))[:, :, ::-1])
    assert source.picture(np.random.default_rng(0), 20, 30).shape == (30, 20, 3)
    (tmp_path / 'photos' / 'broken.jpg').write_bytes(b'no picture')
    with pytest.raises(ValueError, match='broken.jpg: no readable picture'):
        pack_photos(sorted((tmp_path / 'photos').iterdir()), tmp_path / 'packed')


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere: no such folder of backgrounds'):
        make_synthetic(tmp_path / 'a', 1, SETTINGS, backgrounds=str(tmp_path / 'nowhere'))
    with pytest.raises(FileNotFoundError, match='nowhere: no such folder of poses'):
        make_synthetic(tmp_path / 'a', 1, SETTINGS, poses=tmp_path / 'nowhere')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='empty: no photographs'):
        make_synthetic(tmp_path / 'a', 1, SETTINGS, backgrounds=str(tmp_path / 'empty'))
    with pytest.raises(ValueError, match='empty: no motion files'):
        make_synthetic(tmp_path / 'a', 1, SETTINGS, poses=tmp_path / 'empty')
    assert not (tmp_path / 'a').exists()


def test_the_command_reports_and_names_errors(tmp_path, capsys):
    arguments = ['--count', '2', '--size', '48x64', '--backgrounds', 'procedural', '--quiet']
    assert command.main([str(tmp_path / 'set'), *arguments]) == 0
    assert '2 samples (2 made in' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='^make_synthetic: .*seed: 0 there, 1 now') as stop:
        command.main([str(tmp_path / 'set'), *arguments, '--seed', '1'])
    assert stop.value.code == 2
    capsys.readouterr()
    with pytest.raises(SystemExit):
        command.main([str(tmp_path / 'set'), '--count', '2', '--size', '48'])
    assert 'size must be WIDTHxHEIGHT' in capsys.readouterr().err


def test_help_needs_no_heavy_imports():
    run = subprocess.run(
        [sys.executable, '-m', 'meshpose_plugins.cli', 'make_synthetic', '--help'],
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0 and '--backgrounds' in run.stdout
