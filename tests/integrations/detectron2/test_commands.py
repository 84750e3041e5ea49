"""Training, resuming, measuring and applying from the command line; the bridge to top-down models."""

import json
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('detectron2')

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Boxes, Instances
from small_models import LITE, TINY, build, tiny_config

from meshpose_plugins.cli import apply_detectron2, train_detectron2
from meshpose_plugins.detection import PersonDetector, build_detector, read_detections
from meshpose_plugins.detection.results import write_detections
from meshpose_plugins.evaluation import load_predictions
from meshpose_plugins.integrations.detectron2 import PredictorDetector


def texts(*values):
    return [str(value) for value in values]


@pytest.fixture(scope='module')
def trained(people_folder, tmp_path_factory):
    """Output folder and options of two iterations and one evaluation."""
    out = tmp_path_factory.mktemp('run')
    options = texts(
        *TINY,
        'DATASETS.TRAIN',
        (str(people_folder),),
        'DATASETS.TEST',
        (str(people_folder),),
        'OUTPUT_DIR',
        out,
        'SOLVER.IMS_PER_BATCH',
        2,
        'SOLVER.MAX_ITER',
        2,
        'SEED',
        0,
    )
    assert train_detectron2.main(['--config-file', LITE, '--num-gpus', '0', *options]) == 0
    yield out, options
    DatasetCatalog.remove(str(people_folder))
    MetadataCatalog.remove(str(people_folder))


def test_training_leaves_checkpoints_and_results(trained):
    out, _ = trained
    assert (out / 'model_final.pth').is_file() and (out / 'last_checkpoint').read_text() == 'model_final.pth'
    rows = [json.loads(line) for line in (out / 'metrics.json').read_text().splitlines()]
    assert any('bbox/AP' in row and 'mesh/found' in row for row in rows)
    (folder,) = (out / 'inference').iterdir()
    assert sorted(path.name for path in folder.iterdir()) == [
        'coco_instances_results.json',
        'predictions.npz',
    ]
    torch.load(out / 'model_final.pth', weights_only=True)


def test_resuming_goes_on_where_it_stopped(trained, capsys):
    out, options = trained
    train_detectron2.main(
        ['--config-file', LITE, '--num-gpus', '0', '--resume', *options, 'SOLVER.MAX_ITER', '3']
    )
    state = torch.load(out / 'model_final.pth', weights_only=True)
    assert state['iteration'] == 2 and state['trainer']['_trainer']['optimizer']['state'][0]['step'] == 3
    assert f'results are in {out}' in capsys.readouterr().out


def test_eval_only_with_tta(trained):
    out, options = trained
    from meshpose_plugins.integrations.detectron2 import commands

    args = commands.argument_parser().parse_args(
        [
            '--config-file',
            LITE,
            '--num-gpus',
            '0',
            '--eval-only',
            *options,
            'MODEL.WEIGHTS',
            str(out / 'model_final.pth'),
            'TEST.AUG.ENABLED',
            'True',
            'TEST.AUG.MIN_SIZES',
            '(64,)',
        ]
    )
    results = commands.train_process(args)
    assert {'bbox', 'mesh', 'bbox_TTA', 'mesh_TTA'} <= set(results)


def test_errors_are_one_line(tmp_path):
    for arguments, message in (
        (['--config-file', 'gone.yaml'], "train_detectron2: config 'gone.yaml' does not exist"),
        (
            ['--config-file', LITE, '--num-gpus', '999'],
            'train_detectron2: --num-gpus 999, but this machine has',
        ),
        (
            ['--config-file', LITE, '--num-gpus', '0', 'DATASETS.TRAIN', "('nothing',)"],
            "train_detectron2: data set 'nothing' of DATASETS is neither",
        ),
        (
            ['--config-file', LITE, '--num-gpus', '0', '--eval-only', 'MODEL.WEIGHTS', 'gone.pth'],
            'train_detectron2: MODEL.WEIGHTS: gone.pth does not exist',
        ),
    ):
        with pytest.raises(SystemExit, match=message):
            output = ['OUTPUT_DIR', str(tmp_path)] if len(arguments) > 4 else []
            train_detectron2.main([*arguments, *output])


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'tiny.pth'
    torch.save({'model': build(tiny_config()).state_dict()}, path)
    return path


def test_show_and_dump(people_folder, checkpoint, tmp_path, capsys):
    images = people_folder / 'images'
    options = texts(*TINY, 'MODEL.ROI_HEADS.SCORE_THRESH_TEST', 0.0)
    arguments = [LITE, str(checkpoint), str(images), *options, '--batch-size', '3', '--out']
    assert apply_detectron2.main(['dump', *arguments, str(tmp_path / 'dump')]) == 0
    records = load_predictions(tmp_path / 'dump' / 'predictions.npz')
    assert len({record.image_id for record in records}) == 4
    assert [path.name for path in (tmp_path / 'dump').iterdir()] == ['predictions.npz']

    # One at a time, with the boxes that were found: the same meshes, and pictures of them.
    boxes = tmp_path / 'boxes.json'
    boxes.write_text(
        json.dumps(
            [
                dict(
                    image_id=record.image_id,
                    category_id=1,
                    score=record.score,
                    bbox=[*record.box[:2].tolist(), *(record.box[2:] - record.box[:2]).tolist()],
                )
                for record in records
            ]
        )
    )
    arguments[arguments.index('3')] = '1'
    assert (
        apply_detectron2.main(
            ['show', *arguments, str(tmp_path / 'show'), '--boxes', str(boxes), '--meshes', 'ply']
        )
        == 0
    )
    again = load_predictions(tmp_path / 'show' / 'predictions.npz')
    assert len(again) == len(records)
    for one, other in zip(records, again):
        assert one.image_id == other.image_id and one.score == pytest.approx(other.score)
        np.testing.assert_allclose(one.vertices, other.vertices, atol=0.05)
    assert len(list((tmp_path / 'show' / 'overlays').iterdir())) == 4
    assert len(list((tmp_path / 'show' / 'meshes').iterdir())) == len(records)
    with pytest.raises(SystemExit, match='apply_detectron2: checkpoint .*gone.pth does not exist'):
        apply_detectron2.main(['dump', LITE, 'gone.pth', str(images), *options])


