"""JSON whose errors say where, and files that a reader never sees half written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4


def decode_json(data: bytes, path: str | Path) -> Any:
    """Parse the bytes of a JSON file.

    Args:
        data: the bytes.
        path: what error messages call the file.

    Returns:
        what is in it.

    Raises:
        ValueError: it is no UTF-8 or no JSON: where reading stopped, and whether the file seems to be cut off.
    """
    try:
        text = data.decode('utf-8-sig')  # some editors write a byte order mark
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path}: no UTF-8 text at byte {error.start} of {len(data)} '
            f'(0x{data[error.start]:02x}): {error.reason}; save the file as UTF-8'
        ) from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        # The position of an unterminated string is that of its beginning.
        is_cut = error.pos >= len(text.rstrip()) - 1 or error.msg.startswith('Unterminated string')
        raise ValueError(
            f'{path}: no valid JSON at line {error.lineno}, column {error.colno}, character {error.pos} '
            f'of {len(text)}{" (the file seems to be cut off)" if is_cut else ""}: {error.msg}'
        ) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise ValueError(f'{path}: no usable JSON: {error}') from None


def read_json_file(path: str | Path, what: str = 'file') -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        what: what it is, for the message where it is missing.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: as :func:`decode_json`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such {what}')
    return decode_json(path.read_bytes(), path)


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
