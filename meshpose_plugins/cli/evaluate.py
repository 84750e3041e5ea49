"""`meshpose evaluate`: score a predictions file against annotations, under named protocols."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

from meshpose_plugins.errors import explained

#: Statistics of the table, in the order of the public evaluation.
COLUMNS = ('AP', 'AP50', 'AP75', 'APm', 'APl', 'AR', 'AR50', 'AR75', 'ARm', 'ARl')
MODE_NAMES = {'gps': 'GPS', 'gpsm': 'GPSm', 'iou': 'IoU'}


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog='evaluate',
        description='Score a predictions file (.npz, .json) or a DensePose results file (.json)',
        epilog='P1: ground-truth boxes, score 1, masked by the ground-truth mask; P2: the same without the '
        'mask; P3: detected boxes and scores. Definitions: docs/densepose_evaluation.md',
    )
    parser.add_argument('predictions', help='the file')
    parser.add_argument('--annotations', required=True, help='DensePose-COCO style JSON')
    parser.add_argument('--meshes', help='also compare with these true meshes (.npz)')
    parser.add_argument('--protocol', default='P3', help='some of P1,P2,P3, with commas (default P3)')
    parser.add_argument('--out', required=True, help='folder for metrics.json and the page of pictures')
    parser.add_argument(
        '--images', help="folder of the images for that page (default: the annotations' folder)"
    )
    parser.add_argument('--worst', type=int, default=12, help='people to show on it (default 12; 0: no page)')
    parser.add_argument('--template', help='name or file of the template of the meshes and the surface')
    surface = parser.add_mutually_exclusive_group()
    surface.add_argument(
        '--surface', help='.npz with part, uv and position_m or distances (default: the template)'
    )
    surface.add_argument(
        '--smpl-files', help='folder of the official SMPL_subdiv, SUBDIV_TRANSFORM and Pdist files'
    )
    parser.add_argument(
        '--geodesics', help="folder for computed geodesics (default: the user's cache folder)"
    )
    parser.add_argument(
        '--kappa',
        default='parts',
        help="'parts' (default), or one number of metres: 0.255 is the 2018 paper's",
    )
    parser.add_argument('--constant-score', action='store_true', help='replace all scores by 1')
    parser.add_argument('--strict', action='store_true', help='problems in the input are errors')
    parser.add_argument(
        '--workers', type=int, default=0, help='threads (default: one per processor, at most 4)'
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code, 2 for input that cannot be scored."""
    args = build_parser().parse_args(argv)
    with explained('evaluate'):
        return evaluate(args)


def evaluate(args: argparse.Namespace) -> int:
    """Score, print tables, write metrics.json and the page."""
    from meshpose_plugins.evaluation.densepose import Evaluator, load_surface, smpl_surface
    from meshpose_plugins.templates import load_template
    from meshpose_plugins.files import write_atomically

    template = load_template(args.template) if args.template else None
    surface = load_surface(args.surface) if args.surface else None
    evaluator = Evaluator(
        args.annotations,
        smpl_surface(args.smpl_files) if args.smpl_files else surface,
        _kappa(args.kappa),
        template,
        args.strict,
        args.workers,
        args.geodesics,
    )
    protocols = [name.strip() for name in args.protocol.split(',') if name.strip()]
    results = evaluator.evaluate(args.predictions, protocols, args.constant_score, progress=True)
    content = {name: result.to_dict() for name, result in results.items()}
    meshes = None
    if args.meshes:
        meshes = MeshComparison(args.predictions, args.meshes, template, evaluator.truth, evaluator.problems)
        content['meshes'] = meshes.to_dict()
    content['problems'] = evaluator.problems.to_dict()
    print_results(results, evaluator.problems, meshes)
    path = write_atomically(Path(args.out) / 'metrics.json', (json.dumps(content, indent=1) + '\n').encode())
    places = [f'metrics are in {path}']
    if args.worst > 0:
        places.append(f'the page is {write_page(args, results, evaluator, meshes)}')
    print(', '.join(places))
    return 0


