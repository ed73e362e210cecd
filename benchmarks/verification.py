"""What share of a run's processor time goes into verifying it, stage by stage.

`python benchmarks/verification.py [KEY=VALUE …]` runs the pipeline's stages in a folder of their
own, with the repository's parameters but for those that are given, such as
`dataset.name=image_folder dataset.folder=PICTURES`. Counted as verification are near-duplicates,
hashes of files, records and decoded pixels, and whether parameters or code were edited meanwhile.
DVC's own time is in neither figure. Exit status 0 when the share is below 3 %.
"""

import argparse
import functools
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
MOST, TOLD = 0.03, "verification.json"
VERIFYING = {  # in the order in which they use one another
    "stages.core.files": ["sha256_of_file", "sha256_of_json"],
    "stages.core.records": ["seal_of", "unsealed", "require_recorded", "hashes_of"],
    "stages.datasets.near_duplicates": [
        "near_duplicates", "read_near_duplicates", "across_splits", "across_classes",
    ],
    "stages.datasets.pixel_cache": ["find_pack", "_hashes"],
    "stages.runs.unchanged": ["_basis", "_require_recorded"],
}  # fmt: skip
seconds: Counter[str] = Counter()
open_calls: list[str] = []


def timed(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The function, whose processor time is counted unless another counted one calls it."""

    @functools.wraps(function)
    def call(*args: Any, **others: Any) -> Any:
        if open_calls:
            return function(*args, **others)
        open_calls.append(name)
        began = time.process_time()
        try:
            result = function(*args, **others)
            return list(result) if name == "_hashes" else result  # a generator works when read
        finally:
            seconds[name] += time.process_time() - began
            open_calls.pop()

    return call


def time_all() -> None:
    """Put a clock around every verifying function, before others import it."""
    for module, names in VERIFYING.items():
        loaded = importlib.import_module(module)
        for name in names:
            setattr(loaded, name, timed(getattr(loaded, name), name))
    thumbnails = importlib.import_module("stages.datasets.near_duplicates").Thumbnails
    thumbnails.add = timed(thumbnails.add, "near_duplicates")


def measured(stage: str) -> None:
    """Run one stage here, and write what it took for verification to a file."""
    time_all()
    from benchmarks.fuzz_run import STAGES
    from stages.runs.stage import run_stage

    status = run_stage(STAGES[stage], [])
    Path(TOLD).write_text(json.dumps(seconds))
    sys.exit(status)


def total(folder: Path, stages: Iterable[str]) -> float:
    """Run the stages in processes of their own, print a line for each, and return the share."""
    whole = 0.0
    for stage in stages:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, __file__, "--stage", stage]
        subprocess.run(command, cwd=folder, env=os.environ | {"DVC_ROOT": str(folder)}, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found = Counter(json.loads((folder / TOLD).read_text()))
        print(f"{stage}: {found.total():.2f} of {used:.2f} s", flush=True)
        seconds.update(found)
        whole += used
    print(f"whole: {seconds.total():.2f} of {whole:.2f} s, {100 * seconds.total() / whole:.2f} %")
    print(", ".join(f"{name} {spent:.2f} s" for name, spent in seconds.most_common()))
    return seconds.total() / whole


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text} is not KEY=VALUE")
    return key, value


def main() -> int:
    """Prepare the folder and run."""
    from stages.runs.pipeline import declared_stages

    if sys.argv[1:2] == ["--stage"]:
        measured(sys.argv[2])
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", type=_setting)
    settings = parser.parse_args().settings
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key, value in settings:
        section, _, last = key.rpartition(".")
        (values[section] if section else values)[last] = yaml.safe_load(value)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for file in ("dvc.yaml", "targets.yaml"):
            shutil.copy(ROOT / file, folder)
        (folder / "params.yaml").write_text(yaml.safe_dump(values))
        return 0 if total(folder, declared_stages(ROOT / "dvc.yaml")) < MOST else 1


if __name__ == "__main__":
    sys.exit(main())
