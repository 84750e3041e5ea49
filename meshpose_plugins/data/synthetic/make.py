"""Making of a whole synthetic data set with many processes."""

from __future__ import annotations

import hashlib
import multiprocessing
import shutil
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from meshpose_plugins.bodies import BodyModel, load_body
from meshpose_plugins.bodies.motion import load_poses
from meshpose_plugins.data.synthetic.generator import SampleGenerator
from meshpose_plugins.data.synthetic.photos import (
    PictureSource,
    find_photos,
    free_photos,
    pack_photos,
)
from meshpose_plugins.data.synthetic.poses import PoseSource, find_poses
from meshpose_plugins.data.synthetic.settings import SyntheticSettings
from meshpose_plugins.data.synthetic.writer import (
    ANNOTATIONS,
    MESHES,
    PARTS,
    ChunkStore,
    check_settings,
    write_annotations,
    write_meshes,
)
from meshpose_plugins.files import written_aside
from meshpose_plugins.templates import load_template

#: Values of ``backgrounds`` that are no folder.
PROCEDURAL, AUTO = 'procedural', 'auto'
#: Samples in a part: few, so that small sets too keep all workers busy and little is lost by a stop.
#: Part k holds samples k * CHUNK_SIZE onwards: another size needs a new GENERATOR_VERSION to resume safely.
CHUNK_SIZE = 50


@dataclass(frozen=True)
class MakeReport:
    """What a finished run has to say.

    Args:
        folder: where the data set lies.
        count: samples in it.
        made: samples made by this run (the others were there).
        seconds: time spent on making them.
    """

    folder: Path
    count: int
    made: int
    seconds: float

    def __str__(self) -> str:
        rate = (
            f'{self.made} made in {self.seconds:.1f} s, {self.made / max(self.seconds, 1e-9):.1f} per second'
        )
        return (f'{self.folder}: {self.count} samples ({rate if self.made else "all were there"}): '
                f'{self.folder / ANNOTATIONS}, {self.folder / MESHES}, {self.folder / "images"}')


