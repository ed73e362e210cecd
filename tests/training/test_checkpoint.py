"""Checkpoints: killed at any instant a run ends as if it never stopped; damage is passed over."""

import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from stages.core.cli import reporting_errors
from stages.core.errors import TrainingError
from stages.training import checkpoint
from stages.training.checkpoint import Checkpoints, run_key
from stages.training.trace import hash_tensors
from tests.training.helpers import params, run

RECIPE = {
    "epochs": 6,
    "optimizer": "sgd",
    "lr": 0.02,
    "schedule": "one_cycle",
    "ema": 0.9,
    "augment": ["crop", "mixup"],
    "dropout": 0.2,
    "checkpoint_steps": 2,
}


def train_and_tell(dvc_root: Path, told: Path) -> None:
    """What a child process does: train, and write what a user would see, and the final hash."""
    os.environ["DVC_ROOT"] = str(dvc_root)

    def tell(line: str) -> None:
        with told.open("a") as lines:
            lines.write(line + "\n")

    def train() -> int:
        done = run(params("mobilenet_v3_small", train=RECIPE), tell)
        tell("weights " + hash_tensors(sorted(done.trained.weights.items())))
        return 0

    sys.exit(reporting_errors(train))


@pytest.fixture(scope="module")
def start() -> Callable[[Path, Path], BaseProcess]:
    """Start a training in a fresh process that has the libraries loaded already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.training.helpers", "timm"])

    def started(dvc_root: Path, told: Path) -> BaseProcess:
        process = context.Process(target=train_and_tell, args=(dvc_root, told))
        process.start()
        return process

    return started


def test_key_is_that_of_the_configuration() -> None:
    one = run_key(params(), {"data": "a"})
    assert one == run_key(params(), {"data": "a"})
    assert one == run_key(params(train={"checkpoint_steps": 3}), {"data": "a"})
    assert one != run_key(params(train={"trace_steps": 3}), {"data": "a"})  # or it had gaps
    assert one != run_key(params(), {"data": "b"})
    assert one != run_key(params(seed=5), {"data": "a"})
    assert one != run_key(params(train={"lr": 0.1}), {"data": "a"})


def test_newest_whole_checkpoint_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    said: list[str] = []
    with Checkpoints("key", said.append) as kept:
        assert kept.load() is None
        for step in (1, 2, 3):
            kept.save(step, {"value": step})
        files = sorted(kept.folder.glob("step-*"))
        assert len(files) == 2
        files[-1].write_bytes(files[-1].read_bytes()[:-5])
        assert kept.load() == (2, {"value": 2})
        assert "damaged" in said[0]
        kept.save(3, {"value": 3})  # the damaged one is gone: two whole ones remain
        assert sorted(path.name[:13] for path in kept.folder.glob("step-*")) == [
            "step-00000002", "step-00000003"
        ]  # fmt: skip
        kept.clear()
        assert kept.load() is None


def test_at_the_ends_of_epochs_they_take_a_twentieth_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    now = [100.0]

    def slow(self: Checkpoints, name: str, payload: memoryview, what: str) -> bool:
        now[0] += 2.0
        return True

    monkeypatch.setattr(Checkpoints, "_write", slow)
    monkeypatch.setattr(checkpoint.time, "perf_counter", lambda: now[0])
    kept = Checkpoints("key")
    assert kept.is_due()  # nothing is known of how long they take
    kept.save(1, {"value": 1})
    now[0] += 39
    assert not kept.is_due()
    now[0] += 1
    assert kept.is_due()


def test_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with Checkpoints("key"):  # noqa: SIM117
        with pytest.raises(TrainingError, match=f"Process {os.getpid()} is already training"):
            Checkpoints("key").__enter__()


def test_a_checkpoint_that_cannot_be_written_is_told_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    said: list[str] = []
    done = run(params(), said.append)
    assert len(done.trained.progress.history) == 2
    for what in ("checkpoint after step 6", "snapshot after step 6"):
        assert any(what in line and "No space left" in line for line in said)


def test_killed_at_random_instants_the_weights_are_the_same(
    tmp_path: Path, start: Callable[[Path, Path], BaseProcess]
) -> None:
    """Twelve kills, by SIGKILL, SIGTERM and Ctrl-C; now and then the newest file is cut short."""
    chance = random.Random(0)
    calm = tmp_path / "calm.txt"
    start(tmp_path / "calm", calm).join()
    undisturbed = calm.read_text().splitlines()[-1]
    root, kills, restarts = tmp_path / "stormy", 0, 0
    while kills < 12:
        told = tmp_path / f"told-{kills}-{restarts}.txt"
        process = start(root, told)
        process.join(chance.uniform(0.05, 1.2))
        if process.exitcode is not None:  # it came to its end before the signal: begin again
            assert told.read_text().splitlines()[-1] == undisturbed
            restarts += 1
            continue
        assert process.pid is not None
        os.kill(process.pid, chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
        process.join()
        kills += 1
        newest = sorted(root.glob(".work/checkpoints/*/step-*"))[-1:]
        if newest and chance.random() < 0.2:
            newest[0].write_bytes(newest[0].read_bytes()[: chance.randrange(1000)])
    last = tmp_path / "last.txt"
    start(root, last).join()
    assert last.read_text().splitlines()[-1] == undisturbed
    assert undisturbed.startswith("weights ")
