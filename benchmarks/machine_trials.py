"""The small runs that `across_machines` compares: honest ones and faulty ones, on every machine.

Which they are and how they are trained; what one run does is left to `machine_runs`.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine_runs import FAMILIES, HAS
from benchmarks.machines import MACHINES
from benchmarks.planting import LaterFault
from benchmarks.small_run import make_pictures

ROOT = Path(__file__).resolve().parent.parent
HERE = "here"
STAND_INS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    HERE: ({}, {}),
    "AVX2": (MACHINES["all AVX2"].environment, {}),
    "minimum, other layout": (
        MACHINES["all minimum"].environment,
        {"train": {"memory_format": "contiguous"}},
    ),
}
"""Environment and parameters of each machine."""
if torch.cuda.is_available():
    STAND_INS["CUDA"] = ({}, {"device": "cuda"})  # no stand-in, but another machine


@dataclass(frozen=True)
class Trial:
    """One run held against the honest one of its family and seed on this machine."""

    machine: str
    family: str
    seed: int
    fault: str = ""
    begins: str = ""

    @property
    def folder(self) -> str:
        """Where the run lies, below the benchmark's folder."""
        parts = (self.machine, self.family, str(self.seed), self.fault, self.begins)
        return "runs/" + "+".join(part.replace(" ", "_").replace(",", "") for part in parts if part)

    def as_job(self) -> dict[str, Any]:
        """As `machine_runs` takes it."""
        changes = STAND_INS[self.machine][1]
        return {"folder": self.folder, "family": self.family, "seed": self.seed,
                "fault": self.fault, "begins": self.begins, "changes": changes}  # fmt: skip


def honest(seeds: range) -> Iterator[Trial]:
    """Runs without a fault on every machine."""
    for seed in seeds:
        for family in FAMILIES:
            for machine in STAND_INS:
                yield Trial(machine, family, seed)


def faulty(
    seeds: range, kinds: dict[str, LaterFault], word: str = "", on: str = ""
) -> Iterator[Trial]:
    """Every fault that matters to a family, at every moment, on this machine and the others."""
    for seed in seeds:
        for name, fault in kinds.items():
            for family in FAMILIES:
                if word not in name or (fault.needs and fault.needs not in HAS[family]):
                    continue
                for begins in fault.begins:
                    for machine in STAND_INS:
                        if on in machine:
                            yield Trial(machine, family, seed, name, begins)


def run_all(folder: Path, trials: list[Trial], jobs: int) -> None:
    """Train what is not there yet: a process per machine, `jobs` at a time."""
    if not (folder / "pictures").exists():
        make_pictures(folder / "pictures")
    by_machine = defaultdict(list)
    for trial in trials:
        if not (folder / trial.folder / "metrics/evaluate.json").exists():
            by_machine[trial.machine].append(trial.as_job())

    def start(machine: str) -> None:
        listed = folder / f"{machine}.json"
        listed.write_text(json.dumps(by_machine[machine]))
        command = [sys.executable, "-m", "benchmarks.machine_runs", str(folder), str(listed)]
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, **STAND_INS[machine][0], "PYTHONPATH": path}
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(start, by_machine))