def test_a_bad_image_does_not_spoil_its_batch(people_folder, checkpoint, tmp_path):
    import shutil

    folder = tmp_path / 'images'
    shutil.copytree(people_folder / 'images', folder)
    (folder / 'broken.jpg').write_bytes(b'\xff\xd8 no more')
    options = texts(*TINY, 'MODEL.ROI_HEADS.SCORE_THRESH_TEST', 0.0)
    assert (
        apply_detectron2.main(
            [
                'dump',
                LITE,
                str(checkpoint),
                str(folder),
                *options,
                '--batch-size',
                '8',
                '--out',
                str(tmp_path / 'out'),
            ]
        )
        == 1
    )
    assert len({r.image_id for r in load_predictions(tmp_path / 'out' / 'predictions.npz')}) == 4


def test_any_predictor_is_a_person_detector():
    class Predictor:
        def __call__(self, bgr):
            assert bgr[0, 0].tolist() == [3, 2, 1]
            return dict(
                instances=Instances(
                    bgr.shape[:2],
                    pred_boxes=Boxes(torch.tensor([[0.0, 0, 5, 5], [1, 1, 6, 6], [2, 2, 7, 7]])),
                    scores=torch.tensor([0.6, 0.9, 0.4]),
                    pred_classes=torch.tensor([2, 2, 2]),
                )
            )

    detector = PredictorDetector(Predictor(), person_class=2)
    image = np.full((10, 12, 3), [1, 2, 3], np.uint8)
    boxes, scores = detector.detect(image)
    assert isinstance(detector, PersonDetector)
    assert boxes.tolist() == [[1, 1, 6, 6], [0, 0, 5, 5]] and scores.tolist() == pytest.approx([0.9, 0.6])
    assert len(PredictorDetector(Predictor(), person_class=0).detect(image)[0]) == 0


def test_a_mesh_model_lends_its_boxes_to_a_top_down_model(people_folder, checkpoint, tmp_path):
    """Detector by name -> COCO results of a data set -> boxes of a demo, and of MMPose's test set."""
    config = tmp_path / 'tiny.yaml'
    config.write_text(tiny_config().dump())
    detector = build_detector(f'detectron2:{config}', weights=str(checkpoint), score_threshold=0.0)
    annotations = people_folder / 'annotations.json'
    path = write_detections(detector, annotations, people_folder, tmp_path / 'detections.json')
    found = read_detections(path, annotations)
    assert len(found) == 4
    from meshpose_plugins.deploy.images import read_image

    for name, (boxes, scores) in found.items():
        expected, expected_scores = detector.detect(read_image(people_folder / 'images' / name))
        np.testing.assert_allclose(boxes, expected, atol=1e-3)
        np.testing.assert_allclose(scores, expected_scores)

    pytest.importorskip('mmpose')
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmpose.registry import DATASETS

    import meshpose_plugins.integrations.mmpose  # noqa: F401
    from meshpose_plugins.integrations.mmpose.commands import set_test_boxes

    test_set = dict(
        type='MeshPoseDataset',
        data_root=str(people_folder),
        ann_file='annotations.json',
        mesh_file='meshes.npz',
        data_prefix=dict(img=''),
        test_mode=True,
    )
    cfg = Config(dict(work_dir=str(tmp_path), test_dataloader=dict(dataset=test_set)))
    with pytest.raises(ValueError, match='--bbox-file or --detector, not both'):
        set_test_boxes(cfg, str(path), 'whole-image')
    set_test_boxes(cfg, None, 'whole-image')
    assert len(json.loads((tmp_path / 'detections.json').read_text())) == 4
    write_detections(detector, annotations, people_folder, path)
    set_test_boxes(cfg, str(path))
    init_default_scope('mmpose')
    boxes = DATASETS.build(cfg.test_dataloader.dataset)
    assert len(boxes) == sum(len(scores) for _, scores in found.values())


def test_without_detectron2_the_error_says_how_to_install_it():
    code = '''
import sys
sys.modules["detectron2"] = None
try:
    import meshpose_plugins.integrations.detectron2
except ImportError as error:
    print(error)
from meshpose_plugins.detection import build_detector
try:
    build_detector("detectron2")
except ImportError as error:
    print(error)
'''
    out = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(out) == 2
    for line in out:
        assert "pip install --no-build-isolation 'git+https://github.com/facebookresearch/detectron2'" in line


def test_no_device_is_written_into_the_code():
    from pathlib import Path

    import meshpose_plugins.integrations.detectron2 as room

    for path in Path(room.__file__).parent.glob('*.py'):
        text = path.read_text()
        assert '.cuda(' not in text and 'pickle' not in text.replace('pickled', ''), path.name
