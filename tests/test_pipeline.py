"""The pipeline as a user runs it: DVC's own commands in a clone of this repository."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
QUICK = {
    "model": "lenet_small",
    "train": {"epochs": 2},
    "profile": {"seconds": 0.05, "batch_sizes": [1], "variants": []},
}
Dvc = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the working tree with a quick recipe, committed, and nothing run in it."""
    folder = tmp_path_factory.mktemp("clone")
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\n")  # fmt: skip
    for name in tracked:
        source = ROOT / name
        results = name.startswith(("metrics/", "plots/", "studies/")) or name == "dvc.lock"
        if name and source.is_file() and not results:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(source.read_bytes())
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for key, value in QUICK.items():
        params[key] = {**params[key], **value} if isinstance(value, dict) else value
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run([*git, *arguments], cwd=folder, check=True)
    for key, value in (("user.name", "test"), ("user.email", "test@localhost")):
        subprocess.run(["git", "config", key, value], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def dvc(clone: Path) -> Dvc:
    """Run a DVC command in the clone; fails the test when the exit status is not `status`."""

    def run(*arguments: str, status: int = 0, **environment: str) -> Any:
        done = subprocess.run(
            [str(BIN / "dvc"), *arguments], cwd=clone, capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **environment},
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


def stages_run(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """The stages whose command was run, in order."""
    lines = done.stdout.splitlines()
    return [line.split("'")[1] for line in lines if line.startswith("Running stage")]


def metrics(clone: Path, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((clone / "metrics" / f"{name}.json").read_text())
    return loaded


def test_the_pipeline_from_clone_to_another_machine_and_back(clone: Path, dvc: Dvc) -> None:
    everything = ["fingerprint", "download", "subset", "train", "evaluate", "profile", "report"]
    assert sorted(stages_run(dvc("repro"))) == sorted(everything)
    here = metrics(clone, "train")
    page = (clone / "report/index.html").read_text()
    assert metrics(clone, "hardware")["id"] in page
    assert "http://" not in page.replace("http://www.w3.org/", "")

    assert stages_run(dvc("repro")) == ["fingerprint"]
    git = ["git", "commit", "-qam", "results"]
    subprocess.run(["git", "add", "-A"], cwd=clone, check=True)
    subprocess.run(git, cwd=clone, check=True)

    other = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"}
    elsewhere = stages_run(dvc("repro", **other))
    assert {"train", "evaluate", "profile"} <= set(elsewhere)
    assert not {"download", "subset"} & set(elsewhere)
    there = metrics(clone, "train")
    assert there["initial_weights_hash"] == here["initial_weights_hash"]
    differences = dvc("metrics", "diff").stdout
    assert "metrics/hardware.json" in differences

    back = dvc("repro")  # the first machine's results come out of the run cache, timings included
    assert stages_run(back) == ["fingerprint"]
    assert metrics(clone, "train") == here


@pytest.mark.parametrize(
    ("change", "spared"),
    [
        ("train.epochs=3", {"download", "subset", "profile"}),
        ("seed=7", {"download", "subset"}),
        ("subset.seed=5", {"download", "profile"}),
        ("evaluate.batch_size=100", {"download", "subset", "profile"}),
        ("profile.seconds=0.06", {"download", "subset", "train", "evaluate"}),
    ],
)
def test_a_change_repeats_only_what_depends_on_it(
    change: str, spared: set[str], clone: Path, dvc: Dvc
) -> None:
    """As dvc.yaml declares it; what DVC makes of it is DVC's and tested there."""
    pipeline = yaml.safe_load((clone / "dvc.yaml").read_text())["stages"]
    key = change.partition("=")[0]
    touched = {
        name
        for name, stage in pipeline.items()
        if any(key == param or key.startswith(f"{param}.") for param in stage.get("params", []))
    }
    made = {name: _outputs(stage) for name, stage in pipeline.items()}
    while True:
        downstream = {
            name
            for name, stage in pipeline.items()
            if any(set(stage["deps"]) & made[source] for source in touched - {"fingerprint"})
        }
        if downstream <= touched:
            break
        touched |= downstream
    assert not touched & spared


def test_the_look_of_the_report_does_not_retrain(clone: Path) -> None:
    pipeline = yaml.safe_load((clone / "dvc.yaml").read_text())["stages"]
    look = {"stages/templates", "stages/reporting", "stages/charts", "targets.yaml"}
    assert not look & set(pipeline["train"]["deps"])


def _outputs(stage: dict[str, Any]) -> set[str]:
    listed = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    return {entry if isinstance(entry, str) else next(iter(entry)) for entry in listed}


def test_one_failing_experiment_does_not_stop_the_queue(clone: Path, dvc: Dvc) -> None:
    dvc("repro")
    dvc("exp", "run", "--queue", "-S", "model=lenet_smal,lenet_small", "-S", "train.epochs=1")
    dvc("queue", "start")
    deadline = time.monotonic() + 240
    while any(state in dvc("queue", "status").stdout for state in ("Queued", "Running")):
        assert time.monotonic() < deadline, "the queue does not come to an end"
        time.sleep(1)
    states = dvc("queue", "status").stdout
    assert states.count("Failed") == 1
    assert states.count("Success") == 1
    failed = next(line for line in states.splitlines() if "Failed" in line).split()[0]
    log = dvc("queue", "logs", failed).stdout
    assert '`model` is "lenet_smal". Did you mean lenet_small?' in " ".join(log.split())
    assert "Traceback" not in log


def test_two_pipelines_at_once_do_not_mix(clone: Path, dvc: Dvc) -> None:
    """The second one is refused by DVC's lock, or waits; what the first makes stays whole."""
    params = yaml.safe_load((clone / "params.yaml").read_text())
    params["seed"] = 11
    (clone / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    both = [
        subprocess.Popen(
            [str(BIN / "dvc"), "repro"], cwd=clone, env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [process.communicate()[1] for process in both]
    assert 0 in [process.returncode for process in both]
    assert not any("Traceback" in line for line in said)
    dvc("repro")
    assert metrics(clone, "train")["epochs_run"] == 2


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_stage_leaves_nothing_that_looks_finished(
    signal_name: str, clone: Path, dvc: Dvc
) -> None:
    """Ctrl-C in the middle of training: no weights, no metrics; the next run goes on."""
    dvc("repro")
    for made in ("data/weights.safetensors", "metrics/train.json"):
        (clone / made).unlink()
    long = yaml.safe_load((clone / "params.yaml").read_text())
    long["train"] |= {"epochs": 60, "warmup_epochs": 1}
    (clone / "long.yaml").write_text(yaml.safe_dump(long))
    command = [sys.executable, "-m", "stages.train", "--params", "long.yaml"]
    process = subprocess.Popen(
        command, cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    seen = [process.stdout.readline() for _ in range(4)]
    process.send_signal(getattr(signal, signal_name))
    _, complaint = process.communicate()
    assert process.returncode == 130, complaint
    assert "run the same command again" in " ".join(complaint.split())
    assert not (clone / "data/weights.safetensors").exists()
    assert not (clone / "metrics/train.json").exists()
    assert seen[0].startswith("training lenet_small (0.06 M parameters)")
    assert "left" in seen[-1]
    again = subprocess.Popen(command, cwd=clone, stdout=subprocess.PIPE, text=True)
    assert again.stdout is not None
    assert [again.stdout.readline() for _ in range(2)][1].startswith("going on after epoch")
    again.kill()
    again.communicate()


def stage(clone: Path, name: str, change: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    """Run a stage by itself with changed parameters."""
    params = yaml.safe_load((clone / "params.yaml").read_text())
    for key, value in change.items():
        params[key] = {**params[key], **value} if isinstance(value, dict) else value
    (clone / "changed.yaml").write_text(yaml.safe_dump(params))
    return subprocess.run(
        [sys.executable, "-m", f"stages.{name}", "--params", "changed.yaml"],
        cwd=clone, capture_output=True, text=True, check=False,
    )  # fmt: skip


MISTAKES = {
    "unknown model": ("train", {"model": "resnet81"}, "Did you mean resnet18?"),
    "unknown data set": ("download", {"dataset": {"name": "cifar"}}, "Did you mean cifar10?"),
    "unknown key": ("subset", {"sed": 1}, "Did you mean `seed`?"),
    "too many images": ("subset", {"subset": {"train": 100_000}}, "subset.train"),
    "zero images": ("subset", {"subset": {"train": 0}}, "at least one image is needed"),
    "absent device": ("train", {"device": "cuda:7"}, "Set `device: auto`"),
    "diverging": ("train", {"train": {"lr": 1e30}}, "became nan in epoch 1, step"),
    "unreachable weights": ("train", {"pretrained": "gone.safetensors"}, "gone.safetensors"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_paragraph_and_leaves_no_result(
    mistake: str, clone: Path, dvc: Dvc
) -> None:
    name, change, told = MISTAKES[mistake]
    if not (clone / "metrics/identity.json").exists():
        dvc("repro", "fingerprint", "subset")
    (clone / "metrics/train.json").unlink(missing_ok=True)
    done = stage(clone, name, change)
    complaint = " ".join(done.stderr.split())
    assert done.returncode == 1, complaint
    assert complaint.startswith("error: ")
    assert told in complaint
    assert "Traceback" not in complaint
    assert not (clone / "metrics/train.json").exists()


def test_an_interrupted_report_leaves_the_old_one_or_none(clone: Path, dvc: Dvc) -> None:
    dvc("repro")
    page = clone / "report/index.html"
    page.unlink()
    process = subprocess.Popen(
        [sys.executable, "-m", "stages.report"], cwd=clone, stdout=subprocess.DEVNULL
    )
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    assert process.wait() != 0
    assert not page.exists()
    assert not list(page.parent.glob("*.tmp*"))
