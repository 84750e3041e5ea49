"""The train and test commands on a tiny synthetic data set: losses fall, runs resume, two processes work."""
from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config

import meshpose_plugins.integrations.mmpose  # noqa: F401  registers all parts
from meshpose_plugins.cli import test as test_command
from meshpose_plugins.cli import train as train_command
from meshpose_plugins.data.synthetic import SyntheticSettings, make_synthetic
from meshpose_plugins.evaluation.predictions import load_predictions
from meshpose_plugins.integrations.mmpose.loops import ResumableIterLoop
from mmpose.apis import init_model

ROOT = Path(__file__).resolve().parents[3]
CONFIG = ROOT / "configs/mmpose/meshpose_mobilenetv2_lite_128x96.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module")
def data(folder):
    make_synthetic(folder / "people", 8, SyntheticSettings(seed=3), backgrounds="procedural", progress=False)
    return folder / "people"


@pytest.fixture(scope="module")
def config(folder, data):
    """The lite config on 8 people, without workers and augmentation, logging every iteration."""
    config = Config.fromfile(str(CONFIG))
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = f"{data}/"
        loader.update(batch_size=8, num_workers=0, persistent_workers=False)
    config.train_dataloader.dataset.pipeline = config.val_pipeline
    config.train_cfg.update(max_iters=16, val_interval=16)
    config.param_scheduler = [dict(type="ConstantLR", factor=1.0, by_epoch=False)]
    config.default_hooks.logger.interval = 1
    config.default_hooks.checkpoint.interval = 16
    path = folder / "tiny.py"
    config.dump(str(path))
    return path


@pytest.fixture(scope="module")
def trained(config, folder):
    """A finished run's folder."""
    work_dir = folder / "run"
    assert train_command.main([str(config), "--work-dir", str(work_dir)]) == 0
    return work_dir


def logged(work_dir: Path, name: str) -> list:
    """Values of one name in the logs of all runs in a work dir, by time."""
    pattern = re.compile(rf"(?:^|\s){re.escape(name)}: ([\d.e+-]+)")
    lines = [line for path in sorted(work_dir.glob("*/*.log")) for line in path.read_text().splitlines()]
    return [float(match[1]) for line in lines if " Iter(" in line for match in [pattern.search(line)] if match]


def test_losses_fall_and_the_mesh_is_measured(trained):
    losses = logged(trained, "loss")
    assert len(losses) == 16
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
    assert logged(trained, "mesh/vertex_error_2d")
    assert list(trained.glob("best_mesh_vertex_error_2d_iter_16.pth"))
    assert list(trained.glob("*/vis_data/vis_image/*")), "no picture of the validation"


def test_a_run_resumes_at_once(trained, config):
    torch.load(trained / "iter_16.pth", weights_only=True)
    before = logged(trained, "loss")
    train_command.main([str(config), "--work-dir", str(trained), "--resume", "--no-validate", "--cfg-options",
                        "train_cfg.max_iters=18"])
    assert (trained / "iter_18.pth").is_file()
    resumed = logged(trained, "loss")[len(before):]
    assert len(resumed) == 2
    assert resumed[0] < 0.9 * before[0]


def test_checkpoint_is_tested_and_predictions_are_written(trained, config, folder, capsys):
    checkpoint, = trained.glob("best_*.pth")
    out, dump = folder / "metrics.json", folder / "predictions.npz"
    assert test_command.main([str(config), str(checkpoint), "--work-dir", str(folder / "test"),
                              "--out", str(out), "--dump", str(dump)]) == 0
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert str(folder / "test") in last and f"metrics in {out}, predictions in {dump}" in last
    metrics = json.loads(out.read_text())
    measured = logged(trained, "mesh/vertex_error_2d")[0]
    assert metrics["mesh/vertex_error_2d"] == pytest.approx(measured, rel=1e-3)
    assert len(load_predictions(dump)) == 8


def test_mixed_precision_on_a_cpu(config, folder):
    work_dir = folder / "amp"
    train_command.main([str(config), "--work-dir", str(work_dir), "--amp", "--no-validate", "--cfg-options",
                        "train_cfg.max_iters=3", "default_hooks.checkpoint.interval=1000"])
    losses = logged(work_dir, "loss")
    assert len(losses) == 3 and losses[-1] < losses[0]


