"""`meshpose test`: measure a checkpoint; the flags are those of MMPose's tools/test.py, without --badcase."""
from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import List, Optional

from meshpose_plugins.errors import explained


def parse_args(argv: Optional[List[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    from mmengine.config import DictAction
    parser = argparse.ArgumentParser(prog="test", description="Measure a MeshPose model")
    parser.add_argument("config", help="config file")
    parser.add_argument("checkpoint", help=".pth or .safetensors file, or meshpose://anny-lite")
    parser.add_argument("--work-dir", help="where logs go (default: work_dirs/<name of the config>)")
    parser.add_argument("--out", help="also write the metrics to this .json file")
    parser.add_argument("--dump", help="also write the predictions to this .npz or .json file (never pickle)")
    parser.add_argument("--bbox-file", help="boxes to test on instead of the annotated ones: COCO results")
    parser.add_argument("--detector", help="test on the boxes of this detector, as in tools/demo.py")
    parser.add_argument("--detector-weights", help="its weights file; nothing is downloaded")
    parser.add_argument("--show-dir", help="directory for pictures of the predictions")
    parser.add_argument("--show", action="store_true", help="show them in a window")
    parser.add_argument("--interval", type=int, default=1, help="every so many samples")
    parser.add_argument("--wait-time", type=float, default=1, help="seconds that a window stays")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction,
                        help="changes of the config: key=value, nested keys with dots")
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none",
                        help="several processes, started by torchrun")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0)
    return parser.parse_args(argv)


def merged_config(args: argparse.Namespace):
    """The config with the command line applied; --cfg-options last."""
    from meshpose_plugins.integrations.mmpose import commands
    for name, suffixes in (("out", (".json",)), ("dump", (".npz", ".json"))):
        value = getattr(args, name)
        if value is not None and Path(value).suffix not in suffixes:
            raise ValueError(f"--{name} {value}: the name must end with {' or '.join(suffixes)}")
    config = commands.load_config(args.config)
    commands.set_work_dir(config, args.config, args.work_dir)
    commands.set_visualization(config, args.show, args.show_dir, args.interval, args.wait_time)
    config.load_from = commands.find_checkpoint(args.checkpoint)
    if args.dump is not None:
        commands.dump_predictions(config, args.dump)
    commands.set_test_boxes(config, args.bbox_file, args.detector, args.detector_weights)
    if args.cfg_options is not None:
        config.merge_from_dict(args.cfg_options)
    commands.set_launcher(config, args.launcher, args.local_rank)
    return config


def main(argv: Optional[List[str]] = None) -> int:
    """Test; returns the exit code."""
    with explained("test", own_only=True):
        from meshpose_plugins.integrations import mmpose  # noqa: F401  registers all parts
        test(parse_args(argv))
    return 0


def test(args: argparse.Namespace) -> None:
    """Test, write the metrics, and print where the results are."""
    from mmengine.dist import is_main_process
    from mmengine.runner import Runner
    from meshpose_plugins.files import write_atomically
    runner = Runner.from_cfg(merged_config(args))
    metrics = runner.test()
    if not is_main_process():
        return
    places = [f"the log is in {runner.log_dir}"]
    if args.out:
        values = {name: float(value) for name, value in metrics.items()}
        write_atomically(args.out, (json.dumps(values, indent=2) + "\n").encode())
        places.append(f"metrics in {args.out}")
    if args.dump:
        places.append(f"predictions in {args.dump}")
    if args.show_dir:
        places.append(f"pictures in {Path(runner.log_dir) / args.show_dir}")
    print(", ".join(places))
