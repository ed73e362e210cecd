"""Does `compare` find faults when the other machine is really another?

`python benchmarks/across_machines.py FOLDER [--honest 1-20] [--faulty 1-3] [--faults WORD]
[--on MACHINE] [--held-out] [--replay] [--cells] [--precision bf16] --to FILE` trains small runs of
three families on this machine and on two stand-ins for others: honest ones over many seeds, and
ones with each fault of `later_faults` (or of `held_out_faults`, on which no limit was set), begun
at several moments. Every one is compared with the honest run on this machine and, with `--replay`,
computed again here from its own states. Runs that FOLDER has already are not repeated. Writes what
was found, per kind, with the DNA, to FILE.

The limits were set by seed 0, so seeds are reported from 1 on.
"""

import argparse
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from scipy.stats import binomtest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.held_out_faults import HELD_OUT  # noqa: E402
from benchmarks.later_faults import LATER_FAULTS  # noqa: E402
from benchmarks.machine_judge import Judge  # noqa: E402
from benchmarks.machine_trials import (  # noqa: E402
    HERE,
    STAND_INS,
    Trial,
    faulty,
    honest,
    run_all,
)
from stages.comparison.page.wording import sentence_of  # noqa: E402


def report(
    judge: Judge, honest_ones: list[Trial], faulty_ones: list[Trial], jobs: int
) -> dict[str, Any]:
    """All that was found, as data."""
    first = next(iter(honest_ones))
    hardware = judge.run(Trial(HERE, first.family, first.seed)).hardware
    pairs = [trial for trial in honest_ones if trial.machine != HERE and judge.has(trial)]
    faults = list(filter(judge.has, faulty_ones))
    spawn = get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn, initializer=_begin, initargs=(judge,)) as pool:
        return {
            "machine": {key: hardware.get(key) for key in SHOWN_OF_DNA},
            "stand_ins": {name: setting for name, setting in STAND_INS.items() if name != HERE},
            "replayed": judge.replays,
            "as_cells": judge.cells,
            "honest": _of_honest(pairs, pool.map(_verdict_on, pairs)),
            **_of_faulty(faults, pool.map(_outcome_of, faults)),
        }


def _of_honest(pairs: list[Trial], verdicts: Iterable[tuple[int, str, str]]) -> dict[str, Any]:
    """Verdicts on pairs without a fault, per family and machine, and those that are wrong."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    alarms = {}
    for trial, (exit_status, words, sentence) in zip(pairs, verdicts, strict=True):
        counts[f"{trial.family}, {trial.machine}"][words] += 1
        if exit_status == 1:
            alarms[_name(trial)] = sentence
        print(_name(trial), words, sep=": ", file=sys.stderr, flush=True)
    highest = binomtest(len(alarms), len(pairs)).proportion_ci(0.90, "exact").high if pairs else 1.0
    return {"pairs": len(pairs), "alarms": alarms, "rate_at_most": round(highest, 4),
            "verdicts": counts}  # fmt: skip


def _of_faulty(trials: list[Trial], outcomes: Iterable[str]) -> dict[str, Any]:
    """Outcomes per kind of fault and over all, and the trials that are not as they should be."""
    kinds: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    missed = []
    for trial, found in zip(trials, outcomes, strict=True):
        where = "same machine" if trial.machine == HERE else "another machine"
        kinds[trial.fault][where][found] += 1
        totals[where][found] += 1
        if found in ("called equivalent", "not decided", "caught, other place"):
            missed.append(f"{found}: {_name(trial)}")
        print(_name(trial), found, sep=": ", file=sys.stderr, flush=True)
    return {"faults": kinds, "totals": totals, "missed": missed}


def _verdict_on(trial: Trial) -> tuple[int, str, str]:
    verdict = _JUDGE[0].verdict(trial)
    return verdict.rung.exit_status, verdict.rung.words, sentence_of(verdict)


def _outcome_of(trial: Trial) -> str:
    return _JUDGE[0].outcome(trial)


_JUDGE: list[Judge] = []
"""That of a process which judges."""


def _begin(judge: Judge) -> None:
    torch.set_num_threads(1)
    _JUDGE.append(judge)


def _name(trial: Trial) -> str:
    return trial.folder.removeprefix("runs/")


SHOWN_OF_DNA = ("id", "chip", "cpu_capability", "threads", "torch_build", "onednn", "os")


def seeds_of(text: str) -> range:
    """`FIRST-LAST`, or one alone."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> int:
    """Train what is missing, compare all, write and print; 1 for an alarm on honest machines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--honest", type=seeds_of, default=range(1, 21), metavar="FIRST-LAST")
    parser.add_argument("--faulty", type=seeds_of, default=range(1, 2), metavar="FIRST-LAST")
    parser.add_argument("--faults", default="", help="only faults whose name holds this word")
    parser.add_argument("--on", default="", help="faults only on machines whose name holds this")
    parser.add_argument("--held-out", action="store_true", help="faults of `held_out_faults`")
    parser.add_argument("--replay", action="store_true", help="compute runs again here as well")
    parser.add_argument("--cells", action="store_true", help="with what a study's cells keep")
    parser.add_argument("--precision", default="fp32", help="of all runs; a FOLDER has one")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only-report", action="store_true", help="of the runs that are there")
    parser.add_argument("--to", type=Path, required=True, help="the JSON file to write")
    arguments = parser.parse_args()
    for _, changes in STAND_INS.values():
        changes["train"] = changes.get("train", {}) | {"precision": arguments.precision}
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    honest_ones = list(honest(arguments.honest))
    kinds = HELD_OUT if arguments.held_out else LATER_FAULTS
    faulty_ones = list(faulty(arguments.faulty, kinds, arguments.faults, arguments.on))
    if not arguments.only_report:
        sound = honest(arguments.faulty)  # what their faults are held against
        run_all(folder, [*honest_ones, *sound, *faulty_ones], arguments.jobs)
    os.environ["DVC_ROOT"] = str(folder)  # decoded pictures are kept there
    judge = Judge(folder, arguments.replay, arguments.cells)
    found = report(judge, honest_ones, faulty_ones, arguments.jobs)
    arguments.to.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({key: found[key] for key in ("honest", "totals", "missed")}, indent=1))
    return int(bool(found["honest"]["alarms"]))


if __name__ == "__main__":
    sys.exit(main())
