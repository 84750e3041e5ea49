"""`meshpose publish-weights`: a training checkpoint becomes the small file that is shipped."""

from __future__ import annotations

import argparse
import sys

from meshpose_plugins.errors import explained
from meshpose_plugins.files import read_json_file


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        description='Write averaged weights in half precision, with their config and figures, '
        'into one .safetensors file'
    )
    parser.add_argument('checkpoint', help='training checkpoint (.pth)')
    parser.add_argument('output', help='file to write (.safetensors)')
    parser.add_argument('--config', help='config file; default: the config inside the checkpoint')
    parser.add_argument('--figures', help='JSON file: evaluation set -> {metric: number}')
    parser.add_argument(
        '--note',
        action='append',
        default=[],
        metavar='NAME=TEXT',
        help='a fact to keep with the weights, e.g. seed=0; repeatable',
    )
    parser.add_argument('--full-precision', action='store_true', help='float32 instead of float16')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    args = build_parser().parse_args(argv)
    with explained('publish_weights'):
        from meshpose_plugins.integrations.mmpose.publish import publish_weights

        path = publish_weights(
            args.checkpoint,
            args.output,
            args.config,
            _read_figures(args.figures),
            _read_notes(args.note),
            half=not args.full_precision,
        )
    print(f'wrote {path} ({path.stat().st_size / 1e6:.2f} MB)')
    return 0


def _read_figures(path: str | None) -> dict:
    if path is None:
        return {}
    figures = read_json_file(path, 'file of figures')
    if not isinstance(figures, dict):
        raise ValueError(f'--figures {path}: expected an object, set -> {{metric: number}}, got {figures!r}')
    return figures


def _read_notes(items: list[str]) -> dict:
    for item in items:
        if '=' not in item:
            raise ValueError(f'--note: expected NAME=TEXT, got {item!r}')
    return dict(item.split('=', 1) for item in items)


if __name__ == '__main__':
    sys.exit(main())
