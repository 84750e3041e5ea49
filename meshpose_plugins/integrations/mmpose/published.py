"""The published MeshPose checkpoints as a checkpoint of MMPose and a template file."""

from __future__ import annotations

from pathlib import Path

from mmengine.registry import init_default_scope
from mmpose.models import build_pose_estimator

from meshpose_plugins.deploy import published
from meshpose_plugins.templates import MeshTemplate, load_template, save_template
from meshpose_plugins.templates.identity import encode_template_id

from .checkpoint_hook import write_checkpoint
from .commands import load_config


def import_published(
    network: str | Path,
    upsampler: str | Path,
    out: str | Path,
    config: str | Path,
    surface: str | Path | None = None,
) -> tuple[Path, Path, MeshTemplate]:
    """Write the checkpoint ``out`` and, beside it under the same name with .npz, the template file.

    Args:
        network: the published network file.
        upsampler: the published upsampler file; may be the same.
        out: checkpoint to write (.pth).
        config: ``configs/mmpose/meshpose_hrnet-w32_published_384x288.py``, or one of the same network.
        surface: file with the faces of the 6890-vertex body, see ``deploy.published.read_surface``.

    Returns:
        paths of the checkpoint and of the template file, and the template.

    Raises:
        FileNotFoundError, ValueError: naming the file, and all tensors that are missing or misshapen.
    """
    out = Path(out)
    if out.suffix in ('.npz', '.safetensors'):
        raise ValueError(f'--out {out}: the checkpoint is a torch file: choose a name ending with .pth')
    model_config = load_config(str(config))
    init_default_scope(model_config.get('default_scope', 'mmpose'))
    model = build_pose_estimator(model_config.copy().model)
    heatmap_size = [int(size / model.head.network.stride) for size in reversed(model.head.input_size)]
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    weights = published.convert_network(
        published.read_published(network, published.NETWORK), shapes, heatmap_size, network
    )
    template = published.convert_template(
        published.read_published(upsampler, published.UPSAMPLER),
        load_template(model_config.model.head.template),
        upsampler,
    )
    if surface is not None:
        template = template.replace(surface=published.read_surface(surface, template.num_body_vertices))

    weights['head.template_id'] = encode_template_id(template)
    missing = sorted(set(shapes) - set(weights))
    if missing:
        raise ValueError(f'{config}: the published network has no {", ".join(missing)}')
    template_path = out.with_suffix('.npz')
    save_template(template, template_path)
    model_config.model.head.template = model_config.template = str(template_path.resolve())
    write_checkpoint(
        dict(
            meta=dict(cfg=model_config.pretty_text, template=str(template_path.resolve())),
            state_dict=weights,
        ),
        out,
    )
    return out, template_path, template
