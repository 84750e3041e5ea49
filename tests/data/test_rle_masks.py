import numpy as np
import pytest

from meshpose_plugins.data.masks import segmentation_mask
from meshpose_plugins.data.rle import decode_mask, encode_labels, encode_mask


def plain_runs(mask):
    """Count runs of a mask in column-major order, zeros first."""
    flat = mask.T.ravel().astype(int)
    runs, value = [0], 0
    for pixel in flat:
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return runs


def random_masks():
    rng = np.random.default_rng(0)
    for size in [(1, 1), (1, 9), (7, 1), (5, 8), (40, 33)]:
        for share in (0.0, 0.1, 0.5, 1.0):
            yield (rng.random(size) < share).astype(np.uint8)
    yield np.kron(rng.integers(0, 2, (4, 4)), np.ones((60, 70))).astype(np.uint8)


@pytest.mark.parametrize('mask', random_masks(), ids=lambda mask: f'{mask.shape}-{int(mask.sum())}')
def test_masks_survive_encoding_and_plain_counts_are_read(mask):
    encoded = encode_mask(mask)
    np.testing.assert_array_equal(decode_mask(encoded), mask)
    np.testing.assert_array_equal(decode_mask({'size': list(mask.shape), 'counts': plain_runs(mask)}), mask)


def test_bytes_are_those_of_the_coco_tools():
    coco = pytest.importorskip('pycocotools.mask')
    for mask in random_masks():
        assert encode_mask(mask)['counts'] == coco.encode(np.asfortranarray(mask))['counts'].decode()


def test_each_label_becomes_its_own_mask():
    labels = np.random.default_rng(1).integers(0, 5, (20, 30))
    labels[labels == 3] = 0
    masks = encode_labels(labels, 4)
    for label, mask in enumerate(masks, start=1):
        if label == 3:
            assert mask == []
        else:
            np.testing.assert_array_equal(decode_mask(mask), labels == label)


@pytest.mark.parametrize('broken, match', [
    ({'size': [4, 4]}, "needs 'size' and 'counts'"),
    ({'size': [4], 'counts': [16]}, r'must be \[height, width\]'),
    ({'size': [4, 4], 'counts': [15]}, 'runs sum to 15, size 4 x 4 needs 16'),
    ({'size': [4, 4], 'counts': '\x01\x02'}, 'runs sum to'),
    ({'size': [4, 4], 'counts': 'ooooooooooooooooooo'}, 'runs sum to'),
])
def test_broken_masks_are_named(broken, match):
    with pytest.raises(ValueError, match=match):
        decode_mask(broken)


def test_segmentations_are_read_as_runs_and_as_polygons():
    mask = np.zeros((30, 40), np.uint8)
    mask[5:16, 8:21] = 1
    np.testing.assert_array_equal(segmentation_mask(encode_mask(mask), 30, 40), mask)
    np.testing.assert_array_equal(segmentation_mask([[8, 5, 20, 5, 20, 15, 8, 15]], 30, 40), mask)
    with pytest.raises(ValueError, match='segmentation is'):
        segmentation_mask(encode_mask(mask), 40, 30)
    with pytest.raises(ValueError, match='even number'):
        segmentation_mask([[1, 2, 3]], 30, 40)
