"""The official DensePose evaluation files of SMPL, where the user has them: charts and geodesic distances.

Source: the published DensePose evaluation data. They are not part of this package.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from meshpose_plugins.evaluation.densepose.surface import Distances, EvaluationSurface

SUBDIVISION, TRANSFORM = 'SMPL_subdiv.mat', 'SMPL_SUBDIV_TRANSFORM.mat'
#: The matrix of distances, in the forms in which it exists; .npy is mapped from disk, the others are read.
MATRIX = ('Pdist_matrix.npy', 'Pdist_matrix.pkl', 'Pdist_matrix.mat')
_KEY = 'Pdist_matrix'


def smpl_surface(folder: str | Path) -> EvaluationSurface:
    """Read SMPL's evaluation surface from the official files.

    Args:
        folder: holds SMPL_subdiv.mat, SMPL_SUBDIV_TRANSFORM.mat and Pdist_matrix.npy, .pkl or .mat.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file does not hold what it should, or the sizes do not fit each other.
    """
    folder = Path(folder)
    missing = [name for name in (SUBDIVISION, TRANSFORM) if not (folder / name).is_file()]
    matrices = [folder / name for name in MATRIX if (folder / name).is_file()]
    if not matrices:
        missing.append(' or '.join(MATRIX))
    if missing:
        raise FileNotFoundError(
            f'{folder}: {", ".join(missing)} missing; these are files of the DensePose evaluation data'
        )
    charts = _mat(folder / SUBDIVISION, ('Part_ID_subdiv', 'U_subdiv', 'V_subdiv'))
    vertex_ids = _mat(folder / TRANSFORM, ('index',))['index'].astype(np.int64) - 1
    uv = np.clip(np.stack([charts['U_subdiv'], charts['V_subdiv']], axis=-1).astype(np.float64), 0, 1)
    distances = lower_triangle(_read_matrix(matrices[0]), int(vertex_ids.max()) + 1, str(matrices[0]))
    return EvaluationSurface(
        charts['Part_ID_subdiv'],
        uv,
        distances,
        vertex_ids=vertex_ids,
        name='smpl',
        geodesics=f'official {matrices[0].name}',
    )


def lower_triangle(values: np.ndarray, count: int, where: str = 'distances') -> Distances:
    """Look distances up in the rows below a symmetric matrix's diagonal, one row after the other.

    Args:
        values: (count * (count - 1) / 2,) the entry (i, j), j < i, at i * (i - 1) / 2 + j.
        count: rows of the matrix.
        where: what error messages call it.

    Raises:
        ValueError: the number of values is another.
    """
    if values.shape != (count * (count - 1) // 2,):
        raise ValueError(
            f'{where}: {count} vertices need {count * (count - 1) // 2} distances, got {values.shape}'
        )

    def look_up(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        high, low = np.maximum(first, second), np.minimum(first, second)
        index = high * (high - 1) // 2 + low
        # The diagonal is not stored.
        return np.where(high == low, 0.0, values[np.where(high == low, 0, index)].astype(np.float64))

    return look_up


def _mat(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    try:
        content = loadmat(path)
    except (ValueError, OSError, NotImplementedError) as error:
        raise ValueError(f'{path}: no readable .mat file: {error}') from None
    absent = [name for name in names if name not in content]
    if absent:
        raise ValueError(f'{path}: {", ".join(absent)} missing')
    return {name: content[name].ravel() for name in names}


def _read_matrix(path: Path) -> np.ndarray:
    if path.suffix == '.npy':
        matrix = np.load(path, mmap_mode='r', allow_pickle=False)
        return matrix if matrix.ndim == 1 else matrix.reshape(-1)
    if path.suffix == '.pkl':
        with open(path, 'rb') as stream:
            try:
                content = _ArraysOnly(stream, encoding='latin1').load()
            except (pickle.UnpicklingError, EOFError, AttributeError, IndexError) as error:
                raise ValueError(f'{path}: no readable file of arrays: {error}') from None
        content = content.get(_KEY) if isinstance(content, dict) else content
    else:
        content = _read_hdf5(path)
    if not isinstance(content, np.ndarray):
        raise ValueError(f"{path}: the array '{_KEY}' is missing")
    return content.reshape(-1)


def _read_hdf5(path: Path) -> np.ndarray | None:
    try:
        import h5py
    except ImportError:
        raise ImportError(f'{path} is an HDF5 file: install h5py, or save its array as {MATRIX[0]}') from None
    with h5py.File(path, 'r') as file:
        return np.asarray(file[_KEY]) if _KEY in file else None


class _ArraysOnly(pickle.Unpickler):
    """Reads the official file, which is a pickle, and nothing in it but NumPy arrays: no code can run."""

    ALLOWED = {
        (module, name)
        for module, names in {
            'numpy': ('ndarray', 'dtype'),
            'numpy.core.multiarray': ('_reconstruct', 'scalar'),
            'numpy._core.multiarray': ('_reconstruct', 'scalar'),
            'numpy.core.numeric': ('_frombuffer',),
            'numpy._core.numeric': ('_frombuffer',),
            '_codecs': ('encode',),
        }.items()
        for name in names
    }

    def find_class(self, module: str, name: str):
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f'it holds {module}.{name}, only arrays are read')
        return super().find_class(module, name)
