"""What do jobs cost beside the cells themselves?

`python benchmarks/many_cells.py [--cells 200] [--run 24]` starts a Slurm of two nodes on this
machine (as root; packages munge, slurmctld, slurmd, slurm-client). It submits a study of many
cells, which Slurm holds; puts made-up results in the place of what its tasks would have left, and
gathers them; and lets Slurm run a few tiny cells, to see what a cell takes from `submit` until it
is gathered beyond its own `cell_seconds`, which tell how busy the machine is besides. Wall and
processor seconds stand beside what is allowed.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from stages.core.files import read_json  # noqa: E402
from stages.studies.spec.study_config import load_study_config  # noqa: E402
from tests.pipeline.running import commit_all, copy_tracked  # noqa: E402
from tests.studies.cluster import NODES, Cluster, lacking  # noqa: E402
from tests.studies.samples import CLASSES, write_cell  # noqa: E402
from tests.studies.test_jobs import VALUES, write_study  # noqa: E402

MODELS = ["lenet_small", "lenet_large", "mobilenet_v3", "resnet18"]
SIZES = [64, 128, 256, 512, 900]
MADE_UP = Path(".work/submitted/tiny/1/repository")


def main() -> None:
    """Print a Markdown row per measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=200, help="made up, a multiple of 20")
    parser.add_argument("--run", type=int, default=24, help="that Slurm runs")
    parser.add_argument("--test-images", type=int, default=1000, help="of a made-up cell")
    arguments = parser.parse_args()
    if why := lacking():
        sys.exit(why)
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder, "slurm")) as cluster:
        os.environ |= cluster.environment
        print(f"| {arguments.cells} cells | wall (s) | processor (s) | allowed (s) |")
        print("|---|---:|---:|---:|")
        _study(Path(folder, "many"), MODELS, SIZES, arguments.cells // 20)
        _row("submit", 10, _timed("submit", "--hold"))
        _make_up(arguments.test_images // len(CLASSES))
        _row("status", None, _timed("status"))
        subprocess.run(["scancel", "--me"], check=True)
        _row("gather", 20, _timed("gather"))
        _study(Path(folder, "few"), MODELS[:1], SIZES[:1], arguments.run)
        _timed("submit", "--on", "local", "--dry-run")  # the files of Python are compiled now
        own, beyond = _cells_run()
        _row("each cell run, its own time", None, (own, None))
        _row("each cell run, beyond its own time", 5, (beyond, None))
        os.chdir(ROOT)


def _study(folder: Path, models: list[str], sizes: list[int], seeds: int) -> None:
    """Go into a repository with a study of models × sizes × seeds, of which nothing has run."""
    copy_tracked(folder)
    os.chdir(folder)
    grid = {"models": models, "sizes": sizes, "seeds": list(range(seeds))}
    write_study(grids={"main": VALUES["grids"]["main"] | grid})
    _timed("wire")
    commit_all(folder)


def _make_up(images_per_class: int) -> None:
    """Results where the tasks would have left them."""
    here = Path.cwd()
    os.chdir(MADE_UP)
    form = load_study_config("tiny")
    for cell in form.cells:
        write_cell(form, cell.name, "aaaa-1111", images_per_class=images_per_class)
    os.chdir(here)


def _timed(*words: str) -> tuple[float, float]:
    """Wall and processor seconds of a command of the study."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    words = (sys.executable, "-m", "stages.study", words[0], "tiny", *words[1:])
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _cells_run() -> tuple[float, float]:
    """Per cell: its own seconds, and those of each node from `submit` to gathered beyond them."""
    started = time.perf_counter()
    _timed("submit")
    _timed("gather", "--wait")
    took = time.perf_counter() - started
    cells = [read_json(path) for path in Path("studies/tiny/cells").glob("*/cell.json")]
    own = sum(cell["cell_seconds"] for cell in cells)
    return own / len(cells), (len(NODES) * took - own) / len(cells)


def _row(what: str, allowed: float | None, took: tuple[float, float | None]) -> None:
    shown = [f"{seconds:.1f}" if seconds is not None else "" for seconds in took]
    print(f"| {what} | {' | '.join(shown)} | {allowed or ''} |", flush=True)


if __name__ == "__main__":
    main()
