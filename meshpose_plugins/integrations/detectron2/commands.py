"""What the commands do between the command line and detectron2."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Sequence

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode, get_cfg
from detectron2.engine import default_argument_parser, default_setup, launch
from detectron2.utils import comm

from meshpose_plugins.deploy.images import list_images
from meshpose_plugins.detection import build_detector

from .config import add_meshpose_config, enable_meshpose
from .trainer import MeshPoseTrainer


def load_config(path: str, opts: Sequence[str] = ()) -> CfgNode:
    """Read a config of this package, or one of a plain R-CNN, which then gets a mesh head.

    Args:
        path: YAML file.
        opts: changes, "KEY VALUE" pairs; they come last. Without MODEL.DEVICE among them the CPU is taken
            where there is no GPU.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a key is not known, or the model is no R-CNN with standard or cascade heads.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"config {path!r} does not exist: give --config-file, e.g. "
            "configs/detectron2/meshpose_mobilenetv2_lite_FPN.yaml"
        )
    cfg = get_cfg()
    add_meshpose_config(cfg)
    try:
        cfg.merge_from_file(path)
        if not torch.cuda.is_available():
            cfg.MODEL.DEVICE = "cpu"
        cfg.merge_from_list(list(opts))
    except (AssertionError, KeyError) as error:  # yacs' ways to say that a key or value is wrong
        raise ValueError(f"{path} or an option: {error.args[0] if error.args else error}") from error
    enable_meshpose(cfg)
    return cfg


def argument_parser() -> argparse.ArgumentParser:
    """detectron2's own flags."""
    return default_argument_parser()


def train(args: argparse.Namespace) -> None:
    """Train or, with --eval-only, measure, in as many processes as --num-gpus and --num-machines say."""
    available = torch.cuda.device_count()
    if args.num_gpus > max(available, 1):
        raise ValueError(f"--num-gpus {args.num_gpus}, but this machine has {available}")
    cfg = load_config(args.config_file, args.opts)  # errors before processes start
    weights = cfg.MODEL.WEIGHTS
    if weights and not args.resume and "://" not in weights and not Path(weights).is_file():
        raise FileNotFoundError(f"MODEL.WEIGHTS: {weights} does not exist")
    launch(
        train_process,
        min(args.num_gpus, available),  # detectron2's default is one; without any it is the CPU
        num_machines=args.num_machines,
        machine_rank=args.machine_rank,
        dist_url=args.dist_url,
        args=(args,),
    )


def train_process(args: argparse.Namespace):
    """One process of :func:`train`; returns the results of the last evaluation."""
    cfg = load_config(args.config_file, args.opts)
    cfg.freeze()
    default_setup(cfg, args)
    if args.eval_only:
        model = MeshPoseTrainer.build_model(cfg)
        DetectionCheckpointer(model, save_dir=cfg.OUTPUT_DIR).resume_or_load(
            cfg.MODEL.WEIGHTS, resume=args.resume
        )
        results = MeshPoseTrainer.test(cfg, model)
        if cfg.TEST.AUG.ENABLED:
            results.update(MeshPoseTrainer.test_with_TTA(cfg, model))
    else:
        trainer = MeshPoseTrainer(cfg)
        trainer.resume_or_load(resume=args.resume)
        trainer.train()
        results = getattr(trainer, "_last_eval_results", None)
    if comm.is_main_process():
        print(f"checkpoints, logs and results are in {cfg.OUTPUT_DIR}")
    return results


def apply(args: argparse.Namespace):
    """Run a model over images; write pictures and meshes ('show') or only the predictions file ('dump')."""
    from meshpose_plugins.deploy.demo import run_demo

    from .predictor import MeshPoseDetectron2Predictor

    list_images(args.source)  # fails before anything slow
    cfg = load_config(args.config, args.opts)
    cfg.MODEL.WEIGHTS = args.weights
    if args.score_threshold is not None:
        cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = args.score_threshold
    detector = (
        None
        if args.detector is None
        else build_detector(args.detector, args.detector_weights, cfg.MODEL.DEVICE, args.score_threshold)
    )
    return run_demo(
        MeshPoseDetectron2Predictor(cfg),
        args.source,
        args.out,
        detector,
        boxes_file=args.boxes,
        boxes_images=args.boxes_images,
        formats=args.formats,
        predictions_format=args.predictions,
        batch_size=args.batch_size,
        pictures=args.action == "show",
    )
