"""What is asked of Slurm: to take an array of tasks, and which tasks it has.

Leaves order, places, limits and repetition to Slurm. `sacct` is not asked, for many clusters keep
no accounts: a task that is in the queue no more has left a result, or has failed.
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from stages.core.errors import RunError

NO_SLURM = (
    "There is no Slurm here: `sbatch` is not on the PATH. Submit from a login node of the cluster, "
    "run the cells on this machine with `--on local`, or print the script with `--dry-run`."
)
NO_QUEUE = (
    "Cells were submitted to Slurm, and there is none here to ask for them: `squeue` is not on the "
    "PATH. Jobs and results are where they were; ask on a login node of the cluster."
)
OURS = (
    "--array", "--error", "--help", "--input", "--open-mode", "--output", "--parsable",
    "--test-only", "--usage", "--version", "--wait", "--wrap",
    "-V", "-W", "-a", "-e", "-h", "-i", "-o",
)  # fmt: skip
"""Options of `sbatch` with which it would run other tasks than the cells, hide what they print,
or submit nothing."""


def require_slurm() -> None:
    """Raise RunError where there is no Slurm."""
    if shutil.which("sbatch") is None:
        raise RunError(NO_SLURM)


def refused(options: Sequence[str]) -> list[str]:
    """Those of OURS among options of `sbatch`, also shortened or with a value."""
    names = [option.partition("=")[0] for option in options if option.startswith("-")]
    return [
        name
        for name in names
        if any(one.startswith(name) if name.startswith("--") else name[:2] == one for one in OURS)
    ]


def sbatch(script: Path) -> str:
    """Submit a script; return the id of its job. Raises RunError with Slurm's reason.

    A Ctrl-C in the terminal does not reach `sbatch`: it would not tell whether Slurm has the job.
    """
    done = subprocess.run(
        ["sbatch", "--parsable", str(script)],
        capture_output=True, text=True, check=False, start_new_session=True,
    )  # fmt: skip
    if done.returncode:
        raise RunError(
            f"Slurm did not take the jobs: {_told(done.stderr)} Nothing was submitted. `sinfo` "
            "lists partitions and nodes; options that `submit` does not know go to `sbatch` as "
            "they are."
        )
    job = done.stdout.strip().partition(";")[0]
    if not job.isdecimal():
        raise RunError(
            f"Slurm took the jobs without saying which: `sbatch --parsable` printed {job!r}. Look "
            "with `squeue --me`, and end those of the study with `scancel` before you submit again."
        )
    return job


def queue() -> dict[str, tuple[str, str]]:
    """State and reason of every task of this user that waits or runs, by `JOB_INDEX`.

    Raises RunError where Slurm does not answer.
    """
    if shutil.which("squeue") is None:
        raise RunError(NO_QUEUE)
    done = subprocess.run(
        ["squeue", "--noheader", "--array", "--me", "--format=%i|%T|%r"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RunError(
            f"Slurm does not say which jobs it has: {_told(done.stderr)} Jobs and results are "
            "where they were; ask again later."
        )
    rows = (line.split("|", 2) for line in done.stdout.splitlines())
    return {task: (state, reason) for task, state, reason in rows}


def _told(complaint: str) -> str:
    """What Slurm's program said, in sentences."""
    lines = [line.partition("error: ")[2] or line for line in complaint.splitlines()]
    return ". ".join(line.strip().rstrip(".") for line in lines) + "."
