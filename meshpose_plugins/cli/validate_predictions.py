"""`meshpose validate-predictions`: every problem of a predictions file, and what is in it."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from meshpose_plugins.errors import explained


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog='validate-predictions',
        description='List every problem of a predictions file (.npz, .json, or a DensePose results .json); '
        'the exit code is 1 if there is one',
    )
    parser.add_argument('predictions', help='the file')
    parser.add_argument(
        '--template',
        help='name or file of the template that all vertices must be of (default: the one that the records '
        'name, where it is built in)',
    )
    parser.add_argument('--limit', type=int, default=100, help='problems to print (default 100)')
    return parser


def _count(number: int, one: str, many: str | None = None) -> str:
    """'1 image', '2 images'."""
    return f'{number} {one if number == 1 else many or one + "s"}'


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    args = build_parser().parse_args(argv)
    with explained('validate_predictions'):
        return validate(args.predictions, args.template, args.limit)


def validate(path: str, template_name: str | None, limit: int) -> int:
    """Print the problems and a summary; returns 1 if there are problems, else 0."""
    from meshpose_plugins.evaluation import PredictionsError, read_predictions
    from meshpose_plugins.templates import builtin_templates, load_template

    template = load_template(template_name) if template_name else None
    try:
        records, problems = read_predictions(path, template)
        names = {record.template for record in records if record.vertices is not None}
        if template is None and len(names) == 1 and names <= set(builtin_templates()):
            template = load_template(*names)
            records, problems = read_predictions(path, template)
    except PredictionsError as error:
        records, problems = [], error.problems
    for problem in problems[:limit]:
        print(problem)
    if len(problems) > limit:
        print(f'... and {len(problems) - limit} more problems (--limit)')
    kinds = Counter(
        (
            f"'{record.template}' {record.vertex_set} of {len(record.vertices)}"
            if record.vertices is not None
            else ''
        )
        + (' IUV map' if record.iuv is not None else '')
        for record in records
    )
    content = ', '.join(f'{count} with {kind.strip()}' for kind, count in kinds.items())
    images = len({record.image_id for record in records})
    print(
        f'{path}: {_count(len(problems), "problem")}; {_count(len(records), "valid person", "valid people")} '
        f'in {_count(images, "image")}'
        + (f' ({content})' if content else '')
    )
    if template is None and records and any(record.vertices is not None for record in records):
        print('vertex counts were compared among the records only: --template says how many there must be')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
