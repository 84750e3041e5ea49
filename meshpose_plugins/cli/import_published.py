"""`meshpose import-published`: the published MeshPose weights become a checkpoint of MMPose."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import meshpose_plugins
from meshpose_plugins.errors import explained

CONFIG = 'configs/mmpose/meshpose_hrnet-w32_published_384x288.py'


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        description='Convert the published MeshPose checkpoints, which their authors give on request under a '
        'non-commercial licence, into an MMPose checkpoint and a template file'
    )
    parser.add_argument('network', help="file with the network's tensors under ['model']['root']")
    parser.add_argument(
        'upsampler', help="file with those of the upsampler under ['model']['VERTEX_UPSAMPLE']"
    )
    parser.add_argument(
        '--out',
        required=True,
        metavar='FILE.pth',
        help='checkpoint to write; the template file gets the same name with .npz',
    )
    parser.add_argument(
        '--surface',
        metavar='FILE',
        help='faces of the 6890-vertex body, for drawing: an SMPL model file (.npz), a .npy of faces, or a '
        'template file of SMPL, which adds the charts',
    )
    parser.add_argument(
        '--config',
        default=str(Path(meshpose_plugins.__file__).parents[1] / CONFIG),
        help=f'config of the network (default: {CONFIG} of this source tree)',
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    args = build_parser().parse_args(argv)
    with explained('import_published'):
        import meshpose_plugins.integrations.mmpose  # noqa: F401  registers all parts
        from meshpose_plugins.integrations.mmpose.published import import_published

        checkpoint, template_path, template = import_published(
            args.network, args.upsampler, args.out, args.config, args.surface
        )
    largest = abs(template.upsampler_bias).max()
    print(f'{checkpoint}: for {Path(args.config).name}')
    print(
        f'{template_path}: {template.num_vertices} vertices, {len(template.seams)} seams, upsampled to '
        f'{template.num_body_vertices}; biases of the upsampler up to {largest:.3g} crop px'
    )
    if not template.knows('surface'):
        print('no faces: vertices only; --surface FILE adds the faces of the body, for drawing')
    return 0


if __name__ == '__main__':
    sys.exit(main())
