"""`meshpose head-weights`: the MeshPose head of a checkpoint under the names of the other framework."""

from __future__ import annotations

import argparse

from meshpose_plugins.errors import explained


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog='head_weights',
        description='Write the MeshPose head of a checkpoint so that the other framework loads it',
    )
    parser.add_argument('source', help='.pth or .safetensors of either framework, or a shipped name')
    parser.add_argument('destination', help='.pth, or .safetensors for MMPose')
    parser.add_argument('--to', required=True, choices=('mmpose', 'detectron2'), help='who is to load it')
    args = parser.parse_args(argv)

    from meshpose_plugins.deploy.head_weights import convert_head_weights
    from meshpose_plugins.deploy.weights import find_weights

    with explained('head_weights'):
        path = convert_head_weights(find_weights(args.source), args.destination, args.to)
    print(
        f'wrote {path}: load it with '
        + ('load_from=' if args.to == 'mmpose' else 'MODEL.WEIGHTS ')
        + str(path)
    )
    return 0
