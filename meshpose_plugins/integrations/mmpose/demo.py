"""The demo with a network of MMPose."""

from __future__ import annotations

from pathlib import Path

from meshpose_plugins.deploy.device import resolve_device
from meshpose_plugins.deploy.demo import DemoSummary, run_demo
from meshpose_plugins.integrations.mmpose.inferencer import MeshPoseInferencer


def demo(
    source: str | Path,
    out: str | Path,
    checkpoint: str = 'anny-lite',
    config: str | None = None,
    device: str | None = None,
    detector: str = 'auto',
    detector_weights: str | None = None,
    score_threshold: float | None = None,
    flip_test: bool = False,
    **options,
) -> DemoSummary:
    """Load a network and a detector, and run the demo.

    Args:
        source: an image, or a folder of images.
        out: folder for the results.
        checkpoint: shipped name, weights file or training checkpoint.
        config: config file; None takes the one inside the checkpoint.
        device: torch device, None or 'auto' takes the GPU where there is one.
        detector: what `build_detector` takes.
        detector_weights: weights file of a learned detector.
        score_threshold: people below it are dropped.
        flip_test: whether to average with the prediction of the mirrored image.
        options: of `run_demo`.

    Returns:
        the summary.

    Raises:
        FileNotFoundError, ValueError, ImportError: if nothing can be started: naming the file or option.
    """
    from meshpose_plugins.deploy.images import list_images
    from meshpose_plugins.detection import build_detector

    list_images(source)  # fails before anything slow
    device = resolve_device(device)
    person_detector = build_detector(detector, detector_weights, device, score_threshold)
    inferencer = MeshPoseInferencer(
        config or checkpoint, checkpoint, device, detector=person_detector, flip_test=flip_test
    )
    return run_demo(inferencer, source, out, person_detector, **options)
