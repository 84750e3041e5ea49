"""`meshpose train-detectron2`: train or measure a detectron2 model, with the flags of its train_net."""

from __future__ import annotations

from meshpose_plugins.errors import explained


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    with explained('train_detectron2', own_only=True):
        from meshpose_plugins.integrations.detectron2 import commands

        commands.train(commands.argument_parser().parse_args(argv))
    return 0