def test_two_processes_train_the_same_weights(config, folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    work_dir = folder / "two"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2",
               "--master_port", str(port), str(ROOT / "tools/train.py"), str(config), "--launcher", "pytorch",
               "--work-dir", str(work_dir), "--cfg-options", "train_cfg.max_iters=2",
               "train_cfg.val_interval=2", "train_dataloader.batch_size=4", "val_dataloader.batch_size=4",
               # Frozen parameters have to be known before the model is wrapped, or the second step fails.
               "model.backbone.frozen_stages=2"]
    environment = dict(os.environ, OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="",
                       PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (work_dir / "iter_2.pth").is_file()
    assert len(logged(work_dir, "loss")) == 2
    assert logged(work_dir, "mesh/vertex_error_2d")
    # Written after the processes have averaged their buffers: it is still one of the template.
    best, = work_dir.glob("best_*.pth")
    model = init_model(str(CONFIG), str(best), device="cpu")
    assert model.head.template.name == "anny"


def test_config_without_registration_names_the_line(folder, config):
    path = folder / "forgotten.py"
    forgotten = Config.fromfile(str(config))
    forgotten.pop("custom_imports")
    forgotten.dump(str(path))
    for command, arguments in ((train_command, []), (test_command, ["x.pth"])):
        with pytest.raises(SystemExit) as error:
            command.main([str(path), *arguments])
        assert "forgotten.py" in str(error.value)
        assert "custom_imports = dict(imports=['meshpose_plugins.integrations.mmpose']" in str(error.value)


def test_errors_in_data_and_checkpoints_are_one_line(folder, config, data):
    broken = folder / "broken"
    broken.mkdir()
    (broken / "annotations.json").write_text((data / "annotations.json").read_text()[:1000])
    for root, message in ((folder / "nowhere", "annotations.json: no such"), (broken, "no valid JSON at line")):
        with pytest.raises(SystemExit, match=f"^train: .*{message}"):
            train_command.main([str(config), "--work-dir", str(folder / "bad"), "--cfg-options",
                                f"train_dataloader.dataset.data_root={root}/"])
        with pytest.raises(SystemExit, match=f"^test: .*{message}"):
            test_command.main([str(config), str(CONFIG), "--work-dir", str(folder / "bad"), "--cfg-options",
                               f"test_dataloader.dataset.data_root={root}/"])
    for command, option in ((test_command, []), (train_command, ["--resume"])):
        with pytest.raises(SystemExit, match="checkpoint gone.pth does not exist"):
            command.main([str(config), *option, "gone.pth", "--work-dir", str(folder / "bad")])


def test_errors_of_workers_are_one_line(config, data, folder, monkeypatch):
    work_dir = folder / "workers"
    people = folder / "without_picture"
    shutil.copytree(data, people)
    next((people / "images").iterdir()).unlink()
    checkpoint = folder / "empty.pth"
    torch.save(dict(state_dict={}, meta={}), checkpoint)
    with pytest.raises(SystemExit) as error:
        test_command.main([str(config), str(checkpoint), "--work-dir", str(work_dir), "--cfg-options",
                           f"test_dataloader.dataset.data_root={people}/", "test_dataloader.num_workers=1"])
    assert "Traceback" not in str(error.value) and "without_picture/images" in str(error.value)


def test_the_order_after_a_resumption_keeps_diff_rank_seed():
    asked = {}
    runner = SimpleNamespace(seed=5, _randomness_cfg=dict(diff_rank_seed=True),
                             build_dataloader=lambda config, **options: asked.update(options, config=config))
    loop = ResumableIterLoop.__new__(ResumableIterLoop)
    loop._runner, loop._iter, loop.dataloader_cfg = runner, 7, dict(sampler=dict(type="InfiniteSampler"))
    loop._dataloader_from_here()
    assert asked["diff_rank_seed"] is True and asked["seed"] == 12
    assert asked["config"]["sampler"]["seed"] >= 7, "the samplers of all processes share a seed"
    runner._randomness_cfg = {}
    loop._dataloader_from_here()
    assert asked["diff_rank_seed"] is False and asked["config"] == loop.dataloader_cfg


def test_bad_arguments_are_named(folder, config):
    broken = folder / "broken.py"
    broken.write_text("model = dict(\n")
    with pytest.raises(SystemExit, match="^train: config .*broken.py: no valid Python at line 1: '\\(' was never"):
        train_command.main([str(broken)])
    above = folder / "above.py"
    above.write_text("_base_ = ['./broken.py']\n")
    with pytest.raises(SystemExit, match="above.py: in a file of its _base_: no valid Python at line 1"):
        train_command.main([str(above)])
    cut = folder / "cut.json"
    cut.write_text('{"model": ')
    with pytest.raises(SystemExit, match="^train: config .*cut.json: cannot be read: "):
        train_command.main([str(cut)])
    with pytest.raises(SystemExit, match="config .*nothing.py does not exist"):
        train_command.main([str(folder / "nothing.py")])
    with pytest.raises(SystemExit, match="--dump x.pkl: the name must end with .npz or .json"):
        test_command.main([str(config), "x.pth", "--dump", "x.pkl"])
