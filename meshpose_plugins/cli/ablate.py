"""`meshpose ablate`: the same training with one idea of the method taken away at a time, measured."""

from __future__ import annotations

import argparse
from pathlib import Path

from meshpose_plugins.errors import explained

#: Switches every loss on, at the light setting.
DEFAULT_CONFIG = 'configs/mmpose/meshpose_mobilenetv2_lite_full_128x96.py'


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(
        prog='ablate',
        description='Train variants of a config with the same budget and seeds, and test them on whole and '
        'truncated people; finished runs are kept, a stopped one goes on')
    parser.add_argument('config', nargs='?', default=DEFAULT_CONFIG, help='default: %(default)s')
    parser.add_argument('--out', default='work_dirs/ablation', help='default: %(default)s')
    parser.add_argument('--iterations', type=int, default=2000,
                        help='of each training (default: %(default)s)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1], help='default: 0 1')
    parser.add_argument('--variants', nargs='+', metavar='NAME', help='default: all; --list names them')
    parser.add_argument('--list', action='store_true', help='name the variants and stop')
    parser.add_argument('--densepose', action='store_true',
                        help='also measure GPSm AP (protocol P1); can be asked for after the training')
    parser.add_argument('--amp', action='store_true', help='mixed precision (on CPUs: bfloat16)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction,
                        help='changes of the config, of all variants: key=value, nested keys with dots')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    with explained('ablate', own_only=True):
        from meshpose_plugins.integrations import mmpose  # noqa: F401  registers all parts
        from meshpose_plugins.integrations.mmpose.ablation import VARIANTS

        args = build_parser().parse_args(argv)
        if args.list:
            print('\n'.join(f'{name:<17} {variant.title}' for name, variant in VARIANTS.items()))
        else:
            ablate(args)
    return 0


def ablate(args: argparse.Namespace) -> None:
    """Run everything, keep the report up to date, and print the table."""
    from meshpose_plugins.integrations.mmpose import ablation, commands
    from meshpose_plugins.integrations.mmpose.ablation_report import markdown, write_report

    if args.iterations < 1:
        raise ValueError(f'--iterations must be at least 1, got {args.iterations}')
    out = Path(args.out)
    config = commands.load_config(args.config)
    if args.amp:
        commands.set_mixed_precision(config)
    if args.cfg_options is not None:
        config.merge_from_dict(args.cfg_options)
    if args.densepose:
        ablation.add_densepose_metric(config)
    places: dict[str, Path] = {}
    results = ablation.run_ablation(
        config, args.variants or list(ablation.VARIANTS), args.seeds, args.iterations, out,
        lambda so_far: places.update(write_report(so_far, out)))
    print(markdown(results))
    print(', '.join(f'{what}: {place}' for what, place in places.items()))
