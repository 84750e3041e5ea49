"""`meshpose benchmark-evaluation`: time and memory of the DensePose evaluation on made-up people."""

from __future__ import annotations

import argparse
import os
import sys

from meshpose_plugins.errors import explained


def main(argv: list[str] | None = None) -> int:
    """Print a table; the exit code is 1 if the plain reference gives other scores."""
    parser = argparse.ArgumentParser(prog='benchmark-evaluation', description=__doc__)
    parser.add_argument('--template', default='anny', help='whose body is drawn (default: anny)')
    parser.add_argument('--instances', type=int, default=2243, help="people (default: 2243, minival's)")
    parser.add_argument(
        '--size', type=int, default=1024, help='side of the square maps in px (default: 1024)'
    )
    parser.add_argument(
        '--workers', type=int, default=0, help='threads (default: one per processor, at most 4)'
    )
    parser.add_argument(
        '--geodesics', help="folder for computed geodesics (default: the user's cache folder)"
    )
    parser.add_argument('--seed', type=int, default=0, help='of the people (default: 0)')
    args = parser.parse_args(argv)

    from rich.console import Console
    from rich.table import Table

    from meshpose_plugins.evaluation.densepose import template_surface
    from meshpose_plugins.evaluation.densepose.benchmark import benchmark
    from meshpose_plugins.templates import load_template

    with explained('benchmark_evaluation'):
        template = load_template(args.template)
        surface = template_surface(template, args.geodesics, progress=True)
        workers = args.workers or min(os.cpu_count() or 1, 4)
        result = benchmark(template, surface, args.instances, args.size, workers, args.seed)
    table = Table(
        title=f'{result.instances} people, maps of {result.size} x {result.size} px, P1', show_header=False
    )
    agrees = result.largest_difference < 1e-6
    rows = {
        'whole evaluation': f'{result.seconds:.1f} s with {result.workers} threads',
        'processor time': f'{result.cpu_seconds:.1f} s',
        'largest memory': f'{result.peak_gb:.2f} GB',
        **{f'share of {name}': f'{100 * share:.0f} %' for name, share in result.shares.items()},
        'one person, one thread': f'{result.instance_ms:.1f} ms',
        'plain reference': f'{result.plain_ms:.1f} ms: ratio {result.ratio:.1f}',
        'same scores': 'yes' if agrees else f'NO, differ by {result.largest_difference:.2g}',
        'GPSm AP': f'{100 * result.scores:.2f} %',
    }
    for row in rows.items():
        table.add_row(*row)
    Console().print(table)
    return 0 if agrees else 1


if __name__ == '__main__':
    sys.exit(main())
