"""Writing of a synthetic data set in chunks, so that killed runs resume and processes share the work."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from meshpose_plugins.data.meshes import MESHES_VERSION
from meshpose_plugins.data.synthetic.generator import SyntheticSample
from meshpose_plugins.data.synthetic.settings import SyntheticSettings
from meshpose_plugins.files import read_json_file, write_atomically, written_aside
from meshpose_plugins.templates import MeshTemplate

IMAGES, PARTS, ANNOTATIONS, MESHES, SETTINGS = (
    'images',
    'parts',
    'annotations.json',
    'meshes.npz',
    'settings.json',
)
_MESH_FIELDS = ('annotation_ids', 'vertices_image', 'visibility', 'vertices_camera')
KEYPOINT_SKELETON = [
    [16, 14],
    [14, 12],
    [17, 15],
    [15, 13],
    [12, 13],
    [6, 12],
    [7, 13],
    [6, 7],
    [6, 8],
    [7, 9],
    [8, 10],
    [9, 11],
    [2, 3],
    [1, 2],
    [1, 3],
    [2, 4],
    [3, 5],
    [4, 6],
    [5, 7],
]


def image_name(index: int) -> str:
    """Return the file name of a sample's picture."""
    return f'{index:08d}.jpg'


class SettingsChanged(ValueError):
    """A data set's folder was begun with other settings than those given now."""


def check_settings(folder: Path, settings: dict) -> None:
    """Store the settings of a new folder; refuse to go on with other settings than a folder was begun with.

    Raises:
        SettingsChanged: the folder belongs to a run with other settings (named with both values).
        ValueError: the folder holds something else, or its settings cannot be read.
    """
    path = folder / SETTINGS
    if not path.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise ValueError(
                f'{folder}: is not empty and has no {SETTINGS} of an earlier run; give an empty folder'
            )
        if folder.exists() and not folder.is_dir():
            raise ValueError(f'{folder}: is a file; give a folder')
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(settings, indent=1, sort_keys=True) + '\n').encode())
        return
    try:
        found = read_json_file(path)
    except ValueError as error:
        raise ValueError(f'{error}; remove the folder and start anew') from None
    changed = [f'{name}: {found.get(name)!r} there, {settings.get(name)!r} now'
               for name in sorted(set(found) | set(settings)) if found.get(name) != settings.get(name)]
    if changed:
        raise SettingsChanged(
            f'{folder}: was begun with other settings ({"; ".join(changed)}); give the same ones to resume, '
            f'or another folder'
        )


class ChunkStore:
    """The finished chunks of a data set below ``OUT/parts``.

    A chunk counts once its arrays, written last, lie under their final name; before that its pictures are
    written again.

    Args:
        folder: the data set's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _paths(self, chunk: int) -> tuple[Path, Path]:
        parts = self.folder / PARTS
        return parts / f'{chunk:06d}.jsonl', parts / f'{chunk:06d}.npz'

    def is_done(self, chunk: int) -> bool:
        """Say whether a chunk is complete."""
        return all(path.is_file() for path in self._paths(chunk))

    def write(self, chunk: int, first: int, samples: Iterable[SyntheticSample]) -> int:
        """Write the samples of one chunk, the first of which has index ``first``; returns their number."""
        for name in (IMAGES, PARTS):
            (self.folder / name).mkdir(exist_ok=True)
        lines, arrays = [], {name: [] for name in _MESH_FIELDS}
        for index, sample in enumerate(samples, start=first):
            (self.folder / IMAGES / image_name(index)).write_bytes(sample.jpeg)
            lines.append(json.dumps(sample.annotation, separators=(',', ':')))
            arrays['annotation_ids'].append(sample.annotation['id'])
            for name in _MESH_FIELDS[1:]:
                arrays[name].append(getattr(sample, name))
        text_path, array_path = self._paths(chunk)
        write_atomically(text_path, ('\n'.join(lines) + '\n').encode())
        with written_aside(array_path) as temporary:
            np.savez(temporary, **{name: np.stack(rows) for name, rows in arrays.items()})
        return len(lines)

    def annotations(self, chunks: range) -> Iterator[str]:
        """Yield the JSON text of every annotation, in order."""
        for chunk in chunks:
            yield from self._paths(chunk)[0].read_text(encoding='utf-8').splitlines()

    def arrays(self, chunks: range, name: str) -> Iterator[np.ndarray]:
        """Yield one array of every chunk, in order."""
        for chunk in chunks:
            with np.load(self._paths(chunk)[1], allow_pickle=False) as archive:
                yield archive[name]


def write_annotations(path: Path, store: ChunkStore, chunks: range, count: int, settings: SyntheticSettings,
                      template: MeshTemplate) -> None:
    """Merge the annotations of all chunks to one COCO-style JSON."""
    info = {'description': 'synthetic people with DensePose labels', 'densepose_surface': template.body,
            'template': template.name, 'settings': settings.to_dict()}
    category = {
        'id': 1,
        'name': 'person',
        'supercategory': 'person',
        'keypoints': list(template.keypoint_names),
        'skeleton': KEYPOINT_SKELETON,
    }
    with written_aside(path) as temporary, open(temporary, 'w', encoding='utf-8') as stream:
        stream.write(f'{{"info":{json.dumps(info)},\n"categories":{json.dumps([category])},\n"images":[\n')
        images = ({'id': k + 1, 'file_name': f'{IMAGES}/{image_name(k)}', 'width': settings.width,
                   'height': settings.height} for k in range(count))
        stream.write(',\n'.join(json.dumps(image, separators=(',', ':')) for image in images))
        stream.write('\n],\n"annotations":[\n')
        stream.writelines(
            (',\n' if number else '') + line for number, line in enumerate(store.annotations(chunks))
        )
        stream.write('\n]}\n')


def write_meshes(path: Path, store: ChunkStore, chunks: range, count: int, template: MeshTemplate) -> None:
    """Merge the meshes of all chunks to one uncompressed .npz, a chunk at a time."""
    vertices = template.num_vertices
    shapes = {
        'annotation_ids': ((count,), np.int64),
        'vertices_image': ((count, vertices, 3), np.float32),
        'visibility': ((count, vertices), np.uint8),
        'vertices_camera': ((count, vertices, 3), np.float32),
    }
    with written_aside(path) as temporary, zipfile.ZipFile(
        temporary, 'w', zipfile.ZIP_STORED, allowZip64=True
    ) as archive:
        for name, value in (('template', np.array(template.name)), ('version', np.array(MESHES_VERSION))):
            with archive.open(f'{name}.npy', 'w') as stream:
                np.lib.format.write_array(stream, value)
        for name, (shape, dtype) in shapes.items():
            with archive.open(f'{name}.npy', 'w', force_zip64=True) as stream:
                header = {
                    'descr': np.lib.format.dtype_to_descr(np.dtype(dtype)),
                    'fortran_order': False,
                    'shape': shape,
                }
                np.lib.format.write_array_header_1_0(stream, header)
                for rows in store.arrays(chunks, name):
                    stream.write(np.ascontiguousarray(rows, dtype).tobytes())
