"""How long do status, plan and page of a large finished study take?

    python benchmarks/study_page.py [--models 5] [--sizes 5] [--seeds 4] [--test-images 10000]

Makes a study of models × sizes × seeds whose cells are made up and recorded by DVC as done, and
prints the wall and processor seconds of each command beside what it may take for 100 cells.
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
FILE = "made/dvc.yaml"
COMMANDS = {
    "status": (5.0, "dvc", "--cd", "studies", "status", FILE),
    "plan": (5.0, "stages.study", "plan", "made"),
    "page": (15.0, "stages.study", "page", "made"),
}


def make(models: int, sizes: int, seeds: int, test_images: int) -> None:
    """A finished study in the present folder, with DVC's record of it."""
    from stages.core import files
    from stages.studies.run.machine import declared_id
    from stages.studies.spec.pipeline_file import pipeline
    from tests.studies.samples import CLASSES, fill, make_study

    names = tuple(f"model_{index}" for index in range(models))
    form = make_study(Path(), names, tuple(100 * 2**index for index in range(sizes)), seeds)
    machine = f"{declared_id(form.params(form.cells[0]))}-1111"
    fill(form, machine, images_per_class=test_images // len(CLASSES))
    for name in ("identity.json", "hardware.json", "pictures.json"):
        files.write_json(form.folder / name, {})
    files.write_text(form.folder / "dvc.yaml", pipeline(form))
    run("dvc", "--cd", "studies", "init", "-q", "--no-scm")
    run("dvc", "--cd", "studies", "commit", "-q", "-f", FILE)


def run(module: str, *words: str) -> str:
    """The output of a module's command."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", module, *words], env=environment, check=True, capture_output=True
    )
    return done.stdout.decode()


def main() -> None:
    """Print a Markdown row per command, and fail when the study is not seen as finished."""
    parser = argparse.ArgumentParser(description=__doc__)
    for key, default in (("models", 5), ("sizes", 5), ("seeds", 4), ("test-images", 10000)):
        parser.add_argument(f"--{key}", type=int, default=default)
    options = parser.parse_args()
    count = options.models * options.sizes * options.seeds
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        make(options.models, options.sizes, options.seeds, options.test_images)
        print(f"{count} cells\n\n| command | wall (s) | processor (s) | allowed (s) |")
        print("|---|---:|---:|---:|")
        for name, (allowed, *command) in COMMANDS.items():
            before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            told = run(*command)
            wall, after = (
                time.perf_counter() - started,
                resource.getrusage(resource.RUSAGE_CHILDREN),
            )
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            print(f"| {name} | {wall:.1f} | {used:.1f} | {allowed:.0f} |", flush=True)
            if name == "plan" and f"{count} of {count} cells exist" not in told:
                sys.exit(f"the plan does not see the cells:\n{told}")
            if name == "status" and "@" in told:
                sys.exit(f"DVC takes cells for unfinished:\n{told}")
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
