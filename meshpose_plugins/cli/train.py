"""`meshpose train`: train a model with MMPose's runner; the flags are those of MMPose's tools/train.py."""
from __future__ import annotations

import argparse
from typing import List, Optional

from meshpose_plugins.errors import explained


def parse_args(argv: Optional[List[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    from mmengine.config import DictAction
    parser = argparse.ArgumentParser(prog="train", description="Train a MeshPose model")
    parser.add_argument("config", help="config file")
    parser.add_argument("--work-dir",
                        help="for logs and checkpoints (default: work_dirs/<name of the config>)")
    parser.add_argument("--resume", nargs="?", const="auto",
                        help="go on from this checkpoint; without a value, from the newest in the work dir")
    parser.add_argument("--amp", action="store_true", help="mixed precision (on CPUs: bfloat16)")
    parser.add_argument("--no-validate", action="store_true", help="don't validate during the training")
    parser.add_argument("--auto-scale-lr", action="store_true",
                        help="scale the learning rate by batch size x processes over "
                             "auto_scale_lr.base_batch_size")
    parser.add_argument("--show-dir", help="directory for pictures of validation predictions")
    parser.add_argument("--show", action="store_true", help="show them in a window")
    parser.add_argument("--interval", type=int, default=1, help="every so many samples")
    parser.add_argument("--wait-time", type=float, default=1, help="seconds that a window stays")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction,
                        help="changes of the config: key=value, nested keys with dots")
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none",
                        help="several processes, e.g. torchrun --nproc_per_node 2 tools/train.py ... "
                             "--launcher pytorch")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0)
    return parser.parse_args(argv)


def merged_config(args: argparse.Namespace):
    """The config with the command line applied; --cfg-options last."""
    from meshpose_plugins.integrations.mmpose import commands
    config = commands.load_config(args.config)
    if config.get("train_cfg") is None:
        raise ValueError(f"{args.config} is for prediction only: it has no train_cfg")
    commands.set_work_dir(config, args.config, args.work_dir)
    commands.set_visualization(config, args.show, args.show_dir, args.interval, args.wait_time)
    if args.no_validate:
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
        config.default_hooks.checkpoint.pop("save_best", None)
    if args.amp:
        commands.set_mixed_precision(config)
    if args.resume is not None:
        config.resume = True
        config.load_from = None if args.resume == "auto" else commands.find_checkpoint(args.resume)
    if args.auto_scale_lr:
        config.auto_scale_lr.enable = True
    if args.cfg_options is not None:
        config.merge_from_dict(args.cfg_options)
    commands.set_launcher(config, args.launcher, args.local_rank)
    return config


def main(argv: Optional[List[str]] = None) -> int:
    """Train; returns the exit code."""
    with explained("train", own_only=True):
        from meshpose_plugins.integrations import mmpose  # noqa: F401  registers all parts
        train(parse_args(argv))
    return 0


def train(args: argparse.Namespace) -> None:
    """Train, and print where the results are."""
    from mmengine.dist import is_main_process
    from mmengine.runner import Runner
    runner = Runner.from_cfg(merged_config(args))
    runner.train()
    if is_main_process():
        print(f"checkpoints, logs and pictures are in {runner.work_dir}")
