"""`meshpose quickstart`: look at the shipped model, train it for two minutes, compare."""

from __future__ import annotations

import argparse
import sys

from meshpose_plugins.errors import explained


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog='quickstart',
        description='Demo on a photograph and on a synthetic person, 200 fresh synthetic images, two '
        'minutes of training from the shipped weights, metrics before and after',
    )
    parser.add_argument(
        '--out', default='outputs/quickstart', help='folder for everything (default: %(default)s)'
    )
    parser.add_argument(
        '--checkpoint', default='anny-lite', help='shipped name or weights file (default: %(default)s)'
    )
    parser.add_argument(
        '--device', default='auto', help='device of the demo: auto, cpu, cuda (default: %(default)s)'
    )
    parser.add_argument(
        '--train-seconds', type=float, default=120, help='time for training (default: %(default)s)'
    )
    parser.add_argument('--train-images', type=int, default=200, help='default: %(default)s')
    parser.add_argument('--test-images', type=int, default=100, help='default: %(default)s')
    parser.add_argument(
        '--learning-rate', type=float, default=2e-5, help='peak of the learning rate (default: %(default)s)'
    )
    parser.add_argument('--workers', type=int, default=2, help='processes for data (default: %(default)s)')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    args = build_parser().parse_args(argv)
    with explained('quickstart', own_only=True):
        from meshpose_plugins.integrations.mmpose.quickstart import QuickstartSettings, run_quickstart

        settings = QuickstartSettings(
            train_seconds=args.train_seconds,
            train_images=args.train_images,
            test_images=args.test_images,
            learning_rate=args.learning_rate,
            workers=args.workers,
        )
        run_quickstart(args.out, args.checkpoint, args.device, settings)
    return 0


if __name__ == '__main__':
    sys.exit(main())
