"""Is anything lost when jobs and nodes die? A study on a real Slurm, killed at random.

`python benchmarks/slurm_kills.py [--cells 8] [--kills 20]` starts a Slurm of two nodes on this
machine (as root; packages munge, slurmctld, slurmd, slurm-client) and submits tiny cells. Every few
seconds it kills all processes of a task, or a node's daemon, which it starts again once Slurm has
missed it; and it submits anew what failed. At the end it counts, from what the tasks printed, how
often each epoch of each cell was trained: a cell that ran twice would have begun twice and ended
twice. The weights hashes are held against those of the same cells run one after the other.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from stages import study  # noqa: E402
from stages.studies.jobs.status import DONE, FINISHED, standings, summary  # noqa: E402
from stages.studies.jobs.submission import EPOCH, submissions  # noqa: E402
from stages.studies.run.cell import run_cell  # noqa: E402
from stages.studies.spec.study_config import load_study_config  # noqa: E402
from tests.pipeline.running import commit_all, copy_tracked  # noqa: E402
from tests.studies.cluster import NODES, Cluster, lacking  # noqa: E402
from tests.studies.test_jobs import VALUES, weights_hashes, write_study  # noqa: E402

BETWEEN_SECONDS = (4, 12)


def main() -> None:
    """Submit, kill, gather, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=8)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=200)
    arguments = parser.parse_args()
    if why := lacking():
        sys.exit(why)
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder, "slurm")) as cluster:
        os.environ |= cluster.environment
        _clone(Path(folder, "clone"), arguments.cells, arguments.epochs)
        done = _killed(cluster, arguments.kills)
        trained = _trained_epochs()
        study.main(["gather", "tiny"])
        made = weights_hashes(Path("studies/tiny/cells"))
        alike = made == _one_after_the_other(Path(folder, "serial"))
        print(f"{done} kills: {len(made)} of {arguments.cells} cells, weights as without: {alike}")
        print("| cell | begun | ended | epochs trained | needed |\n|---|---:|---:|---:|---:|")
        for cell, counts in sorted(trained.items()):
            last = arguments.epochs
            print(f"| {cell} | {counts[1]} | {counts[last]} | {counts.total()} | {last} |")


def _clone(folder: Path, cells: int, epochs: int) -> None:
    copy_tracked(folder)
    os.chdir(folder)
    grid = VALUES["grids"]["main"] | {"seeds": list(range(cells))}
    base = VALUES["base"] | {"train": VALUES["base"]["train"] | {"epochs": epochs}}
    write_study(grids={"main": grid}, base=base)
    study.main(["wire", "tiny"])
    commit_all(folder)


def _killed(cluster: Cluster, kills: int) -> int:
    """Until every cell has a result, at most `kills` deaths; return how many there were."""
    form, draws, deaths = load_study_config("tiny"), random.Random(0), 0
    while True:
        found = standings(form)
        if all(one.state in (DONE, FINISHED) for one in found):
            return deaths
        print(f"{deaths} kills, {summary(found)}", flush=True)
        study.main(["submit", "tiny"])
        time.sleep(draws.uniform(*BETWEEN_SECONDS))
        if deaths < kills:
            deaths += _kill(cluster, draws)


def _trained_epochs() -> dict[str, Counter[int]]:
    """How often each epoch of a cell was trained, over all of its tasks."""
    found: dict[str, Counter[int]] = defaultdict(Counter)
    for one in submissions(load_study_config("tiny")):
        for cell in one.cells:
            lines = one.text(cell).splitlines()
            found[cell].update(int(told[1]) for told in map(EPOCH.match, lines) if told)
    return found


def _kill(cluster: Cluster, draws: random.Random) -> int:
    """Kill a task or a node; 0 where nothing runs."""
    running = _slurm("squeue", "-h", "-r", "-t", "R", "-o", "%i")
    if not running:
        return 0
    if draws.random() < 0.7:
        _slurm("scancel", "--signal=KILL", "--full", draws.choice(running))
        return 1
    node = draws.choice(NODES)
    cluster.kill(node)
    while "down" not in _slurm("sinfo", "-h", "-n", node, "-o", "%T")[0]:
        time.sleep(1)
    cluster.start(node)
    return 1


def _slurm(*words: str) -> list[str]:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()


def _one_after_the_other(work: Path) -> dict[str, str]:
    """The hashes of the same cells, run in this process with nothing kept from before."""
    os.environ["DVC_ROOT"] = str(work)
    form = load_study_config("tiny")
    for cell in form.cells:
        form.cell_folder(cell).joinpath("cell.json").unlink()
        run_cell(form, cell, lambda line: None)
    return weights_hashes(form.cells_folder)


if __name__ == "__main__":
    main()
