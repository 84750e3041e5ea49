"""MixtureSampler under MMEngine's runner: one process and two, by iterations and by epochs, and resumed."""
from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("mmpose")

from meshpose_plugins.integrations.mmpose.mixture import MixtureSampler  # noqa: E402

import mixture_runs as runs  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]


def check_order(result: dict) -> None:
    """The stopped run and its continuation drew what the whole run drew, in the ratio 3 : 1 in each batch."""
    assert result["begun"] + result["resumed"] == result["whole"]
    assert len(result["whole"]) == runs.ITERATIONS
    for batch in result["whole"]:
        assert sum(number >= 100 for number in batch) == 1 and len(batch) == runs.BATCH


def test_a_resumed_run_goes_on_in_the_same_order(tmp_path):
    result = runs.three_runs(tmp_path)
    check_order(result)
    first = Counter(number for batch in result["whole"][:7] for number in batch if number < 100)
    assert len(first) == 21 and set(first.values()) == {1}, "all samples of a set before any comes again"


def test_epochs_of_a_chosen_length(tmp_path):
    result = runs.three_runs(tmp_path, by_epoch=True, epoch_length=12, stop=6)
    check_order(result)


def test_a_loop_over_iterations_takes_epochs_too(tmp_path, monkeypatch):
    monkeypatch.setattr("mmengine.runner.loops.time.sleep", lambda seconds: None)
    result = runs.three_runs(tmp_path, epoch_length=24)
    check_order(result)


def test_two_processes_share_the_order_and_resume_it(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = dict(os.environ, OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="",
                       PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port",
               str(port), str(Path(runs.__file__)), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    results = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)]
    for result in results:
        check_order(result)
    together = [number for batch in zip(*(result["whole"][:3] for result in results)) for part in batch
                for number in part if number < 100]
    assert len(together) == len(set(together)) == 18, "no sample twice in a turn, in whichever process"


def test_bad_settings_are_named():
    dataset = SimpleNamespace(datasets=[range(3), range(4)])
    with pytest.raises(ValueError, match=r"MixtureSampler: ratio must have one number per data set \(2\)"):
        MixtureSampler(dataset, ratio=[1])
    with pytest.raises(ValueError, match="epoch_length must be at least 1 or None, got 0"):
        MixtureSampler(dataset, epoch_length=0)
    sampler = MixtureSampler(dataset, epoch_length=3)
    with pytest.raises(ValueError, match="leaves 3 samples per process and epoch, fewer than batch_size=4"):
        sampler.go_on(1, 4, drop_last=True)
    assert len(sampler) == 3 and len(MixtureSampler(dataset)) == 7
    assert sorted(MixtureSampler(range(5), epoch_length=5)) == list(range(5))
