"""Time the rasteriser: compiled loops against their NumPy references, in one run."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from meshpose_plugins.errors import explained


def main(argv: list[str] | None = None) -> int:
    """Prints a table of times; the exit code is 1 if the backends disagree.

    Args:
        argv: arguments; None takes the process's.

    Returns:
        the exit code.
    """
    parser = argparse.ArgumentParser(prog="benchmark_rendering", description=__doc__)
    parser.add_argument(
        "--template", default="anny", help="whose full-resolution surface is drawn (default: anny)"
    )
    parser.add_argument("--height", type=int, default=256, help="rows of the picture (default: 256)")
    parser.add_argument("--width", type=int, default=192, help="columns of the picture (default: 192)")
    parser.add_argument(
        "--repeats", type=int, default=30, help="runs of each compiled function (default: 30)"
    )
    args = parser.parse_args(argv)

    from meshpose_plugins.rendering.benchmark import benchmark, fit_to_picture
    from meshpose_plugins.templates import load_template

    with explained("benchmark_rendering"):
        surface = load_template(args.template).surface
    xyz = fit_to_picture(surface.vertices, args.height, args.width)
    timings = benchmark(xyz, surface.faces, args.height, args.width, args.repeats)
    table = Table(title=f"{args.template}, {args.width} x {args.height} px, one thread, median ms")
    for column in ("", "numba", "NumPy", "ratio", "same result"):
        table.add_column(column, justify="left" if not column else "right")
    for row in timings:
        same = "yes" if row.agrees else "NO"
        table.add_row(row.name, f"{row.numba_ms:.2f}", f"{row.numpy_ms:.2f}", f"{row.ratio:.1f}", same)
    Console().print(table)
    return 0 if all(row.agrees for row in timings) else 1


if __name__ == "__main__":
    raise SystemExit(main())
