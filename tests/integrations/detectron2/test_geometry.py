"""Vertices land in the image where the pooled features say they are, to the pixel."""

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('detectron2')

from detectron2.structures import Boxes, Instances
from small_models import build, tiny_config
from torch import nn

from meshpose_plugins.modeling import MeshPoseOutput

STRIDES = {'p2': 4, 'p3': 8, 'p4': 16, 'p5': 32}


class RampReader(nn.Module):
    """A predictor that knows where a feature px lies, and says that vertex v is at heatmap px 2 + v, 3 + v.

    The features are coordinate ramps: channel 0 is x and channel 1 is y in image px. What it reads at that
    heatmap pixel is kept, for comparison with where the ROI head puts the vertex.
    """

    def __init__(self, predictor):
        super().__init__()
        self.template, self.network = predictor.template, predictor.network
        self.read = []

    def forward(self, maps):
        count = self.template.num_vertices
        xy = torch.stack([2 + torch.arange(count) % 9, 3 + torch.arange(count) % 7], -1)
        self.read.append(maps[:, :2, xy[:, 1], xy[:, 0]].transpose(1, 2))
        stride = self.network.stride
        xyz = torch.cat([xy * stride, torch.ones(count, 1)], -1).expand(len(maps), -1, -1)
        return MeshPoseOutput(
            maps, xyz[..., :2] / stride, xyz, torch.zeros(xyz.shape[:2]), xyz, stride=stride
        )


def ramps(height, width, channels):
    """Features of every level: at a pixel's centre, the image px that it lies on."""
    features = {}
    for name, stride in STRIDES.items():
        y, x = torch.meshgrid(
            (torch.arange(height // stride) + 0.5) * stride - 0.5,
            (torch.arange(width // stride) + 0.5) * stride - 0.5,
            indexing='ij',
        )
        features[name] = torch.stack([x, y] + [x * 0] * (channels - 2))[None]
    return features


@pytest.mark.parametrize('upsampling', [False, True])
def test_vertices_lie_where_the_features_were_read(upsampling):
    """Pooling, levels, box growing and frame agree; bilinear doubling stands for the deconvolution."""
    size = 14 if not upsampling else 7
    model = build(
        tiny_config(
            'MODEL.ROI_MESHPOSE_HEAD.DECODER_ON',
            False,
            'MODEL.ROI_MESHPOSE_HEAD.POOLER_RESOLUTION',
            size,
            'MODEL.ROI_MESHPOSE_HEAD.POOLER_SAMPLING_RATIO',
            1,
        )
    ).eval()
    heads = model.roi_heads
    head = nn.Upsample(scale_factor=2, mode='bilinear', align_corners=False) if upsampling else nn.Identity()
    head.output_shape = heads.meshpose_head.output_shape
    heads.meshpose_head, heads.meshpose_predictor = head, RampReader(heads.meshpose_predictor)
    # Well inside the image, so that no sample is clamped; small and large, for different levels.
    boxes = torch.tensor(
        [[100.0, 120.0, 133.0, 171.5], [150.3, 160.2, 420.0, 430.0], [200.0, 90.0, 290.0, 400.0]]
    )
    found = Instances(
        (640, 640),
        pred_boxes=Boxes(boxes),
        scores=torch.ones(3),
        pred_classes=torch.zeros(3, dtype=torch.int64),
    )
    features = ramps(640, 640, 8)
    with torch.no_grad():
        heads.forward_with_given_boxes(features, [found])
    read = torch.cat(heads.meshpose_predictor.read)
    torch.testing.assert_close(found.pred_mesh.vertices[..., :2], read, atol=1e-2, rtol=0)


def test_a_deconvolution_keeps_the_middle_of_the_map():
    """Kernel 4, stride 2, padding 1: an even kernel spreads a pixel evenly over its four children."""
    head = build(tiny_config()).roi_heads.meshpose_head
    deconv = head.deconv1
    with torch.no_grad():
        deconv.weight.fill_(1.0)
        out = deconv(
            torch.nn.functional.one_hot(torch.tensor([24]), 49)
            .reshape(1, 1, 7, 7)
            .float()
            .expand(1, deconv.in_channels, 7, 7)
        )
    mass = (out[0, 0] - out[0, 0].min()).relu()
    grid = (torch.arange(14) + 0.5) / 14
    assert (mass.sum(0) * grid).sum() / mass.sum() == pytest.approx(3.5 / 7, abs=1e-6)
    assert (mass.sum(1) * grid).sum() / mass.sum() == pytest.approx(3.5 / 7, abs=1e-6)
