"""What stock packages break, absorbed; and left alone where the real thing works."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from meshpose_plugins.integrations import pkg_resources_stand_in
from meshpose_plugins.integrations.mmpose import compat

ROOT = Path(compat.__file__).parents[3]

# compat alone, without the parts of this package that are registered with MMPose
LOAD_COMPAT = f"""
import importlib.util, json, logging, sys, types
spec = importlib.util.spec_from_file_location('compat', {compat.__file__!r})
compat = importlib.util.module_from_spec(spec)
sys.modules['compat'] = compat
spec.loader.exec_module(compat)
"""


def run(code: str, *path: Path) -> object:
    """Runs code in a fresh Python after LOAD_COMPAT; returns what its variable ``result`` holds."""
    folders = os.pathsep.join([*map(str, path), str(ROOT), os.environ.get('PYTHONPATH', '')])
    process = subprocess.run(
        [sys.executable, '-c', f'{LOAD_COMPAT}\n{code}\nprint(json.dumps(result))'],
        env=dict(os.environ, PYTHONPATH=folders, OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def test_stock_mmpose_imports_whole_and_every_notice_is_logged_once():
    result = run(
        """
records = []
handler = logging.Handler()
handler.emit = lambda record: records.append(record.getMessage())
logging.getLogger('meshpose_plugins').addHandler(handler)
logging.getLogger('meshpose_plugins').setLevel(logging.INFO)
first, again = compat.apply(), compat.apply()
import mmpose.apis, mmpose.datasets, mmpose.evaluation, mmpose.models, mmpose.visualization
result = dict(records=records, first=first, again=again, notices=compat.notices())
"""
    )
    assert result['records'] == result['first'] == result['again'] == result['notices']
    assert len(set(result['records'])) == len(result['records'])


@pytest.mark.skipif(importlib.util.find_spec('mmcv._ext') is not None, reason='mmcv has its operators')
def test_an_operator_can_be_imported_and_inherited_but_not_used():
    import mmcv.ops
    from mmcv.ops import DeformConv2d, nms
    from mmcv.ops.roi_align import roi_align

    class Inherited(DeformConv2d):
        pass

    for use in (Inherited, nms, roi_align, mmcv.ops.roi_align, mmcv.ops.MultiScaleDeformableAttention):
        with pytest.raises(RuntimeError, match=r"mmcv\.ops\.\w+ needs mmcv's compiled.*mim install"):
            use(3, 4)
    with pytest.raises(RuntimeError, match=r'mmcv\.ops\.nms '):
        nms(None, None, 0.5)
    assert not isinstance(object(), DeformConv2d)
    with pytest.raises(AttributeError, match='__version__'):
        mmcv.ops.__version__


def test_the_stand_in_stays_away_where_mmcv_has_operators():
    result = run(
        """
import mmcv
real = types.ModuleType('mmcv.ops')
sys.modules['mmcv.ops'] = mmcv.ops = real
notices = compat.apply()
result = [sys.modules['mmcv.ops'] is real, any('mmcv' in notice for notice in notices),
          any(type(finder).__name__ == '_OperatorFinder' for finder in sys.meta_path)]
"""
    )
    assert result == [True, False, False]


def write_package(folder: Path, name: str, **files: str) -> Path:
    (folder / name).mkdir(parents=True)
    for stem, text in dict(files, __init__='').items():
        (folder / name / f'{stem}.py').write_text(text)
    return folder


@pytest.mark.parametrize('error', ["ValueError('numpy.dtype size changed')", "ImportError('multiarray')"])
def test_pycocotools_serves_where_xtcocotools_is_broken(tmp_path, error):
    broken = write_package(tmp_path, 'xtcocotools', coco='from . import mask', mask=f'raise {error}')
    result = run(
        """
notices = [notice for notice in compat.apply() if 'xtcocotools' in notice]
import pycocotools.coco, pycocotools.mask, xtcocotools.mask
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval
result = [notices, COCO is pycocotools.coco.COCO, xtcocotools.mask is pycocotools.mask, COCOeval.__module__]
""",
        broken,
    )
    assert len(result[0]) == 1 and 'pycocotools is used in its place' in result[0][0]
    assert result[1:] == [True, True, compat.__name__.rpartition('.')[2]]


def test_pycocotools_stays_away_where_xtcocotools_works(tmp_path):
    files = dict(coco='COCO = "real"', mask='', cocoeval='COCOeval = "real"')
    result = run(
        """
