"""A small run in a folder of its own, its stages called in this process, and what comes of each.

For `fuzz.py`: every stage is called as its command line does, so that a user's error is a paragraph
and an exit status, and whatever else escapes is a traceback.
"""

import contextlib
import io
import os
import shutil
import traceback
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.small_run import make_pictures
from stages.core.device import prepare
from stages.core.files import write_json
from stages.core.metrics import read_metrics
from stages.core.params import parse_params
from stages.dna.declared import read_declared
from stages.download import download
from stages.evaluate import evaluate
from stages.fingerprint import fingerprint
from stages.profile import profile
from stages.report import report
from stages.runs.stage import run_stage
from stages.subset import subset
from stages.train import train

ROOT = Path(__file__).resolve().parent.parent
STAGES: dict[str, Callable[..., None]] = {
    "fingerprint": fingerprint, "download": download, "subset": subset, "train": train,
    "evaluate": evaluate, "profile": profile, "report": report,
}  # fmt: skip
PARAMS: dict[str, Any] = {
    "model": "lenet_small",
    "device": "cpu",
    "dataset": {"name": "image_folder", "folder": "pictures"},
    "input_size": 16,
    "train": {"epochs": 2, "batch_size": 16, "checkpoint_steps": 1},
    "profile": {"seconds": 0.01, "batch_sizes": [1], "variants": []},
}
VARYING = ("resident", "energy", "seconds", "per_second", "_ms", "latency", "throughput", "memory",
           "spread", "best", "note", "load", "variants", "sha256")  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """`kind` is fine, refused, or traceback; `said` the paragraph or the last frames."""

    kind: str
    said: str = ""


@contextlib.contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    """Work there as in the root of a repository of its own."""
    before, variable = Path.cwd(), os.environ.get("DVC_ROOT")
    os.chdir(folder)
    os.environ["DVC_ROOT"] = str(folder)
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.pop("DVC_ROOT") if variable is None else os.environ.update(DVC_ROOT=variable)


def outcome_of(work: Callable[[], int]) -> Outcome:
    """Call what returns an exit status."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            status = work()
    except SystemExit as error:
        return Outcome("refused", str(error))
    except Exception:
        return Outcome("traceback", "".join(traceback.format_exc().splitlines(keepends=True)[-9:]))
    return Outcome("refused" if status else "fine", said.getvalue())


def run(stage: str) -> Outcome:
    """One stage in the working directory."""
    return outcome_of(lambda: run_stage(STAGES[stage], []))


def make_run(folder: Path, stages: Collection[str], images: int = 12) -> None:
    """These stages of a small run of four classes; raises RuntimeError when one is not fine."""
    folder.mkdir(parents=True)
    make_pictures(folder / "pictures", train=images, test=images // 2)
    for name in ("dvc.yaml", "targets.yaml"):
        shutil.copy(ROOT / name, folder)
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    params = parse_params(PARAMS, "PARAMS")
    declared = read_declared(params, prepare(params))  # of the fingerprint, which may not be taken
    write_json(folder / "metrics/identity.json", declared.identity())
    with in_folder(folder):
        for stage in stages:
            if (found := run(stage)).kind != "fine":
                raise RuntimeError(f"{stage}: {found.said}")


def results(folder: Path) -> dict[str, Any]:
    """What a run found, without times and what depends on them; and the bytes of its tables."""
    found: dict[str, Any] = {}
    for path in sorted((folder / "metrics").glob("*.json")):
        if path.name in ("code.json", "steps.json", "hardware.json", "identity.json"):
            found[path.name] = path.read_bytes()
        else:
            values = read_metrics(path)
            found[path.name] = {
                key: value for key, value in values.items() if not any(v in key for v in VARYING)
            }
    tables = ("data/pool.csv", "data/indices.csv", "data/predictions.csv", "plots/per_class.csv",
              "plots/reliability.csv", "plots/predictions.csv", "data/weights.safetensors",
              "data/manifest.json", "plots/trace.csv")  # fmt: skip
    return found | {name: (folder / name).read_bytes() for name in tables}


def page_of(folder: Path) -> list[str]:
    """The report's lines."""
    return (folder / "report/report.md").read_text().splitlines()


def flipped(content: bytes, draws: np.random.Generator) -> bytes:
    """One bit flipped somewhere."""
    if not content:
        return b"\0"
    place = int(draws.integers(len(content)))
    return (
        content[:place]
        + bytes([content[place] ^ 1 << int(draws.integers(8))])
        + content[place + 1 :]
    )
