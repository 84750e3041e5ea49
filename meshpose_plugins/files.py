"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def written_aside(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; what was written there gets the name ``path`` at the end.

    After an error the temporary file is removed, and what lay at ``path`` stays.

    Args:
        path: file to write; its folder is made if it is missing.

    Yields:
        A name in the same folder, with the same ending.

    Example:
        >>> with written_aside('numbers.npy') as temporary:
        ...     np.save(temporary, numbers)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{uuid4().hex}.{path.name}')
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: str | Path, content: bytes) -> Path:
    """Write ``content`` under a temporary name in the same folder, then rename it to ``path``.

    Args:
        path: file to write; its folder is made if it is missing.
        content: the bytes.

    Returns:
        The path.
    """
    with written_aside(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)
