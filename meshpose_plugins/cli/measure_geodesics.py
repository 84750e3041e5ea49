"""`meshpose measure-geodesics`: the evaluation's distances against exact geodesics of the full mesh.

Needs `pip install pygeodesic` (exact polyhedral geodesics, used for nothing else).
"""

from __future__ import annotations

import argparse
import sys

from meshpose_plugins.errors import explained


def main(argv: list[str] | None = None) -> int:
    """Print a table of errors; returns the exit code."""
    parser = argparse.ArgumentParser(prog='measure-geodesics', description=__doc__)
    parser.add_argument('--template', default='anny', help='whose full body is measured (default: anny)')
    parser.add_argument('--sources', type=int, default=20, help='random points to measure from (default: 20)')
    parser.add_argument(
        '--targets', type=int, default=2000, help='random points to measure to (default: 2000)'
    )
    parser.add_argument('--crossings', default='0,1,2,3,5', help='graphs to compare (default: 0,1,2,3,5)')
    parser.add_argument('--seed', type=int, default=0, help='of the points (default: 0)')
    args = parser.parse_args(argv)

    from rich.console import Console
    from rich.table import Table

    from meshpose_plugins.evaluation.densepose.geodesic_errors import measure
    from meshpose_plugins.templates import load_template

    with explained('measure_geodesics'):
        crossings = [int(number) for number in args.crossings.split(',')]
        rows = measure(load_template(args.template), crossings, args.sources, args.targets, args.seed)
    table = Table(
        title=f"{args.template}: {args.sources} x {args.targets} random surface points, error in mm"
    )
    for column in ('distance', 'mean', '95 %', 'largest', 'bias', 'mean below 30 cm'):
        table.add_column(column, justify='left' if column == 'distance' else 'right')
    for row in rows:
        values = (row.mean, row.percentile_95, row.largest, row.bias, row.mean_near)
        table.add_row(row.name, *(f'{value:.1f}' for value in values))
    Console().print(table)
    return 0


if __name__ == '__main__':
    sys.exit(main())
