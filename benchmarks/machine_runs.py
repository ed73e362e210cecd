"""Many small runs on one stand-in machine, each in a folder of its own, in one process.

`python -m benchmarks.machine_runs FOLDER JOBS.json` is what `across_machines.py` starts with the
machine's environment. A job names its folder, family, seed, fault and where that begins.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

import stages  # noqa: F401  (settings that must precede torch)

FAMILIES: dict[str, dict[str, Any]] = {
    "convolutional": {"model": "timm/test_resnet",
                      "train": {"optimizer": "sgd", "lr": 0.05, "momentum": 0.9, "ema": None}},
    "transformer": {"model": "vit_2l_2h_128", "input_size": 14,
                    "train": {"optimizer": "adamw", "lr": 0.001, "ema": 0.99}},
    "plain": {"model": "lenet_small",
              "train": {"optimizer": "sgd", "lr": 0.02, "momentum": 0.9, "ema": 0.99}},
}  # fmt: skip
HAS = {
    "convolutional": ("sgd", "norms", "clip"),
    "transformer": ("adamw", "GELU", "clip", "ema"),
    "plain": ("sgd", "clip", "ema"),
}
"""What faults of a family's runs need."""
SHARED: dict[str, Any] = {
    "device": "cpu", "threads": 1, "input_size": 16,
    "dataset": {"name": "image_folder"},
    "train": {"epochs": 5, "batch_size": 32, "augment": ["crop", "flip"], "grad_clip": 1.0},
    "evaluate": {"batch_size": 64}, "profile": {"variants": []},
}  # fmt: skip
EPOCHS, STEPS = 5, 10


def params_of(folder: Path, family: str, seed: int, changes: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a run whose pictures lie in `folder`."""
    chosen, train = FAMILIES[family], changes.pop("train", {})
    validated = {"val": 0.1} if family == "convolutional" else {"val": 0}
    return {
        **SHARED, **chosen, "seed": seed,
        "dataset": {"name": "image_folder", "folder": str(folder / "pictures")},
        "subset": {"train": 320, **validated},
        **changes,
        "train": SHARED["train"] | chosen["train"] | train,
    }  # fmt: skip


def begin_of(moment: str) -> int:
    """The step (from 0) from which a fault acts."""
    return {"middle": 23, "last epoch": (EPOCHS - 1) * STEPS}.get(moment, 0)


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run_job(root: Path, common: Path, job: dict[str, Any]) -> None:
    """Train and evaluate one run; subset and DNA were made before, in `common`."""
    from benchmarks.held_out_faults import HELD_OUT
    from benchmarks.later_faults import LATER_FAULTS
    from benchmarks.planting import planted
    from stages.core.params import load_params
    from stages.evaluate import evaluate
    from stages.measures.interpretation import album
    from stages.subset import subset
    from stages.train import train

    folder = root / job["folder"]
    if (folder / "metrics/evaluate.json").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(common, folder)
    with _inside(folder), tempfile.TemporaryDirectory() as kept:
        os.environ["DVC_ROOT"] = kept
        values = params_of(root, job["family"], job["seed"], dict(job.get("changes", {})))
        Path("params.yaml").write_text(yaml.safe_dump(values))
        params = load_params("params.yaml")
        subset(params)
        fault = (LATER_FAULTS | HELD_OUT)[job["fault"]] if job.get("fault") else None
        held = planted(fault, begin_of(job["begins"])) if fault else nullcontext()
        drawn = [patch.object(album, name, lambda *_: {}) for name in ("pictures_of_test",)]
        drawn.append(patch.object(album, "augmentation_picture", lambda *_: _Nothing()))
        drawn.append(patch("stages.charts.style.save", lambda *_: None))
        for each in drawn:
            each.start()
        Path("plots/pictures").mkdir(parents=True)  # none are drawn
        with held:
            train(params)
            evaluate(params)
        for each in drawn:
            each.stop()
    (folder / "data/predictions.csv").unlink()


class _Nothing:
    """In place of a picture."""


def prepare(common: Path, root: Path, changes: dict[str, Any]) -> None:
    """What all runs on this machine share: the list of pictures and the DNA."""
    from stages.core.params import load_params
    from stages.download import download
    from stages.fingerprint import fingerprint

    with _inside(common):
        os.environ["DVC_ROOT"] = str(common)
        values = params_of(root, "plain", 0, changes)
        Path("params.yaml").write_text(yaml.safe_dump(values))
        params = load_params("params.yaml")
        download(params)
        fingerprint(params)


def main() -> None:
    """Run the jobs of a file."""
    root, jobs = Path(sys.argv[1]).resolve(), json.loads(Path(sys.argv[2]).read_text())
    with tempfile.TemporaryDirectory() as temporary:
        common = Path(temporary) / "common"
        prepare(common, root, dict(jobs[0].get("changes", {})) if jobs else {})
        for job in jobs:
            run_job(root, common, job)
            sys.stderr.write(f"{job['folder']}\n")


if __name__ == "__main__":
    main()
