"""Build a correspondence file, which carries annotations on one body's surface to that of another.

With it DensePose-COCO, whose charts lie on SMPL's surface, supervises templates on anny's.
"""

from __future__ import annotations

import argparse
import time

from ..bodies import BODY_NAMES, BodyModel, load_body
from ..data.correspondence_builder import build_correspondence
from ..errors import explained
from ..templates.correspondence import save_correspondence

_UNITS = {'segments': '%', 'segments_or_beside': '%', 'stretch_p99': 'times', 'stretch_max': 'times'}


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--source', default='smpl', choices=BODY_NAMES, help='body on which the annotations lie'
    )
    parser.add_argument('--target', default='anny', choices=BODY_NAMES, help='body of the template')
    parser.add_argument('--model-path', help='model file of the SMPL family or MHR, or the folder that holds it')
    parser.add_argument('--gender', help='neutral, female or male; by default neutral, or what the file is')
    parser.add_argument('--out', required=True, help='correspondence file (.npz) to write')
    args = parser.parse_args(argv)
    start = time.perf_counter()

    def load(name: str) -> BodyModel:
        return load_body(name) if name == 'anny' else load_body(name, args.model_path, args.gender)

    def report(text: str) -> None:
        print(f'{time.perf_counter() - start:6.1f} s  {text}', flush=True)

    with explained('build_correspondence'):
        correspondence = build_correspondence(load(args.source), load(args.target), report=report)
        save_correspondence(correspondence, args.out)
    for name, value in correspondence.errors.items():
        print(f"{name:24s} {value:10.2f} {_UNITS.get(name, 'mm')}")
    seconds = time.perf_counter() - start
    print(f'{args.source} to {args.target}, built in {seconds:.0f} s: {args.out}')


if __name__ == '__main__':
    main()