def _fingerprint(paths: list[Path]) -> str:
    """Return a short hash of files' names and contents."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode('utf-8') + b'\0' + hashlib.sha256(path.read_bytes()).digest())
    return f'{len(paths)} files, {digest.hexdigest()[:16]}'


def _body_fingerprint(body: BodyModel) -> str:
    """Return a short hash of a body at rest, wherever its files lie."""
    digest = hashlib.sha256(np.ascontiguousarray(body.vertices).tobytes())
    digest.update(np.ascontiguousarray(body.faces).tobytes())
    return f'{body.name}, {digest.hexdigest()[:16]}'


def background_files(backgrounds: str, split: str) -> list[Path]:
    """List the photographs meant by a folder, 'procedural' (none) or 'auto' (scikit-image's, to train)."""
    if backgrounds == PROCEDURAL or (backgrounds == AUTO and split == 'val'):
        return []
    return free_photos() if backgrounds == AUTO else find_photos(backgrounds, split)


def build_generator(settings: SyntheticSettings, photos: str | Path | None = None,
                    poses: np.ndarray | None = None) -> SampleGenerator:
    """Build a generator in this process.

    Args:
        settings: choices of the data set.
        photos: packed photographs (:func:`meshpose_plugins.data.synthetic.photos.pack_photos`), or None.
        poses: (K, J, 3, 3) recorded poses, or None.
    """
    template = load_template(settings.template)
    body = load_body(template.body, settings.model_path)
    return SampleGenerator(settings, template, body, PictureSource(photos),
                           PoseSource(body, poses, settings.pose_files))


_worker: dict = {}


def _start_worker(settings: SyntheticSettings, folder: str, photos: str | None, poses: str | None) -> None:
    """Prepare a process: one thread each, the processes themselves use the cores."""
    cv2.setNumThreads(1)
    recorded = None if poses is None else np.load(poses, mmap_mode='r')
    _worker['generator'] = build_generator(settings, photos, recorded)
    _worker['store'] = ChunkStore(Path(folder))


def _make_chunk(chunk: int, first: int, stop: int) -> int:
    generator = _worker['generator']
    return _worker['store'].write(chunk, first, (generator.sample(k) for k in range(first, stop)))


def _run(pending: list[tuple], workers: int, start_arguments: tuple, advance) -> None:
    """Make the pending chunks, here or in worker processes."""
    if workers <= 1:
        _start_worker(*start_arguments)
        for task in pending:
            advance(_make_chunk(*task))
        return
    # Spawned, not forked: compiled code and OpenCV's threads do not survive a fork everywhere.
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(workers, context, _start_worker, start_arguments) as pool:
        waiting = {pool.submit(_make_chunk, *task) for task in pending}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    advance(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def make_synthetic(out: str | Path, count: int, settings: SyntheticSettings, poses: str | Path | None = None,
                   backgrounds: str = AUTO, workers: int = 1, progress: bool = True) -> MakeReport:
    """Make (or finish) a synthetic data set: pictures, one COCO-style JSON with DensePose fields, one .npz of
    meshes.

    Sample k depends on the settings, the files given and k alone: the bytes are the same for any number of
    workers, and after any number of interruptions.

    Args:
        out: folder; new, empty, or that of an interrupted run with the same settings.
        count: number of samples.
        settings: choices of the data set.
        poses: folder of motion files (BVH, ASF/AMC), or None.
        backgrounds: folder of photographs, 'procedural', or 'auto' (scikit-image's free photographs where
            installed).
        workers: processes.
        progress: whether to draw a progress bar.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: a value is out of range, or the folder was begun with other settings.
    """
    if count < 1:
        raise ValueError(f'count must be at least 1, got {count}')
    if workers < 1:
        raise ValueError(f'workers must be at least 1, got {workers}')
    out = Path(out)
    template = load_template(settings.template)
    body = load_body(template.body, settings.model_path)
    pose_paths = [] if poses is None else find_poses(poses, settings.split)
    photo_paths = background_files(str(backgrounds), settings.split)
    model = {} if settings.model_path is None else {'body': _body_fingerprint(body)}
    check_settings(out, {**settings.to_dict(), **model, 'count': count, 'poses': _fingerprint(pose_paths),
                         'backgrounds': _fingerprint(photo_paths)})
    store = ChunkStore(out)
    chunks = [
        (c, first, min(first + CHUNK_SIZE, count)) for c, first in enumerate(range(0, count, CHUNK_SIZE))
    ]
    if (out / ANNOTATIONS).is_file() and (out / MESHES).is_file():
        # Parts are left where a run was stopped after its last file was written.
        shutil.rmtree(out / PARTS, ignore_errors=True)
        return MakeReport(out, count, 0, 0.0)
    pending = [task for task in chunks if not store.is_done(task[0])]
    (out / PARTS).mkdir(exist_ok=True)
    packed, recorded = _shared_inputs(out / PARTS, body, poses, pose_paths, photo_paths)
    made = sum(stop - first for _, first, stop in pending)
    start = time.perf_counter()
    with _progress_bar(progress, count, count - made) as advance:
        _run(pending, min(workers, max(len(pending), 1)), (settings, str(out), packed, recorded), advance)
    seconds = time.perf_counter() - start
    everything = range(len(chunks))
    write_meshes(out / MESHES, store, everything, count, template)
    write_annotations(out / ANNOTATIONS, store, everything, count, settings, template)
    shutil.rmtree(out / PARTS, ignore_errors=True)
    return MakeReport(out, count, made, seconds)


def _shared_inputs(folder: Path, body: BodyModel, poses: str | Path | None, pose_paths: list[Path],
                   photo_paths: list[Path]) -> tuple[str | None, str | None]:
    """Write photographs and poses once to files that all workers map."""
    packed = recorded = None
    if photo_paths:
        packed = folder / 'photos.bin'
        pack_photos(photo_paths, packed)
    if pose_paths:
        recorded = folder / 'poses.npy'
        with written_aside(recorded) as temporary:
            np.save(temporary, load_poses(poses, body, files=pose_paths))
    return (None if packed is None else str(packed)), (None if recorded is None else str(recorded))


class _progress_bar:
    """A rich progress bar over samples as a context manager that yields ``advance(n)``."""

    def __init__(self, shown: bool, total: int, done: int) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self.bar = Progress(
            TextColumn('synthetic people'),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            disable=not shown,
        )
        self.task = self.bar.add_task('', total=total, completed=done)

    def __enter__(self):
        self.bar.start()
        return lambda count: self.bar.advance(self.task, count)

    def __exit__(self, *error) -> None:
        self.bar.stop()
