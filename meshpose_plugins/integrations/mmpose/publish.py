"""From a training checkpoint to the one file that is shipped."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from meshpose_plugins.deploy.weights import WeightsMetadata, checkpoint_weights, load_strictly, save_weights
from meshpose_plugins.integrations.mmpose.config_text import portable_config
from meshpose_plugins.integrations.mmpose.shipped import load_checkpoint_file, load_config


def publish_weights(
    checkpoint: str | Path,
    output: str | Path,
    config: str | Path | None = None,
    figures: dict | None = None,
    notes: dict | None = None,
    half: bool = True,
) -> Path:
    """Write the weights file of a training checkpoint: averaged weights, config, figures.

    The network is built from the config that goes into the file and must take the weights completely, so a
    published file always loads.

    Args:
        checkpoint: MMEngine checkpoint (.pth) or another weights file.
        output: .safetensors file to write.
        config: config file; None takes the text inside the checkpoint. It must not name absolute paths.
        figures: evaluation set -> {metric: number}.
        notes: free facts (data, seed, command).
        half: matrices in float16.

    Returns:
        the output's path.

    Raises:
        FileNotFoundError, ValueError: naming the file and field.
    """
    from mmpose.models import build_pose_estimator

    weights = checkpoint_weights(load_checkpoint_file(checkpoint), str(checkpoint))
    published = portable_config(load_config(checkpoint if config is None else config))
    init_default_scope(published.get('default_scope', 'mmpose'))
    model_config = Config(dict(model=published.model)).copy().model
    model_config.train_cfg = None
    model = build_pose_estimator(model_config)
    load_strictly(model, weights, checkpoint)
    template = model.head.template
    metadata = WeightsMetadata(
        template=template.name,
        num_vertices=template.num_vertices,
        config=published.pretty_text,
        figures=figures or {},
        notes=notes or {},
    )
    return save_weights(output, weights, metadata, half=half)
