"""Files of arrays that a reader never sees half written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from meshpose_plugins.files import written_aside


def write_npz(path: str | Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write an uncompressed .npz (so that it can be mapped) under a temporary name, then rename it.

    Args:
        path: the file; its folder is made if it is missing.
        arrays: name -> array.

    Returns:
        The path.

    Raises:
        OSError: the folder cannot be written to.
    """
    path = Path(path)
    with written_aside(path) as temporary, open(temporary, 'wb') as stream:
        np.savez(stream, **arrays)
    return path