notices = compat.apply()
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval
result = [COCO, COCOeval, any('xtcocotools' in notice for notice in notices)]
""",
        write_package(tmp_path, 'xtcocotools', **files),
    )
    assert result == ['real', 'real', False]


def keypoint_files(seed: int, images: int = 6) -> tuple[dict, list]:
    """COCO ground truth and results of some people with 17 keypoints, some invisible, some missed."""
    random = np.random.RandomState(seed)
    annotations, results = [], []
    for image in range(images):
        for _ in range(random.randint(1, 4)):
            points = random.uniform(20, 200, (17, 2))
            visible = random.randint(0, 3, 17)
            x, y = points.min(0)
            width, height = points.max(0) - points.min(0)
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image,
                    category_id=1,
                    iscrowd=0,
                    bbox=[x, y, width, height],
                    area=float(width * height * random.uniform(0.3, 0.9)),
                    keypoints=np.c_[points, visible].ravel().tolist(),
                    num_keypoints=int((visible > 0).sum()),
                )
            )
            guess = points + random.normal(0, random.choice([2.0, 10.0, 40.0]), points.shape)
            keypoints = np.c_[guess, np.ones(17)].ravel().tolist()
            results.append(dict(image_id=image, category_id=1, score=random.rand(), keypoints=keypoints))
    categories = [dict(id=1, name='person')]
    truth = dict(images=[dict(id=i) for i in range(images)], categories=categories, annotations=annotations)
    return truth, results


@pytest.mark.parametrize('use_area', [True, False])
@pytest.mark.parametrize('own_sigmas', [True, False])
def test_the_stand_in_evaluates_as_xtcocotools_does(use_area, own_sigmas, capsys):
    real = pytest.importorskip('xtcocotools.cocoeval', reason='no xtcocotools for this Python or numpy')
    if Path(getattr(real, '__file__', '') or '').parent.name != 'xtcocotools':
        pytest.skip('xtcocotools does not import here, there is nothing to compare with')
    from xtcocotools.coco import COCO

    sigmas = np.linspace(0.03, 0.1, 17) if own_sigmas else None
    stats = []
    for evaluation in (real.COCOeval, compat._cocoeval().COCOeval):
        truth, results = keypoint_files(seed=3)
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluate = evaluation(coco, coco.loadRes(results), 'keypoints', sigmas, use_area)
        evaluate.params.useSegm = None
        evaluate.evaluate()
        evaluate.accumulate()
        evaluate.summarize()
        stats.append(evaluate.stats)
    assert 0.05 < stats[0][0] < 0.95
    np.testing.assert_allclose(stats[1], stats[0], rtol=0, atol=1e-12)


def test_a_protocol_that_only_xtcocotools_has_is_refused_by_name():
    with pytest.raises(ValueError, match="iou_type='keypoints_crowd' needs xtcocotools"):
        compat._cocoeval().COCOeval(iouType='keypoints_crowd')


def test_pkg_resources_answers_what_mmengine_asks(tmp_path):
    import mmengine
    from mmengine.utils import get_installed_path, is_installed

    assert Path(get_installed_path('mmengine')) == Path(mmengine.__file__).parent
    assert is_installed('mmengine') and not is_installed('no-such-package')
    assert pkg_resources_stand_in.get_distribution('mmengine').version == mmengine.__version__
    assert pkg_resources_stand_in.resource_exists('mmengine', 'version.py')
    with pytest.raises(pkg_resources_stand_in.DistributionNotFound, match='no-such-package'):
        pkg_resources_stand_in.get_distribution('no-such-package')


def test_a_real_pkg_resources_is_left_alone(tmp_path):
    (tmp_path / 'pkg_resources.py').write_text('real = True')
    code = """
notices = compat.apply()
import pkg_resources
result = [pkg_resources.real, any('pkg_resources' in notice for notice in notices)]
"""
    assert run(code, tmp_path) == [True, False]


def test_a_missing_framework_is_named_with_the_line_that_installs_it(monkeypatch):
    find_spec = importlib.util.find_spec
    without = lambda name: None if name == 'mmpose' else find_spec(name)  # noqa: E731
    monkeypatch.setattr(importlib.util, 'find_spec', without)
    with pytest.raises(ImportError, match=r'mmpose not installed.*pip install --no-deps mmpose'):
        compat.apply()


def test_a_truncated_checkpoint_is_named(tmp_path):
    import torch
    from mmengine.runner import load_checkpoint

    path = tmp_path / 'broken.pth'
    path.write_bytes(b'\x80\x02nonsense')
    with pytest.raises(ValueError, match='broken.pth: torch cannot read this checkpoint'):
        load_checkpoint(torch.nn.Linear(1, 1), str(path))
