"""What the train and test commands do to a config and to the process before MMEngine's runner starts."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Optional

import torch
from mmengine.config import Config

from meshpose_plugins.deploy.weights import find_weights
from meshpose_plugins.integrations.mmpose.config_text import read_config
from meshpose_plugins.integrations.mmpose.shipped import SCHEME

_MODULE = "meshpose_plugins.integrations.mmpose"
REGISTRATION = f"custom_imports = dict(imports=['{_MODULE}'], allow_failed_imports=False)"


def load_config(path: str) -> Config:
    """Read a config that registers this package's parts.

    Args:
        path: config file.

    Returns:
        the config.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no valid Python, or the config has no ``custom_imports`` of this package,
            without which MMPose's own commands and ``init_model`` would not find MeshPoseHead and the others.
    """
    config = read_config(path)
    imports = config.get("custom_imports", {}).get("imports", [])
    if _MODULE not in ([imports] if isinstance(imports, str) else imports):
        raise ValueError(f"{path}: 'MeshPoseHead' and the other parts of meshpose_plugins are not registered "
                         f"by this config: add the line\n    {REGISTRATION}")
    return config


def set_work_dir(config: Config, config_path: str, work_dir: Optional[str]) -> None:
    """Choose the working directory: the argument, else the config's, else ``work_dirs/<config's name>``."""
    if work_dir is not None:
        config.work_dir = work_dir
    elif config.get("work_dir") is None:
        config.work_dir = str(Path("work_dirs") / Path(config_path).stem)


def set_visualization(config: Config, show: bool, show_dir: Optional[str], interval: int,
                      wait_time: float) -> None:
    """Switch MMPose's picture hook on where pictures are asked for."""
    if not show and show_dir is None:
        return
    hook = config.get("default_hooks", {}).get("visualization")
    if hook is None:
        raise ValueError("--show and --show-dir need the config line default_hooks = "
                         "dict(visualization=dict(type='PoseVisualizationHook', enable=False))")
    hook.update(enable=True, show=show, out_dir=show_dir, interval=interval)
    if show:
        hook.wait_time = wait_time


def set_launcher(config: Config, launcher: str, local_rank: int) -> None:
    """Prepare training in several processes; without a GPU they talk through gloo.

    MMEngine assumes a GPU per process: it selects the process's GPU and hands it to DistributedDataParallel.
    Where there is none, the process group is started here instead and the wrapper stays on the CPU.

    Args:
        config: changed in place.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.
        local_rank: of ``torch.distributed.launch``; torchrun sets LOCAL_RANK itself.
    """
    config.launcher = launcher
    os.environ.setdefault("LOCAL_RANK", str(local_rank))  # where MMEngine reads it
    if launcher == "none" or torch.cuda.is_available():
        return
    if launcher != "pytorch":
        raise ValueError(f"--launcher {launcher} needs GPUs; on CPUs start the processes with torchrun and "
                         "--launcher pytorch")
    config.env_cfg.dist_cfg = dict(backend="gloo")
    config.model_wrapper_cfg = dict(
        type="MMDistributedDataParallel", device_ids=None, broadcast_buffers=False,
        find_unused_parameters=config.get("find_unused_parameters", False))
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")


def set_mixed_precision(config: Config) -> None:
    """Train in mixed precision: MMEngine's AmpOptimWrapper on a GPU, bfloat16 autocast on a CPU."""
    known = ("OptimWrapper", "AmpOptimWrapper", "BFloat16OptimWrapper")
    wrapper = config.optim_wrapper.get("type", "OptimWrapper")
    if wrapper not in known:
        raise ValueError(f"--amp works with optim_wrapper.type one of {', '.join(known)}, got {wrapper!r}")
    if torch.cuda.is_available():
        config.optim_wrapper.type = "AmpOptimWrapper"
        config.optim_wrapper.setdefault("loss_scale", "dynamic")
    else:
        config.optim_wrapper.type = "BFloat16OptimWrapper"


def find_checkpoint(checkpoint: str) -> str:
    """The existing file of a path or shipped name; addresses of MMEngine's other schemes stay.

    Raises:
        FileNotFoundError: naming what was asked for.
    """
    if "://" in checkpoint and not checkpoint.startswith(SCHEME):
        return checkpoint
    return str(find_weights(checkpoint))


def dump_predictions(config: Config, path: str) -> None:
    """Let the MeshPoseMetric of the test evaluator write the predictions too."""
    evaluators = config.test_evaluator
    evaluators = evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]
    ours = [evaluator for evaluator in evaluators if evaluator.get("type") == "MeshPoseMetric"]
    if not ours:
        raise ValueError("--dump needs the config line test_evaluator = dict(type='MeshPoseMetric')")
    ours[0].outfile_prefix = path


def set_test_boxes(config: Config, bbox_file: Optional[str], detector: Optional[str] = None,
                   detector_weights: Optional[str] = None) -> None:
    """Test on detected boxes instead of annotated ones.

    Args:
        config: its test data set is changed in place.
        bbox_file: COCO results with the boxes, or None.
        detector: what ``build_detector`` takes; its boxes are written to ``<work_dir>/detections.json``.
        detector_weights: weights of a learned detector.
    """
    if bbox_file is not None and detector is not None:
        raise ValueError("give --bbox-file or --detector, not both")
    dataset = config.test_dataloader.dataset
    if detector is not None:
        from meshpose_plugins.deploy.device import resolve_device
        from meshpose_plugins.detection import build_detector
        from meshpose_plugins.detection.results import write_detections
        root = Path(dataset.get("data_root") or "")
        found = build_detector(detector, detector_weights, resolve_device())
        bbox_file = write_detections(found, root / dataset.ann_file, root / dataset.data_prefix.img,
                                     Path(config.work_dir) / "detections.json")
    if bbox_file is not None:
        dataset.bbox_file = str(Path(bbox_file).absolute())
