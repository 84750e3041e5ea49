"""Errors in what the user gave, as one line of a command."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import meshpose_plugins


class BadInput(SystemExit):
    """The end of a command that cannot do what it was asked to: exit code 2, as for argparse's errors.

    Exit code 1 is left to commands that did their job and have something to complain of.

    Args:
        message: the line that was printed, also ``str()`` of this.
    """

    def __init__(self, message: str) -> None:
        super().__init__(2)
        self.message = message

    def __str__(self) -> str:
        return self.message


@contextmanager
def explained(
    name: str,
    errors: tuple[type[Exception], ...] = (ImportError, OSError, ValueError),
    own_only: bool = False,
) -> Iterator[None]:
    """Around a command's job: errors in what the user gave become one line on stderr and exit code 2.

    Args:
        name: of the command, begins the line.
        errors: which errors are the user's.
        own_only: of these only files that cannot be read or written, packages that are not installed, and what
            this package raises itself (files, templates, options); others keep their traceback. For jobs in
            which a framework or the user's own code runs.

    Raises:
        BadInput: after such an error.
    """
    try:
        yield
    except errors as error:
        message = explanation(error) if own_only else str(error)
        if message is None:
            raise
        line = f'{name}: {message}'
        print(line, file=sys.stderr)
        raise BadInput(line) from None


def explanation(error: Exception) -> str | None:
    """The message of an error in what the user gave; None if it is another error.

    Args:
        error: also one that a data loader's worker, or a registry of MMEngine, passes on in its own words.
    """
    text, places = str(error), []
    if ' in DataLoader worker process ' in text:  # torch passes on the worker's traceback as the message
        lines = text.strip().splitlines()
        frames = [k for k, line in enumerate(lines) if line.startswith('  File "')]
        places = [(lines[k].split('"')[1], lines[k + 1]) for k in frames[-1:]]
        text = lines[-1].partition(': ')[2]
    plain = isinstance(error, (FileNotFoundError, ModuleNotFoundError))
    plain = plain or (isinstance(error, OSError) and error.filename is not None)
    while error is not None:
        places += [(frame.filename, frame.line) for frame in traceback.extract_tb(error.__traceback__)[-1:]]
        error = error.__cause__ or error.__context__
    package = Path(meshpose_plugins.__file__).parent
    raised_here = any(
        Path(file).is_relative_to(package) and line.strip().startswith('raise ') for file, line in places
    )
    return text if raised_here or plain else None
