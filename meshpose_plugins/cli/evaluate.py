"""`meshpose evaluate`: score a predictions file against annotations, under named protocols."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

#: Statistics of the table, in the order of the public evaluation.
COLUMNS = ('AP', 'AP50', 'AP75', 'APm', 'APl', 'AR', 'AR50', 'AR75', 'ARm', 'ARl')
MODE_NAMES = {'gps': 'GPS', 'gpsm': 'GPSm', 'iou': 'IoU'}


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog='evaluate',
        description='Score a predictions file (.npz, .json) or a DensePose results file (.json)',
        epilog='P1: ground-truth boxes, score 1, masked by the ground-truth mask; P2: the same without the mask; '
        'P3: detected boxes and scores. Definitions: docs/densepose_evaluation.md',
    )
    parser.add_argument('predictions', help='the file')
    parser.add_argument('--annotations', required=True, help='DensePose-COCO style JSON')
    parser.add_argument('--meshes', help='also compare with these true meshes (.npz)')
    parser.add_argument('--protocol', default='P3', help='some of P1,P2,P3, with commas (default P3)')
    parser.add_argument('--out', required=True, help='folder for metrics.json')
    parser.add_argument('--template', help='name or file of the template of the meshes and the surface')
    surface = parser.add_mutually_exclusive_group()
    surface.add_argument('--surface', help='.npz with part, uv and position_m or distances (default: the template)')
    surface.add_argument('--smpl-files', help='folder of the official SMPL_subdiv, SUBDIV_TRANSFORM and Pdist files')
    parser.add_argument('--geodesics', help="folder for computed geodesics (default: the user's cache folder)")
    parser.add_argument(
        '--kappa', default='parts', help="'parts' (default), or one number of metres: 0.255 is the 2018 paper's"
    )
    parser.add_argument('--constant-score', action='store_true', help='replace all scores by 1')
    parser.add_argument('--strict', action='store_true', help='problems in the input are errors')
    parser.add_argument('--workers', type=int, default=0, help='threads (default: one per processor, at most 4)')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code, 2 for input that cannot be scored."""
    args = build_parser().parse_args(argv)
    try:
        return evaluate(args)
    except (FileNotFoundError, ValueError, ImportError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2


def evaluate(args: argparse.Namespace) -> int:
    """Score, print tables, write metrics.json."""
    from meshpose_plugins.evaluation.densepose import Evaluator, load_surface, smpl_surface
    from meshpose_plugins.templates import load_template
    from meshpose_plugins.visualization.files import write_atomically

    surface = load_surface(args.surface) if args.surface else None
    evaluator = Evaluator(
        args.annotations,
        smpl_surface(args.smpl_files) if args.smpl_files else surface,
        _kappa(args.kappa),
        load_template(args.template) if args.template else None,
        args.strict,
        args.workers,
        args.geodesics,
    )
    protocols = [name.strip() for name in args.protocol.split(',') if name.strip()]
    results = evaluator.evaluate(args.predictions, protocols, args.constant_score, progress=True)
    print_results(results, evaluator.problems)
    content = {name: result.to_dict() for name, result in results.items()}
    content['problems'] = evaluator.problems.to_dict()
    path = write_atomically(Path(args.out) / 'metrics.json', (json.dumps(content, indent=1) + '\n').encode())
    print(f'metrics are in {path}')
    return 0


def print_results(results: dict, problems) -> None:
    """Print a table per protocol, and what was wrong with the input."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from meshpose_plugins.evaluation.densepose import PROTOCOLS

    console = Console()
    for name, result in results.items():
        table = Table(title=f'{name} {PROTOCOLS[name]}', title_justify='left', box=SIMPLE_HEAD, padding=0)
        table.add_column('%')
        for column in COLUMNS:
            table.add_column(column, justify='right', no_wrap=True)
        for mode, statistics in result.metrics.items():
            cells = ['-' if statistics[c] < 0 else f'{100 * statistics[c]:.2f}' for c in COLUMNS]
            table.add_row(MODE_NAMES[mode], *cells)
        console.print(table)
        console.print(
            f'kappa {result.kappa}; surface {result.surface}; geodesics {result.geodesics}; '
            + f'{len(result.people)} people, {result.detections} detections, {result.images} images'
            + ('; constant scores: AP depends on the order of the images, see AR' if result.constant_score else ''),
            markup=False,
            highlight=False,
        )
    if len(problems):
        console.print(f'[bold]{len(problems)} problems in the input[/bold] (all of them are in metrics.json):')
        console.print(escape('\n'.join(problems.lines(5))), highlight=False)


def _kappa(text: str) -> str | float:
    try:
        return text if text == 'parts' else float(text)
    except ValueError:
        raise ValueError(f"--kappa {text}: expected 'parts' or a number of metres such as 0.255") from None


if __name__ == '__main__':
    sys.exit(main())
