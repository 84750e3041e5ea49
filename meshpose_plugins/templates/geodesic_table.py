"""All geodesic distances of a body surface, computed once and kept in a file that is mapped into memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ..files import written_aside
from .geodesics import geodesic_distances, surface_graph

#: Edges that a line of the graph may cross; see docs/densepose_evaluation.md for the error of each choice.
CROSSINGS = 5
#: Part of the file's name: a change of the computation makes new files.
VERSION = 1
_SOURCES_PER_BLOCK = 64


def cache_folder() -> Path:
    """The folder in which computed files are kept when no other is given."""
    return Path.home() / '.cache' / 'meshpose_plugins' / 'geodesics'


def geodesic_table(
    vertices: np.ndarray,
    faces: np.ndarray,
    folder: str | Path | None = None,
    crossings: int = CROSSINGS,
    workers: int = 0,
    progress: bool = False,
) -> np.ndarray:
    """Give the distances between all vertices of a surface, from the cache where they were computed before.

    The file takes 2 N^2 bytes (301 MB for 12,272 vertices); half precision errs by less than 1 mm up to 2 m.

    Args:
        vertices: (N, 3) positions in metres.
        faces: (F, 3) consistently oriented vertex ids.
        folder: where the file is kept; :func:`cache_folder` when not given.
        crossings: see :func:`surface_graph`.
        workers: threads; 0 for one per processor.
        progress: show a progress bar while computing.

    Returns:
        (N, N) float16 metres, symmetric up to rounding, mapped read-only from the file.

    Raises:
        ValueError: a distance is infinite, as the surface has more than one piece.
    """
    folder = cache_folder() if folder is None else Path(folder)
    path = folder / f'geodesics_{len(vertices)}_{_fingerprint(vertices, faces, crossings)}.npy'
    table = _open(path, len(vertices))
    if table is not None:
        return table
    with written_aside(path) as temporary:
        _compute(temporary, vertices, faces, crossings, workers or os.cpu_count() or 1, progress)
    return _open(path, len(vertices))


def _fingerprint(vertices: np.ndarray, faces: np.ndarray, crossings: int) -> str:
    """A name for a surface and the way its distances are computed."""
    digest = hashlib.sha256(f'{VERSION} {crossings}'.encode())
    digest.update(np.ascontiguousarray(vertices, np.float32).tobytes())
    digest.update(np.ascontiguousarray(faces, np.int32).tobytes())
    return digest.hexdigest()[:16]


def _open(path: Path, count: int) -> np.ndarray | None:
    """Map a table; None if it is not there or not whole, so that it is made again."""
    try:
        table = np.load(path, mmap_mode='r', allow_pickle=False)
    except (FileNotFoundError, ValueError):
        return None
    return table if table.shape == (count, count) and table.dtype == np.float16 else None


def _compute(
    path: Path, vertices: np.ndarray, faces: np.ndarray, crossings: int, workers: int, progress: bool
) -> None:
    graph = surface_graph(vertices, faces, crossings)
    count = len(vertices)
    table = np.lib.format.open_memmap(path, 'w+', np.float16, (count, count))

    def fill(start: int) -> None:
        sources = np.arange(start, min(start + _SOURCES_PER_BLOCK, count))
        distances = geodesic_distances(graph, sources)
        if not np.isfinite(distances).all():
            raise ValueError('the surface has more than one piece: some geodesic distances are infinite')
        table[sources] = distances

    with ThreadPoolExecutor(workers) as pool:
        done: Iterator = pool.map(fill, range(0, count, _SOURCES_PER_BLOCK))
        if progress:
            from rich.progress import track

            blocks = -(-count // _SOURCES_PER_BLOCK)
            done = track(done, 'Geodesic distances (once)', total=blocks)
        for _ in done:
            pass
    table.flush()
