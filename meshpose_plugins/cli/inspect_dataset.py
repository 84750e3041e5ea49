"""`meshpose inspect_dataset`: draw what the network will see of a config's data, and say what was read."""

from __future__ import annotations

import argparse
from pathlib import Path

from meshpose_plugins.errors import explained


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmengine.config import DictAction
    parser = argparse.ArgumentParser(prog="inspect_dataset", description=__doc__)
    parser.add_argument("config", help="config file of a training")
    parser.add_argument("--split", choices=("train", "val", "test"), default="train", help="default: train")
    parser.add_argument("--count", type=int, default=24, help="samples to draw (default 24)")
    parser.add_argument("--out", help="folder for pictures (default: work_dirs/inspect/<name of the config>)")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction,
                        help="changes of the config: key=value, nested keys with dots")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    with explained("inspect_dataset", own_only=True):
        from meshpose_plugins.integrations import mmpose  # noqa: F401  registers all parts
        _inspect(parse_args(argv))
    return 0


def _inspect(args: argparse.Namespace) -> None:
    from meshpose_plugins.integrations.mmpose import commands
    from meshpose_plugins.integrations.mmpose.inspection import inspect_dataset
    if args.count < 1:
        raise ValueError(f"--count must be at least 1, got {args.count}")
    config = commands.load_config(args.config)
    if args.cfg_options is not None:
        config.merge_from_dict(args.cfg_options)
    out = Path(args.out or Path("work_dirs/inspect") / Path(args.config).stem)
    reports, paths = inspect_dataset(config, out, args.split, args.count)
    for report in reports:
        print(f"\n{report.table()}")
    print(f"\n{len(paths) - 1} sheets of pictures and report.json are in {out}")
