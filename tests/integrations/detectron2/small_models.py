"""Configs of the smallest models that still have every part, and a data set of four pictures."""

from pathlib import Path

CONFIGS = Path(__file__).parents[3] / 'configs' / 'detectron2'
LITE = str(CONFIGS / 'meshpose_mobilenetv2_lite_FPN.yaml')
#: As many channels as make it quick.
TINY = [
    'MODEL.MOBILENETV2.WIDTH_MULT', 0.25,
    'MODEL.FPN.OUT_CHANNELS', 8,
    'MODEL.FPN.NORM', '',
    'MODEL.ROI_BOX_HEAD.FC_DIM', 16,
    'MODEL.ROI_MESHPOSE_HEAD.DECODER_CONV_DIM', 8,
    'MODEL.ROI_MESHPOSE_HEAD.CONV_DIM', 8,
    'MODEL.ROI_MESHPOSE_HEAD.DECONV_DIM', 8,
    'MODEL.ROI_MESHPOSE_HEAD.POOLER_RESOLUTION', 7,
    'MODEL.ROI_MESHPOSE_HEAD.HEATMAP_SIZE', 14,
    'INPUT.MIN_SIZE_TRAIN', (64,),
    'INPUT.MIN_SIZE_TEST', 64,
    'DATALOADER.NUM_WORKERS', 0,
    'TEST.DETECTIONS_PER_IMAGE', 3,
    'TEST.DENSEPOSE', False,
]  # fmt: skip


def tiny_config(*options, path=LITE):
    """A config that is built and run in a moment."""
    from meshpose_plugins.integrations.detectron2.commands import load_config

    return load_config(str(path), [*TINY, *options])


def build(cfg):
    """A model with the same random weights every time, away from the nearly constant initial outputs."""
    import torch
    from detectron2.modeling import build_model

    torch.manual_seed(0)
    model = build_model(cfg)
    head = model.roi_heads.meshpose_predictor
    for parameter in head.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model


def labelled_batch(cfg, kinds=('both', 'mesh', 'points', 'nothing'), size=(64, 96), seed=0):
    """Model inputs with one person each: noise, a box, labels of a kind; None is an image without people."""
    import torch
    from detectron2.structures import BitMasks, Boxes, Instances, Keypoints

    from meshpose_plugins.data.records import SurfacePoints
    from meshpose_plugins.losses import MeshPoseTargets
    from meshpose_plugins.templates import load_template

    template = load_template(cfg.MODEL.ROI_MESHPOSE_HEAD.TEMPLATE)
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    batch = []
    for kind in kinds:
        instances = Instances(size)
        count = 0 if kind is None else 1
        instances.gt_boxes = Boxes(torch.tensor([[20.0, 8.0, 70.0, 60.0]])[:count])
        instances.gt_classes = torch.zeros(count, dtype=torch.int64)
        mesh = (torch.rand(template.num_vertices, 3, generator=generator) * 40 + 20).numpy()
        points = SurfacePoints(
            mesh[template.faces[:20]].mean(1)[:, :2], template.faces[:20], [[1 / 3] * 3] * 20
        )
        instances.gt_mesh = MeshPoseTargets.of_people(
            [points if kind in ('both', 'points') else None][:count],
            [mesh if kind in ('both', 'mesh') else None][:count],
            template.num_vertices,
            (width, height),
        )
        if cfg.MODEL.MASK_ON:
            instances.gt_masks = BitMasks(torch.ones(count, *size, dtype=torch.bool))
        if cfg.MODEL.KEYPOINT_ON:
            instances.gt_keypoints = Keypoints(torch.full((count, 17, 3), 30.0))
        image = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
        batch.append(dict(image=image, instances=instances, height=height, width=width))
    return batch


def losses_of(model, batch):
    """The loss terms of a training step, with the same random choices every time."""
    import torch
    from detectron2.utils.events import EventStorage

    torch.manual_seed(1)
    with EventStorage():
        return model.train()(batch)
