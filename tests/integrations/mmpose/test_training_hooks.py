"""Stages and loss weights in MMEngine's Runner: right in every iteration, also after a resumption."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

import meshpose_plugins.integrations.mmpose  # noqa: F401  registers all parts
from meshpose_plugins.data.synthetic import SyntheticSettings, make_synthetic
from meshpose_plugins.integrations.mmpose import LossWeightSchedule, StagedTraining

CONFIG = Path(__file__).resolve().parents[3] / "configs/mmpose/meshpose_mobilenetv2_lite_full_128x96.py"
FIRST = ["barycentric", "uv", "vertexpose", "heatmap"]


class Watch:
    """Notes what the hooks set, and the regression's state, in every iteration."""

    def __init__(self):
        self.rows = []

    def hook(self, runner):
        watch = self

        class WatchHook(Hook):
            priority = "LOWEST"

            def before_train_iter(self, runner, batch_idx, data_batch=None):
                head = runner.model.head
                regression = head.network.regression
                watch.rows.append(dict(
                    iteration=runner.iter, active=head.criterion.active, evaluates=not regression.training,
                    silhouette=head.criterion.losses["silhouette"].loss_weight,
                    backbone=next(runner.model.backbone.parameters()).detach().clone(),
                    trained={name for name, value in runner.model.named_parameters() if value.requires_grad},
                    state={name: value.clone() for name, value in regression.state_dict().items()}))

            def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
                watch.rows[-1]["outputs"] = {name: value.item() for name, value in outputs.items()}

        runner.register_hook(WatchHook())


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("staged")
    make_synthetic(folder / "people", 8, SyntheticSettings(seed=3), backgrounds="procedural", progress=False)
    config = Config.fromfile(str(CONFIG))
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = f"{folder / 'people'}/"
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
    config.train_cfg.update(max_iters=6, val_interval=3)
    config.param_scheduler = [dict(type="ConstantLR", factor=1.0, by_epoch=False)]
    config.default_hooks.checkpoint.update(interval=2, save_best=None, max_keep_ckpts=-1)
    config.default_hooks.logger.interval = 1
    staged = next(hook for hook in config.custom_hooks if hook.type == "StagedTraining")
    staged.stages[1].begin = 4
    factors = next(hook for hook in config.custom_hooks if hook.type == "LossWeightSchedule").factors
    factors.silhouette, factors.normal = [(2, 0.0), (6, 4.0)], [(0, 0.5)]
    config.work_dir = str(folder / "run")
    return config


def run(config, **changes):
    config = config.copy()
    config.update(changes)
    config.experiment_name = f"run_{len(changes)}"
    runner, watch = Runner.from_cfg(config), Watch()
    watch.hook(runner)
    runner.train()
    return runner, watch.rows


@pytest.fixture(scope="module")
def whole(config):
    return run(config)


def unchanged(rows):
    first, *others = (row["state"] for row in rows)
    return all(torch.equal(first[name], other[name]) for other in others for name in first)


def test_the_first_stage_trains_vertexpose_alone(whole):
    _, rows = whole
    assert [row["iteration"] for row in rows] == list(range(6))
    assert [row["active"] for row in rows] == [FIRST] * 4 + [None] * 2
    for row in rows[:4]:
        assert row["evaluates"], "also after the validation"
        for name, value in row["outputs"].items():
            assert name == "loss" or (value > 0) == (name.removeprefix("loss_") in FIRST), name
        assert not any("network.regression" in name for name in row["trained"])
        assert {"backbone.conv1.conv.weight", "head.network.vertexpose.conv.weight"} <= row["trained"]
    assert unchanged(rows[:5]) and not torch.equal(rows[0]["backbone"], rows[1]["backbone"])


def test_the_second_stage_trains_everything(whole):
    runner, rows = whole
    assert not rows[4]["evaluates"] and not unchanged(rows[4:])
    for row in rows[4:]:
        assert all(value > 0 for value in row["outputs"].values())
        assert row["trained"] == {name for name, _ in runner.model.named_parameters()}
    assert any("num_batches_tracked" in name for name in rows[4]["state"])
    assert all(parameter.requires_grad for parameter in runner.model.parameters())


