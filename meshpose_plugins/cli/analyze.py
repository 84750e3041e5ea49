"""`meshpose analyze`: parameters and multiply-accumulates of a config's network, part by part."""
from __future__ import annotations

import argparse
from typing import List, Optional

from meshpose_plugins.errors import explained


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        description="Count parameters and multiply-accumulates per crop (convolutions and linear layers)")
    parser.add_argument("config", help="config file")
    parser.add_argument("--template", help="count for the vertices of this template, name or path, e.g. "
                                           "meshpose-published (518 vertices), instead of the config's")
    return parser


def main(argv: Optional[List[str]] = None) -> int:
    """Print a Markdown table; returns the exit code."""
    args = build_parser().parse_args(argv)
    with explained("analyze", own_only=True):
        from meshpose_plugins.integrations.mmpose import analysis, commands
        parts = analysis.analyze(commands.load_config(args.config), args.template)
    print("| part | parameters | multiply-accumulates |\n| --- | --- | --- |")
    for part in parts:
        print(f"| {part.name} | {part.parameters / 1e6:.2f} M | {part.macs / 1e9:.3f} G |")
    return 0