class MeshComparison:
    """Errors in space of the predictions of a file.

    Args:
        predictions: the file.
        path: .npz of true meshes.
        template: of both; by default the one that the predictions name.
        truth: the annotations, which tell the image of each.
        problems: takes what could not be compared.

    Raises:
        ValueError: the predictions hold no meshes, or those of several templates.
    """

    def __init__(self, predictions: str, path: str, template, truth, problems) -> None:
        from meshpose_plugins.data.meshes import load_meshes
        from meshpose_plugins.evaluation import MeshEvaluation, evaluate_meshes, read_predictions
        from meshpose_plugins.templates import load_template

        records, _ = read_predictions(predictions)  # broken ones are among the problems already
        names = sorted({record.template for record in records if record.vertices is not None})
        if template is None and len(names) != 1:
            raise ValueError(
                f'{predictions}: --meshes needs meshes of one template, got {names or "none"}; give '
                '--template'
            )
        self.template = template or load_template(names[0])
        self.labels = load_meshes(path, self.template)
        self.evaluation = MeshEvaluation(self.template)
        # Records may name an image by its file; those of a detector have running numbers as instance ids.
        ids_of_files = {image.file_name: image.image_id for image in truth.images.values()}
        records = [
            replace(record, image_id=ids_of_files.get(record.image_id, record.image_id)) for record in records
        ]
        images = {annotation_id: image_id for image_id, annotation_id in truth.people}
        people, found = evaluate_meshes(records, self.labels, self.evaluation, images)
        for text in found:
            problems.add('mesh that could not be compared', text)
        problems.check()
        self.count, self.means = len(people), self.evaluation.summarise(list(people.values()))

    def to_dict(self) -> dict:
        """The errors, for JSON."""
        return dict(self.means, people=self.count, rules=self.evaluation.rules)

    def rows(self) -> list[tuple]:
        """Name, value and unit of each error."""
        from meshpose_plugins.evaluation.mesh_evaluation import UNITS

        return [(name, value, UNITS.get(name, 'mm')) for name, value in self.means.items()]


def write_page(args: argparse.Namespace, results: dict, evaluator, meshes: MeshComparison | None) -> Path:
    """Write the page of pictures; returns its path."""
    from meshpose_plugins.visualization import densepose_report as page
    from meshpose_plugins.visualization import write_report

    first = next(iter(results.values()))
    tables = {f'{name}, %': page.score_table(result) for name, result in results.items()}
    notes = {key: text for result in results.values() for key, text in page.score_notes(result).items()}
    true_meshes = {}
    if meshes is not None:
        tables['Meshes'] = [('error', 'value', 'unit'), *meshes.rows()]
        notes.update(meshes.evaluation.rules)
        true_meshes = _Rows(meshes.labels)
    if len(evaluator.problems):
        tables['Problems in the input'] = [
            ('count', 'problem'),
            *((n, k) for k, n in evaluator.problems.counts().items()),
        ]
    template = meshes.template if meshes is not None else evaluator.drawing_template
    by_part = page.distances_by_part(first) if template is not None else {}
    files = {image.image_id: image.file_name for image in evaluator.truth.images.values()}
    images = args.images or Path(args.annotations).parent
    curves = []
    if importlib.util.find_spec('matplotlib') is None:
        print('the page has no precision curves: pip install matplotlib')
    else:
        curves = [curve for result in results.values() for curve in page.precision_curves(result)]
    return write_report(
        args.out,
        f'Evaluation of {Path(args.predictions).name}',
        tables,
        notes,
        (
            {f'{first.protocol}: mean geodesic distance of the points on the body, mm': by_part}
            if by_part
            else None
        ),
        curves,
        page.worst_people(first, files, images, true_meshes, args.worst),
        template,
    )


class _Rows:
    """Annotation id -> true vertices in image px, read when asked for."""

    def __init__(self, labels) -> None:
        self.labels = labels

    def get(self, identity):
        row = self.labels.index.get(identity)
        return None if row is None else self.labels.vertices_image[row]


def print_results(results: dict, problems, meshes: MeshComparison | None = None) -> None:
    """Print a table per protocol, the errors of the meshes, and what was wrong with the input."""
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
            + (
                '; constant scores: AP depends on the order of the images, see AR'
                if result.constant_score
                else ''
            ),
            markup=False,
            highlight=False,
        )
    if meshes is not None:
        table = Table(
            'error', 'value', 'unit', title=f'meshes of {meshes.count} people', box=SIMPLE_HEAD, padding=0
        )
        for name, value, unit in meshes.rows():
            table.add_row(name, f'{value:.2f}', unit)
        console.print(table)
        for name, rule in meshes.evaluation.rules.items():
            console.print(f'{name}: {rule}', markup=False, highlight=False)
    if len(problems):
        console.print(
            f'[bold]{len(problems)} problems in the input[/bold] (all of them are in metrics.json):'
        )
        console.print(escape('\n'.join(problems.lines(5))), highlight=False)


def _kappa(text: str) -> str | float:
    try:
        return text if text == 'parts' else float(text)
    except ValueError:
        raise ValueError(f"--kappa {text}: expected 'parts' or a number of metres such as 0.255") from None


if __name__ == '__main__':
    sys.exit(main())
