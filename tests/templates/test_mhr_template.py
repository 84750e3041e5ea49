"""A template on MHR: its own charts, and the way from a template on it to pictures of its people."""

import json

import mhr_assets
import numpy as np
import pytest

from meshpose_plugins.bodies import load_body
from meshpose_plugins.cli.make_synthetic import main as make_synthetic
from meshpose_plugins.data.correspondence_builder import build_correspondence
from meshpose_plugins.templates import load_template, save_template
from meshpose_plugins.templates.builder import TemplateSettings, build_template, random_bodies
from meshpose_plugins.templates.quality import check_template, measure_template
from meshpose_plugins.templates.registration import RegistrationSettings
from meshpose_plugins.templates.segmentation import SEGMENT_NAMES, segment_of_joint


@pytest.fixture(scope='module')
def body(tmp_path_factory):
    return load_body(
        'mhr', mhr_assets.write(tmp_path_factory.mktemp('mhr'), surface={'corrective_blendshapes': None})
    )


@pytest.fixture(scope='module')
def template_file(body, tmp_path_factory):
    template = build_template(body, settings=TemplateSettings(num_poses=80, decimation_poses=3))
    path = tmp_path_factory.mktemp('template') / 'mhr.npz'
    save_template(template, path)
    return path


def test_segments_of_mhrs_joints():
    expected = {
        'root': 'torso',
        'c_spine2': 'torso',
        'r_clavicle': 'torso',
        'c_neck_twist0_proc': 'head',
        'c_jaw': 'head',
        'l_eye_null': 'head',
        'l_upleg_twist3_proc': 'left_upper_leg',
        'r_lowleg': 'right_lower_leg',
        'l_transversetarsal': 'left_foot',
        'r_uparm_twist0_proc': 'right_upper_arm',
        'l_lowarm': 'left_lower_arm',
        'l_wrist_twist': 'left_hand',
        'r_pinky0': 'right_hand',
        'l_thumb_null': 'left_hand',
    }
    assert {name: segment_of_joint(name) for name in expected} == expected
    assert {segment_of_joint(name) for name in mhr_assets.NAMES} == set(SEGMENT_NAMES)


def test_template_is_sound_and_fine(body, template_file):
    template = load_template(template_file)
    check_template(template)
    assert template.body == 'mhr' and 400 <= template.num_vertices <= 620
    assert (
        template.joint_names[:3] == ('root', 'l_upleg', 'r_upleg') and template.joint_names[-1] == 'r_wrist'
    )
    assert sorted(np.unique(template.surface.face_parts)) == list(range(1, 25))
    figures = measure_template(template, random_bodies(body, 20, 99)[0])
    assert figures['upsampling'] < 4 and figures['chart'] < 1 and figures['low_poly_chart'] < 3, figures


def test_synthetic_people_of_it(body, template_file, tmp_path):
    arguments = [str(tmp_path / 'set'), '--count', '3', '--template', str(template_file), '--quiet']
    with pytest.raises(SystemExit, match=r"body 'mhr' needs model_path \(--model-path\)"):
        make_synthetic(arguments)
    assert make_synthetic([*arguments, '--model-path', str(body.arrays.path.parent)]) == 0
    content = json.loads((tmp_path / 'set' / 'annotations.json').read_text())
    assert content['info']['densepose_surface'] == 'mhr' and len(content['annotations']) == 3
    assert 'model_path' not in str(content['info'])
    template = load_template(template_file)
    with np.load(tmp_path / 'set' / 'meshes.npz') as meshes:
        people = meshes['vertices_camera']
    assert people.shape == (3, template.num_vertices, 3)
    lengths, rest = (
        np.linalg.norm(v[..., template.faces[:, 0], :] - v[..., template.faces[:, 1], :], axis=-1)
        for v in (people, template.vertices)
    )
    assert 0.8 < np.median(lengths / rest) < 1.25  # the template's own vertices, in its order


def test_a_moved_model_resumes_and_another_is_refused(body, template_file, tmp_path, capsys):
    out = [str(tmp_path / 'set'), '--count', '2', '--template', str(template_file), '--quiet', '--model-path']
    assert make_synthetic([*out, str(body.arrays.path)]) == 0
    moved = mhr_assets.write(tmp_path / 'elsewhere', surface={'corrective_blendshapes': None})
    assert make_synthetic([*out, f'{moved}/']) == 0
    assert 'all were there' in capsys.readouterr().out
    base = mhr_assets.fields()[1]['base_shape'] * np.float32(1.01)
    other = mhr_assets.write(tmp_path / 'other', surface={'base_shape': base, 'corrective_blendshapes': None})
    with pytest.raises(SystemExit, match=r"was begun with other settings \(body: 'mhr, "):
        make_synthetic([*out, str(other)])


def test_another_surface_than_the_templates_is_refused(template_file, tmp_path):
    faces = np.roll(mhr_assets.fields()[1]['faces'], 1, axis=0)
    other = mhr_assets.write(tmp_path / 'other', surface={'faces': faces, 'corrective_blendshapes': None})
    arguments = [str(tmp_path / 'set'), '--count', '2', '--template', str(template_file), '--quiet']
    with pytest.raises(SystemExit, match='was built on another surface of'):
        make_synthetic([*arguments, '--model-path', str(other)])


def test_it_is_carried_to_anny(body):
    """The files are made of anny's surface, so that each vertex has to come back to itself."""
    quick = RegistrationSettings(joint_steps=4, surface_steps=4, finger_steps=2, stiffness=(30, 10))
    found = build_correspondence(body, load_body('anny'), quick)
    assert (found.source, found.target) == ('mhr', 'anny')
    anny = load_body('anny').pose(np.full(6, 0.5), np.tile(np.eye(3), (104, 1, 1))).vertices
    away = np.linalg.norm(np.einsum('nk,nkd->nd', found.barycentrics, anny[found.faces]) - anny, axis=1)
    assert np.median(away) < 0.005 and np.percentile(away, 95) < 0.02, np.percentile(away, [50, 95, 99])
