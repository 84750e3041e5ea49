"""`meshpose plain-checkpoint`: rewrite a checkpoint of MMEngine so that torch >= 2.6 loads it."""

from __future__ import annotations

import argparse

from meshpose_plugins.errors import explained


def main(argv: list[str] | None = None) -> int:
    """Rewrite one checkpoint; see ``integrations.mmpose.checkpoint_hook.rewrite_checkpoint``."""
    parser = argparse.ArgumentParser(
        prog='meshpose plain-checkpoint',
        description='Rewrite a checkpoint of MMEngine as tensors, plain numbers and lists, which torch >= '
        '2.6 loads. Reading it runs whatever code its author put in: use it for files you trust.',
    )
    parser.add_argument('source', help='checkpoint to read, for instance a published .pth')
    parser.add_argument('destination', help='checkpoint to write; may be the source')
    args = parser.parse_args(argv)

    from meshpose_plugins.integrations.mmpose.checkpoint_hook import rewrite_checkpoint

    with explained('plain_checkpoint'):
        objects = rewrite_checkpoint(args.source, args.destination)
    for item in objects:
        print(f'no plain form, kept as it is: {item}')
    print(
        f'{args.destination}: '
        + ('still refused by torch >= 2.6' if objects else 'loads with weights_only=True')
    )
    return 1 if objects else 0
