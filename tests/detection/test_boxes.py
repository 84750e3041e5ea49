"""Boxes given by the user: every malformed one gets a message that names file, field and value."""

import numpy as np
import pytest

from meshpose_plugins.detection import check_boxes, parse_bbox


def test_parse_bbox_gives_corners():
    np.testing.assert_array_equal(parse_bbox('10, 20,30.5,40'), [10, 20, 40.5, 60])


@pytest.mark.parametrize('text', ['1,2,3', '1,2,3,4,5', 'a,b,c,d', '', '1 2 3 4'])
def test_parse_bbox_names_what_it_got(text):
    with pytest.raises(ValueError, match='expected four numbers x,y,w,h.*got ') as error:
        parse_bbox(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize('text', ['0,0,0,5', '0,0,5,-1', 'nan,0,5,5', 'inf,0,5,5'])
def test_parse_bbox_refuses_empty_and_infinite_boxes(text):
    with pytest.raises(ValueError, match='positive|finite'):
        parse_bbox(text)


def test_box_inside_is_untouched_and_box_over_the_border_is_clipped_with_a_note():
    boxes, notes = check_boxes([[1, 2, 30, 40], [-5, 10, 50, 200]], 64, 48, 'a.jpg')
    np.testing.assert_array_equal(boxes, [[1, 2, 30, 40], [0, 10, 50, 48]])
    assert len(notes) == 1 and 'a.jpg' in notes[0] and '-5,10,55,190' in notes[0] and '64 x 48' in notes[0]


@pytest.mark.parametrize('box', [[70, 0, 90, 20], [0, 50, 10, 60], [-30, -30, -1, -1], [64, 0, 80, 10]])
def test_box_wholly_outside_is_an_error(box):
    with pytest.raises(ValueError, match=r'a.jpg: bbox .* lies outside the image of 64 x 48 px'):
        check_boxes([box], 64, 48, 'a.jpg')


def test_boxes_of_another_shape_are_named():
    with pytest.raises(ValueError, match=r'a.jpg: boxes must have the shape \(P, 4\), got \(1, 3\)'):
        check_boxes([[1, 2, 3]], 64, 48, 'a.jpg')
    assert check_boxes([], 64, 48, 'a.jpg')[0].shape == (0, 4)
    assert check_boxes([1, 2, 3, 4], 64, 48, 'a.jpg')[0].tolist() == [[1, 2, 3, 4]]
