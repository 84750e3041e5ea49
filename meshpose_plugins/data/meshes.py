"""The .npz file of ground-truth meshes that stands beside a COCO-style JSON."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from meshpose_plugins.templates import MeshTemplate

#: Version of the file format, stored in each file.
MESHES_VERSION = 1


@dataclass
class MeshLabels:
    """Meshes of n annotated people.

    Args:
        template: name of the template whose V vertices these are.
        annotation_ids: (n,) int64, the annotation of each mesh.
        vertices_image: (n, V, 3) float32; x, y in image px (also outside the image), z relative to the root
            joint in image px at the root's depth.
        visibility: (n, V) uint8, 1 where the vertex is in the image and nothing hides it.
        vertices_camera: (n, V, 3) float32 metres relative to the root joint, x right, y down, z away.
    """

    template: str
    annotation_ids: np.ndarray
    vertices_image: np.ndarray
    visibility: np.ndarray
    vertices_camera: np.ndarray
    index: dict[int, int] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.index:
            self.index = {int(identity): row for row, identity in enumerate(self.annotation_ids)}

    def __len__(self) -> int:
        return len(self.annotation_ids)


def _stored_array(path: Path, name: str) -> np.ndarray | None:
    """Map an uncompressed array of an .npz from disk, shared by all processes; None if it can't be."""
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(f'{name}.npy')
        if entry.compress_type != zipfile.ZIP_STORED:
            return None
        with archive.open(entry) as stream:
            version = np.lib.format.read_magic(stream)
            if version != (1, 0):
                return None
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
            header = stream.tell()
    with open(path, 'rb') as stream:
        stream.seek(entry.header_offset)
        local = stream.read(30)
    start = (
        entry.header_offset
        + 30
        + int.from_bytes(local[26:28], 'little')
        + int.from_bytes(local[28:30], 'little')
    )
    if fortran or dtype.hasobject or 0 in shape:
        return None
    return np.memmap(path, dtype=dtype, mode='r', offset=start + header, shape=shape)


def load_meshes(path: str | Path, template: MeshTemplate) -> MeshLabels:
    """Open a file of meshes; the large arrays are mapped from disk rather than read.

    Args:
        path: the .npz.
        template: the template that they must be of.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is broken or of another template, version or size.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file of meshes')
    try:
        with np.load(path, allow_pickle=False) as archive:
            small = {name: archive[name] for name in ('template', 'version', 'annotation_ids')}
            arrays = {}
            for name in ('vertices_image', 'visibility', 'vertices_camera'):
                mapped = _stored_array(path, name)
                arrays[name] = archive[name] if mapped is None else mapped
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f'{path}: no readable file of meshes: {error}') from None
    if int(small['version']) != MESHES_VERSION:
        raise ValueError(f"{path}: version {int(small['version'])}, this library reads {MESHES_VERSION}")
    name = str(small['template'])
    if name != template.name:
        raise ValueError(f"{path}: meshes of template '{name}', but template '{template.name}' was asked for")
    count, vertices = len(small['annotation_ids']), template.num_vertices
    for field_name, shape in (('vertices_image', (count, vertices, 3)), ('visibility', (count, vertices)),
                              ('vertices_camera', (count, vertices, 3))):
        if arrays[field_name].shape != shape:
            raise ValueError(f'{path}: {field_name} must be {shape}, got {arrays[field_name].shape}')
    return MeshLabels(name, small['annotation_ids'].astype(np.int64), **arrays)
