"""Whose pixels are whose: segmentations, part masks, other people, regions."""
import numpy as np
import pytest

from meshpose_plugins.data import PersonRecord
from meshpose_plugins.data.person_masks import ignored_mask, part_union, person_mask, silhouettes_by_image
from meshpose_plugins.data.rle import encode_mask
from meshpose_plugins.data.truncation import region_box

SQUARE = [[10, 20, 29, 20, 29, 49, 10, 49]]


def grid(rows, columns):
    mask = np.zeros((256, 256), np.uint8)
    mask[rows, columns] = 1
    return encode_mask(mask)


def test_part_masks_are_united_in_the_box():
    parts = [[], grid(slice(0, 128), slice(0, 128)), [], grid(slice(128, 256), slice(128, 256))]
    mask = part_union(parts, [10.7, 20.2, 40, 60], 100, 80)
    expected = np.zeros((100, 80), np.uint8)
    expected[20:50, 10:30] = 1  # the box's corner is cut to whole pixels
    expected[50:80, 30:50] = 1
    np.testing.assert_array_equal(mask, expected)


def test_part_masks_of_boxes_that_leave_the_image():
    whole = [grid(slice(None), slice(None))]
    mask = part_union(whole, [-10, 70, 40, 60], 100, 80)
    assert mask[70:, :30].all() and mask.sum() == 30 * 30
    assert part_union(whole, [200, 0, 10, 10], 100, 80).sum() == 0
    assert part_union(whole, [0, 0, 0.5, 10], 100, 80).sum() == 0


def test_the_segmentation_comes_first():
    whole = [grid(slice(None), slice(None))]
    box = [0, 0, 80, 100]
    assert person_mask(SQUARE, whole, box, 100, 80).sum() == 20 * 30
    for nothing in (None, []):
        assert person_mask(nothing, whole, box, 100, 80).sum() == 80 * 100
        assert person_mask(nothing, [[], []], box, 100, 80) is None
        assert person_mask(nothing, None, box, 100, 80) is None
        assert person_mask(nothing, whole, None, 100, 80) is None


def test_broken_part_masks_are_named():
    with pytest.raises(ValueError, match=r"annotation 7: dp_masks\[1\] is \(4, 4\), must be \(256, 256\)"):
        part_union([[], encode_mask(np.ones((4, 4)))], [0, 0, 9, 9], 10, 10, "annotation 7")


def test_others_and_regions_are_ignored():
    other = np.zeros((100, 80), np.uint8)
    other[90:, 70:] = 1
    ignored = ignored_mask([encode_mask(other)], [[0, 0, 4, 0, 4, 4, 0, 4]], 100, 80)
    assert ignored[:5, :5].all() and ignored[90:, 70:].all() and ignored.sum() == 25 + 100
    assert ignored_mask(None, None, 10, 10).sum() == 0
    with pytest.raises(ValueError, match="someone beside annotation 3: segmentation: a polygon needs"):
        ignored_mask([[[1, 2]]], None, 10, 10, "annotation 3")


def test_silhouettes_of_images_with_several_people():
    def record(identity, image, segmentation):
        return PersonRecord(identity, image, "x.jpg", (80, 100), np.ones(4), segmentation=segmentation)

    run_length = encode_mask(np.eye(8))
    found = silhouettes_by_image([record(1, "a", SQUARE), record(2, "a", run_length), record(3, "a", None),
                                  record(4, "b", SQUARE)])
    assert list(found) == ["a"]
    (first, polygons), (second, mask) = found["a"]
    assert (first, second) == (1, 2) and mask is run_length
    np.testing.assert_array_equal(polygons, SQUARE)


STANDING = np.array([[50, 10], [48, 8], [52, 8], [46, 10], [54, 10], [40, 25], [60, 25], [36, 40], [64, 40],
                     [34, 55], [66, 55], [44, 60], [56, 60], [44, 85], [56, 85], [44, 110], [56, 110]], float)


@pytest.mark.parametrize("region, low, high", [("head_shoulders", (40, 8), (60, 25)),
                                               ("half_body", (34, 8), (66, 60))])
def test_region_boxes_surround_the_keypoints(region, low, high):
    center, scale = region_box(STANDING, np.ones(17, bool), region, 1.5)
    np.testing.assert_allclose(center, (np.array(low) + high) / 2)
    extent = np.array(high) - low
    np.testing.assert_allclose(scale, 1.5 * np.maximum(extent, 0.6 * extent.max()))
    assert center.dtype == scale.dtype == np.float32


def test_region_boxes_need_enough_keypoints():
    labelled = np.ones(17, bool)
    labelled[[5, 6]] = False
    assert region_box(STANDING, labelled, "head_shoulders", 1.5) is None
    labelled = np.zeros(17, bool)
    labelled[[0, 5]] = True
    assert region_box(STANDING, labelled, "head_shoulders", 1.5) is None
    assert region_box(np.zeros((17, 2)), np.ones(17, bool), "half_body", 1.5) is None
    with pytest.raises(ValueError, match="'head_shoulders', 'half_body', got 'feet'"):
        region_box(STANDING, np.ones(17, bool), "feet", 1.5)
