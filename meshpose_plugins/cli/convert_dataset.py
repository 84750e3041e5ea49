"""`convert_dataset`: data sets of SMPL or SMPL-X parameters to the library's own JSON and .npz of meshes."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from meshpose_plugins.bodies import load_body
from meshpose_plugins.data.parametric import FORMATS, concatenate, convert_people, read_people
from meshpose_plugins.errors import explained
from meshpose_plugins.templates import load_template
from meshpose_plugins.templates.correspondence import builtin_correspondences


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='convert_dataset', description=__doc__)
    add = parser.add_argument
    add('format', choices=list(FORMATS), help='humandata also for Human3.6M and MPI-INF-3DHP')
    add('files', nargs='+', help="the data set's files; for 3dpw also folders of sequence files")
    add('--out', required=True, help='folder for annotations.json and meshes.npz')
    add('--template', default='anny', help='name or path of the template (default anny)')
    add('--correspondence', help="for a template on another body than the data set's: the correspondence "
        "from that to it (default BODY_to_BODY where one ships, such as smpl_to_anny)")
    add('--model-path', required=True,
        help='your SMPL or SMPL-X model file, or the folder with those of each gender')
    add('--gender', choices=('neutral', 'female', 'male'),
        help='use this body for all people; default: as each person says')
    add('--images', help="folder that the files' image paths start at; reads sizes, leaves out people whose "
        'image is missing')
    add('--focal', type=float, help='focal length in px for people whose file names no camera')
    add('--quiet', action='store_true', help='no progress bar')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    with explained('convert_dataset'):
        people = concatenate([read_people(path, arguments.format) for path in arguments.files])
        if arguments.gender:
            people.genders = [arguments.gender] * len(people)
        body = partial(_body, people.body, arguments.model_path)
        template = load_template(arguments.template)
        correspondence = arguments.correspondence
        if correspondence is None and f'{people.body}_to_{template.body}' in builtin_correspondences():
            correspondence = f'{people.body}_to_{template.body}'
        report = convert_people(people, template, body, arguments.out, arguments.images, arguments.focal,
                                correspondence, not arguments.quiet)
    print(report.table())
    print(f'annotations.json and meshes.npz are in {Path(arguments.out)}')
    return 0


def _body(name: str, model_path: str, gender: str):
    return load_body(name, model_path, gender)
