"""Reading numbers from lines of text so that an error names the file and the line."""

from __future__ import annotations

from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Union

import numpy as np


class Line(NamedTuple):
    """One non-empty line: its number in the file, counted from 1, and its words."""

    number: int
    words: List[str]


def read_lines(path: Union[str, Path], comment: Optional[str] = None) -> List[Line]:
    """Non-empty lines of a text file.

    Args:
        path: the file.
        comment: leading character of lines to leave out.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not text or empty.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such motion file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = path.read_text(encoding="latin-1")
    if "\0" in text:
        raise ValueError(f"{path}: not a text file")
    lines = [Line(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    lines = [line for line in lines if comment is None or not line.words[0].startswith(comment)]
    if not lines:
        raise ValueError(f"{path}: the file is empty")
    return lines


def error_at(path: Union[str, Path], line: Line, message: str) -> ValueError:
    """A ValueError that starts with 'file:line:'."""
    return ValueError(f"{path}:{line.number}: {message}")


def numbers(path: Union[str, Path], line: Line, words: Sequence[str], count: int, field: str) -> np.ndarray:
    """Read `count` finite numbers.

    Args:
        path, line: where the words stand.
        words: the words; more than `count` are refused.
        count: how many numbers there must be.
        field: what they are, for the message.

    Returns:
        (count,) float64.

    Raises:
        ValueError: naming file, line, field and value.
    """
    if len(words) != count:
        raise error_at(
            path, line, f"{field} must be {count} numbers, got {len(words)}: {' '.join(words[:8])!r}"
        )
    try:
        values = np.array([float(word) for word in words])
    except ValueError as error:
        raise error_at(path, line, f"{field}: {error}") from None
    if not np.isfinite(values).all():
        raise error_at(path, line, f"{field} holds a value that is not finite: {' '.join(words[:8])!r}")
    return values
