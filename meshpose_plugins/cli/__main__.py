"""The console entry: `meshpose <command> ...` runs `meshpose_plugins.cli.<command>.main`."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path


def commands() -> list[str]:
    """The names of the commands that are installed, sorted."""
    return sorted(
        m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if not m.name.startswith('_')
    )


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: command and its arguments; None takes the process's.

    Returns:
        the exit code.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    known = commands()
    if not argv or argv[0] in ('-h', '--help'):
        print(
            'usage: meshpose COMMAND ...\n\ncommands: '
            + ', '.join(known)
            + '\nmeshpose COMMAND --help says more'
        )
        return 0 if argv else 2
    name = argv[0].replace('-', '_')
    if name not in known:
        print(f'meshpose: unknown command {argv[0]!r}; expected one of {", ".join(known)}', file=sys.stderr)
        return 2
    return importlib.import_module(f'meshpose_plugins.cli.{name}').main(argv[1:]) or 0


if __name__ == '__main__':
    sys.exit(main())