def test_weights_follow_the_iteration(whole):
    runner, rows = whole
    assert [row["silhouette"] for row in rows] == pytest.approx([0, 0, 0, 0.1, 0.2, 0.3])
    assert runner.message_hub.get_scalar("train/weight/silhouette").current() == pytest.approx(0.3)
    assert rows[4]["outputs"]["loss_silhouette"] < 0.2
    assert runner.model.head.criterion.losses["silhouette"].loss_weight == pytest.approx(0.1), "given back"


def test_a_loss_that_the_config_switches_off_stays_off(whole):
    runner, hook = whole[0], LossWeightSchedule(dict(uv=[(0, 2.0)]))
    loss = runner.model.head.criterion.losses["uv"]
    full, loss.loss_weight = loss.loss_weight, 0.0
    hook.before_train(runner)
    hook.before_train_iter(runner, 0)
    assert loss.loss_weight == 0
    loss.loss_weight = full


@pytest.mark.parametrize("begin, active", [(2, FIRST), (4, None)])
def test_a_resumed_run_is_in_the_right_stage(whole, config, begin, active):
    _, before = whole
    _, rows = run(config, resume=True, load_from=f"{config.work_dir}/iter_{begin}.pth",
                  train_cfg=dict(config.train_cfg, max_iters=begin + 1), val_cfg=None, val_dataloader=None,
                  val_evaluator=None)
    row, = rows
    assert row["iteration"] == begin and row["active"] == active and row["evaluates"] == (active is not None)
    assert row["silhouette"] == pytest.approx(before[begin]["silhouette"])


def test_a_frozen_branch_passes_no_gradients_on(whole):
    runner, hook = whole[0], StagedTraining([dict(begin=0, frozen=["head.network.regression"])])
    regression = runner.model.head.network.regression
    feature = torch.randn(2, regression.in_channels, 8, 6, requires_grad=True)
    positions = torch.randn(2, 499, 2)
    hook.before_train(runner)
    hook.before_train_iter(runner, 0)
    assert not any(output.requires_grad for output in regression(feature, positions))
    hook.after_train(runner)
    assert all(output.requires_grad for output in regression(feature, positions))


def test_steps_and_ramps():
    pairs = dict(x=[(10, 1.0), (20, 3.0)])
    ramp, step = LossWeightSchedule(pairs), LossWeightSchedule(pairs, interpolation="step")
    iterations = (0, 10, 15, 19, 20, 99)
    assert [ramp.factor_at("x", i) for i in iterations] == pytest.approx([1, 1, 2, 2.8, 3, 3])
    assert [step.factor_at("x", i) for i in iterations] == [1, 1, 1, 1, 3, 3]


@pytest.mark.parametrize("build, message", [
    (lambda: LossWeightSchedule(dict(uv=[(5, 1.0), (5, 2.0)])), r"factors\['uv'\] must be pairs .*rising"),
    (lambda: LossWeightSchedule(dict(uv=[(0, -1.0)])), "factor >= 0"),
    (lambda: LossWeightSchedule({}, interpolation="cubic"), "interpolation='cubic'"),
    (lambda: StagedTraining([dict(begin=5)]), r"stages must begin at 0 .* got begin=\[5\]"),
    (lambda: StagedTraining([dict(begin=0), dict(losses=[])]), r"begin=\[0, None\]"),
    (lambda: StagedTraining([dict(begin=0, freeze=["backbone"])]), "got 'freeze'")])
def test_wrong_schedules_are_explained(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("hook, message", [
    (LossWeightSchedule(dict(silouette=[(0, 1.0)])), "no loss named 'silouette': the head has 'barycentric'"),
    (StagedTraining([dict(begin=0, losses=["vertices"])]), "no loss named 'vertices'"),
    (StagedTraining([dict(begin=0, frozen=["head.regression"])]), "no part named 'head.regression'")])
def test_wrong_names_are_explained(whole, hook, message):
    with pytest.raises(ValueError, match=message):
        hook.before_train(whole[0])


def test_several_processes_need_unused_parameters(whole, monkeypatch):
    from meshpose_plugins.integrations.mmpose import training_hooks
    monkeypatch.setattr(training_hooks, "is_model_wrapper", lambda model: True)
    runner = whole[0]
    monkeypatch.setattr(runner.model, "module", runner.model, raising=False)
    hook = StagedTraining([dict(begin=0, frozen=["backbone"])])
    with pytest.raises(ValueError, match="find_unused_parameters = True"):
        hook.before_train(runner)
