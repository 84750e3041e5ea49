"""`meshpose apply-detectron2`: a detectron2 model on images, in the spirit of DensePose's apply_net."""

from __future__ import annotations

import argparse

from meshpose_plugins.errors import explained

EPILOG = '''examples:
  show configs/detectron2/meshpose_R_50_FPN.yaml model_final.pth photos/ --out results
  dump CONFIG WEIGHTS photos/ --boxes coco_instances_results.json --boxes-images annotations.json
'''


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog='apply_detectron2',
        description='Find people and predict their body meshes',
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'action',
        choices=('show', 'dump'),
        help='show: overlays, viewers, meshes and predictions; dump: the predictions file alone',
    )
    parser.add_argument('config', help='YAML config')
    parser.add_argument('weights', help='checkpoint of that config')
    parser.add_argument('source', metavar='IMAGE_OR_FOLDER')
    parser.add_argument('opts', nargs='*', metavar='KEY VALUE', help='changes of the config')
    parser.add_argument('--out', default='outputs/apply_detectron2', help='default: %(default)s')
    parser.add_argument(
        '--score-threshold', type=float, help="lowest score of a person (default: the config's)"
    )
    parser.add_argument('--boxes', metavar='FILE', help='boxes instead of detections, as in tools/demo.py')
    parser.add_argument('--boxes-images', metavar='FILE', help='COCO file with the images of COCO results')
    parser.add_argument('--detector', help="another detector for the boxes, as in tools/demo.py")
    parser.add_argument('--detector-weights', metavar='FILE', help='its weights')
    parser.add_argument('--batch-size', type=int, default=1, help='images at a time (default: %(default)s)')
    parser.add_argument(
        '--meshes', default='obj,ply,glb', help='mesh formats (default: %(default)s; "" for none)'
    )
    parser.add_argument('--predictions', choices=('npz', 'json'), default='npz', help='default: %(default)s')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns 0 if every image went through, 1 if one was skipped."""
    args = build_parser().parse_args(argv)
    from meshpose_plugins.cli.demo import mesh_formats, report

    with explained('apply_detectron2', own_only=True):
        from meshpose_plugins.integrations.detectron2 import commands

        args.formats = mesh_formats(args.meshes)
        summary = commands.apply(args)
    report(summary)
    return 1 if summary.failures else 0
