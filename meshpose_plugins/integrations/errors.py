"""Errors in what the user gave, as one line of a command."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Callable, Optional

import meshpose_plugins


def run_or_explain(name: str, job: Callable):
    """Do a command's job; errors in what the user gave become one line and exit code 1.

    Those are missing files, and the ValueErrors that this package raises itself (files, templates, options);
    all others keep their traceback.

    Args:
        name: of the command, begins the line.
        job: called without arguments.

    Returns:
        what the job returns.

    Raises:
        SystemExit: with the line, after such an error.
    """
    try:
        return job()
    except (FileNotFoundError, ValueError) as error:
        message = explanation(error)
        if message is None:
            raise
        raise SystemExit(f"{name}: {message}") from None


def explanation(error: Exception) -> Optional[str]:
    """The message of an error in what the user gave; None if it is another error.

    Args:
        error: also one that a data loader's worker, or a registry of MMEngine, passes on in its own words.
    """
    text, places = str(error), []
    if " in DataLoader worker process " in text:  # torch passes on the worker's traceback as the message
        lines = text.strip().splitlines()
        frames = [k for k, line in enumerate(lines) if line.startswith('  File "')]
        places = [(lines[k].split('"')[1], lines[k + 1]) for k in frames[-1:]]
        text = lines[-1].partition(": ")[2]
    missing = isinstance(error, FileNotFoundError)
    while error is not None:
        places += [(frame.filename, frame.line) for frame in traceback.extract_tb(error.__traceback__)[-1:]]
        error = error.__cause__ or error.__context__
    package = Path(meshpose_plugins.__file__).parent
    raised_here = any(
        Path(file).is_relative_to(package) and line.strip().startswith("raise ") for file, line in places
    )
    return text if raised_here or missing else None
