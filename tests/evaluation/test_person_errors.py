"""Errors of one person and their means, against the single errors."""

import numpy as np
import pytest

from meshpose_plugins.evaluation import mesh_errors
from meshpose_plugins.evaluation.person_errors import mean_errors, person_mesh_errors
from meshpose_plugins.templates import load_template


def test_errors_of_a_mesh_are_the_single_errors():
    template, rng = load_template('anny'), np.random.default_rng(0)
    camera = template.vertices[:, [0, 2, 1]] * [1, -1, 1]
    image = camera * 100 + [96, 128, 0]
    predicted, scores = image + rng.normal(0, 2, image.shape), rng.random(len(image))
    visible = rng.random(len(image)) > 0.5
    found = person_mesh_errors(predicted, scores, image, camera, visible, (192, 200), template)
    root = template.joint_regressor[template.root_joint]
    assert found['vertex_error_2d'] == mesh_errors.vertex_error_2d(predicted, image) > 0
    assert found['pa_mpvpe'] == mesh_errors.pa_mpvpe(predicted, camera) < found['mpvpe']
    assert found['mpvpe'] == mesh_errors.mpvpe(predicted, camera, root)
    outside = image[:, 1] > 200
    assert outside.any()
    np.testing.assert_array_equal(found['visibility'][0], scores[visible & ~outside])
    np.testing.assert_array_equal(found['visibility'][1], scores[outside])


def test_means_leave_out_what_is_missing():
    people = [
        dict(uv_error=np.nan, vertex_error_2d=2.0, pa_mpvpe=80.0, visibility=(np.array([0.9]), np.array([0.1]))),
        dict(uv_error=4.0),
        dict(uv_error=np.nan, vertex_error_2d=4.0, pa_mpvpe=100.0, visibility=(np.array([0.2]), np.array([0.3]))),
    ]
    assert mean_errors(people) == pytest.approx(
        dict(vertex_error_2d=3.0, pa_mpvpe=90.0, uv_error=4.0, visibility_auc=0.75)
    )
    assert mean_errors([dict(uv_error=np.nan)]) == mean_errors([]) == {}
