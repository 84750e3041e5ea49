"""`make_synthetic`: pictures of synthetic people with every label."""

from __future__ import annotations

import argparse
import re

from meshpose_plugins.data.synthetic import SyntheticSettings, make_synthetic
from meshpose_plugins.errors import explained

#: Settings that are shares, with what they are shares of.
SHARES = {
    'truncation': 'share of images that cut the body',
    'occluders': 'share of images with objects in front',
    'second_person': 'share of images with another person',
    'pose_files': 'share of poses from --poses where given',
    'loose_clothes': 'share of people whose clothes and hair stand off the body',
}


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r'(\d+)[xX](\d+)', text)
    if match is None:
        raise argparse.ArgumentTypeError(f"size must be WIDTHxHEIGHT, e.g. 192x256, got '{text}'")
    return int(match[1]), int(match[2])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='make_synthetic', description=__doc__)
    add = parser.add_argument
    add(
        'out',
        help='folder: new, empty, or of an interrupted run with the same settings (which is then finished)',
    )
    add('--count', type=int, required=True, help='number of samples')
    add('--seed', type=int, default=0, help='seed of the set (default 0)')
    add('--split', choices=('train', 'val'), default='train',
        help='val draws from its own random streams and from the tenth of the files that train leaves out')
    add(
        '--poses',
        help='folder of motion files: BVH (MakeHuman rig) or ASF/AMC; default: sampled by joint limits',
    )
    add(
        '--backgrounds',
        default='auto',
        help="folder of photographs, 'procedural', or 'auto': procedural ones and, for train, those of "
        'scikit-image where it is installed',
    )
    add('--workers', type=int, default=1, help='processes (default 1)')
    add('--size', type=_size, default=(192, 256), metavar='WxH', help='image size (default 192x256)')
    defaults = SyntheticSettings()
    for name, text in SHARES.items():
        value = getattr(defaults, name)
        add(
            f"--{name.replace('_', '-')}",
            type=float,
            default=value,
            metavar='P',
            help=f'{text} (default {value})',
        )
    add('--template', default=defaults.template, help='template whose vertices are labelled (default anny)')
    add('--model-path', help="the template's body model, where it does not ship: as for build_template")
    add('--quiet', action='store_true', help='no progress bar')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    with explained('make_synthetic'):
        settings = SyntheticSettings(
            seed=arguments.seed, split=arguments.split, width=arguments.size[0], height=arguments.size[1],
            template=arguments.template, model_path=arguments.model_path,
            **{name: getattr(arguments, name) for name in SHARES})
        report = make_synthetic(
            arguments.out,
            arguments.count,
            settings,
            arguments.poses,
            arguments.backgrounds,
            arguments.workers,
            not arguments.quiet,
        )
    print(report)
    return 0
