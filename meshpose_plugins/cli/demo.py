"""`meshpose demo`: body meshes on photographs."""

from __future__ import annotations

import argparse
import sys

from meshpose_plugins.errors import explained

EPILOG = '''detectors (people are boxed first, each box then goes through the network):
  auto         OpenCV's HOG where it is sure of somebody, else the whole image
  whole-image  one person who fills the picture
  hog          OpenCV's detector of upright pedestrians; weak
  torchvision, mmdet, detectron2
               learned ones, with weights that are already on this machine;
               'torchvision:fasterrcnn_resnet50_fpn', 'mmdet:CONFIG', 'detectron2:CONFIG' choose the model,
               --detector-weights the file
'''


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog='demo',
        description='Predict the body mesh of everybody in an image or in a folder of images',
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('source', metavar='IMAGE_OR_FOLDER')
    parser.add_argument('--out', default='outputs/demo', help='folder for the results (default: %(default)s)')
    parser.add_argument(
        '--checkpoint',
        default='anny-lite',
        help='shipped name, .safetensors or training checkpoint .pth (default: %(default)s)',
    )
    parser.add_argument('--config', help='config file; default: the config inside the checkpoint')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 (default: %(default)s)')
    parser.add_argument('--flip-test', action='store_true', help='average with the mirrored image')
    people = parser.add_argument_group('people')
    people.add_argument(
        '--bbox',
        action='append',
        metavar='X,Y,W,H',
        help='box of a person in px: left, top, width, height; repeatable; for a single image',
    )
    people.add_argument(
        '--boxes',
        metavar='FILE',
        help='JSON: {"image.jpg": [[x, y, w, h], ...]}, COCO annotations, or COCO results of a detector',
    )
    people.add_argument(
        '--boxes-images',
        metavar='FILE',
        help='COCO file that names the images of a --boxes file of COCO results',
    )
    people.add_argument('--detector', default='auto', help='see below (default: %(default)s)')
    people.add_argument(
        '--detector-weights', metavar='FILE', help='weights of a learned detector; nothing is downloaded'
    )
    people.add_argument(
        '--score-threshold', type=float, help="lowest score of a detection (default: the detector's)"
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        default=1,
        help='images whose people go through the network together (default: %(default)s)',
    )
    results = parser.add_argument_group('results')
    results.add_argument(
        '--meshes', default='obj,ply,glb', help='mesh formats (default: %(default)s; "" for none)'
    )
    results.add_argument('--predictions', choices=('npz', 'json'), default='npz', help='default: %(default)s')
    results.add_argument('--wireframe', action='store_true', help='draw the low-poly edges over the meshes')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments; None takes the process's.

    Returns:
        0 if every image went through, 1 if one was skipped. What cannot be started ends with exit code 2.
    """
    args = build_parser().parse_args(argv)
    import numpy as np
    from meshpose_plugins.detection import parse_bbox

    with explained('demo', (ImportError, OSError, RuntimeError, ValueError)):
        boxes = np.stack([parse_bbox(text) for text in args.bbox]) if args.bbox else None
        from meshpose_plugins.integrations.mmpose.demo import demo

        summary = demo(
            args.source,
            args.out,
            args.checkpoint,
            args.config,
            args.device,
            args.detector,
            args.detector_weights,
            args.score_threshold,
            args.flip_test,
            boxes=boxes,
            boxes_file=args.boxes,
            boxes_images=args.boxes_images,
            batch_size=args.batch_size,
            formats=mesh_formats(args.meshes),
            predictions_format=args.predictions,
            wireframe=args.wireframe,
        )
    report(summary)
    return 1 if summary.failures else 0


def mesh_formats(text: str) -> tuple[str, ...]:
    formats = tuple(item.strip() for item in text.split(',') if item.strip())
    for item in formats:
        if item not in ('obj', 'ply', 'glb'):
            raise ValueError(f'--meshes: expected any of obj, ply, glb, got {item!r}')
    return formats


def report(summary) -> None:
    """Print what was done, what is worth knowing, and where the results are."""
    for note in summary.notes:
        print(f'note: {note}')
    for name, reason in summary.failures.items():
        print(f'skipped {name}: {reason}', file=sys.stderr)
    if summary.people:
        print(
            f'{sum(summary.people.values())} people in {len(summary.people)} images: pictures in '
            f'{summary.out / "overlays"}, 3-D viewers in {summary.out / "viewers"}, meshes in '
            f'{summary.out / "meshes"}, numbers in {summary.predictions}'
        )
    if summary.failures:
        print(
            f'{len(summary.failures)} of {len(summary.failures) + len(summary.people)} images were skipped',
            file=sys.stderr,
        )


if __name__ == '__main__':
    sys.exit(main())
