"""Template files: one .npz per template, arrays only."""

from __future__ import annotations

import dataclasses
import os
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..files import written_aside
from .template import BodySurface, MeshTemplate

FORMAT_VERSION = 1
_ASSETS = Path(__file__).parent / 'assets'

#: Types in the file; distances fit half precision (1 mm at 2 m), ids 16 bits where they can.
_STORED_TYPES = {'geodesics': np.float16, 'face_parts': np.uint8, 'surface.face_parts': np.uint8}


def builtin_templates() -> list[str]:
    """Names of the templates that the package ships."""
    return sorted(path.stem for path in _ASSETS.glob('*.npz'))


def load_template(name: str | os.PathLike) -> MeshTemplate:
    """Load a built-in template by name or a template file by path; loaded once per process.

    Args:
        name: A built-in name such as ``'anny'``, or the path of a .npz file made by
            ``tools/build_template.py``.

    Returns:
        The template, with read-only arrays.

    Raises:
        FileNotFoundError: If there is neither a built-in template nor a file of that name.
        ValueError: If the file is no template, or of another format version.
    """
    if isinstance(name, str) and name in builtin_templates():
        path = _ASSETS / f'{name}.npz'
    else:
        path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(
            f"no template '{name}': neither a built-in one ({', '.join(builtin_templates())}) nor a file; "
            'tools/build_template.py makes template files'
        )
    return _read(path.resolve(), path.stat().st_mtime_ns)


def save_template(template: MeshTemplate, path: str | os.PathLike) -> None:
    """Write a template file under a temporary name and rename it."""
    arrays = {'format_version': np.array(FORMAT_VERSION)}
    for name, value in _flatten(template).items():
        value = np.asarray(value, dtype=str if isinstance(value, tuple) else None)
        if name in _STORED_TYPES:
            value = value.astype(_STORED_TYPES[name])
        elif np.issubdtype(value.dtype, np.integer):
            value = value.astype(np.uint16 if value.size == 0 or value.max() < 2**16 else np.int32)
        elif np.issubdtype(value.dtype, np.floating):
            value = value.astype(np.float32)
        arrays[name] = value
    write_arrays(path, arrays)


def write_arrays(path: str | os.PathLike, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz file under a temporary name and rename it."""
    with written_aside(path) as temporary, open(temporary, 'wb') as file:
        np.savez_compressed(file, **arrays)


def _flatten(template: MeshTemplate) -> dict[str, object]:
    """What is known of a template, by the names in the file."""
    values = {name: vars(template)[name] for name in _fields(MeshTemplate)}
    surface = values.pop('surface')
    if surface is not None:
        values.update({f'surface.{name}': vars(surface)[name] for name in _fields(BodySurface)})
    return {name: value for name, value in values.items() if value is not None}


def _fields(cls: type) -> list[str]:
    return [field.name for field in dataclasses.fields(cls) if not field.name.startswith('_')]


def read_arrays(path: Path, kind: str) -> dict[str, np.ndarray]:
    """Read an .npz file of arrays; ValueError says that it is no file of the kind."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f'{path} is no {kind} file: {error}') from error


@lru_cache(maxsize=8)
def _read(path: Path, mtime_ns: int) -> MeshTemplate:
    """Read a file; ``mtime_ns`` makes a file that was written again another entry of the cache."""
    arrays = read_arrays(path, 'template')
    version = int(arrays.get('format_version', 0))
    if version != FORMAT_VERSION:
        raise ValueError(
            f'{path}: format_version is {version}, this library reads {FORMAT_VERSION}; '
            'rebuild the file with tools/build_template.py'
        )
    values = {name: _restore(arrays[name]) for name in _fields(MeshTemplate) if name in arrays}
    parts = {
        name: _restore(arrays[key]) for name in _fields(BodySurface) if (key := f'surface.{name}') in arrays
    }
    missing = [name for name in ('name', 'body') if name not in values]
    missing += ['vertices (or num_vertices)'] if not {'vertices', 'num_vertices'} & set(values) else []
    missing += ['surface.faces'] if parts and 'faces' not in parts else []
    if missing:
        raise ValueError(f"{path} is no template file: it lacks {', '.join(missing)}")
    if parts:
        values['surface'] = BodySurface(**{name: parts.get(name) for name in _fields(BodySurface)})
    try:
        return MeshTemplate(**values)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def _restore(value: np.ndarray):
    """Arrays in the types that the dataclasses promise; names as strings."""
    if value.dtype.kind == 'U':
        return value.item() if value.ndim == 0 else tuple(value.tolist())
    value = value.astype(np.float32 if value.dtype.kind == 'f' else np.int64)
    if value.ndim == 0:
        return value.item()
    value.setflags(write=False)
    return value
