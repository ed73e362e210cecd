"""What is asked of Slurm: to take an array of tasks, and which tasks it has.

Leaves order, places, limits and repetition to Slurm. `sacct` is not asked, for many clusters keep
no accounts: a task that is in the queue no more has left a result, or has failed.
"""

import shutil
import subprocess
from pathlib import Path

from stages.core.errors import RunError

NO_SLURM = (
    "There is no Slurm here: `sbatch` is not on the PATH. Submit from a login node of the cluster, "
    "run the cells on this machine with `--on local`, or print the script with `--dry-run`."
)


def require_slurm() -> None:
    """Raise RunError where there is no Slurm."""
    if shutil.which("sbatch") is None:
        raise RunError(NO_SLURM)


def sbatch(script: Path) -> str:
    """Submit a script; return the id of its job. Raises RunError with Slurm's reason."""
    done = subprocess.run(
        ["sbatch", "--parsable", str(script)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RunError(
            f"Slurm did not take the jobs: {_told(done.stderr)} Nothing was submitted. `sinfo` "
            "lists partitions and nodes; options that `submit` does not know go to `sbatch` as "
            "they are."
        )
    return done.stdout.strip().partition(";")[0]


def queue() -> dict[str, tuple[str, str]]:
    """State and reason of every task of this user that waits or runs, by `JOB_INDEX`.

    Raises RunError where Slurm does not answer.
    """
    require_slurm()
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
