"""Cells that were submitted together: what git-ignored `.work/submitted/NAME/NUMBER` knows of them.

`submission.json` says which cells, at which commit, and whose job they are; `repository` is a clone
at that commit, in which they run and leave their results; `N.log` is what cell N printed.
"""

import fcntl
import json
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from filelock import FileLock, Timeout

from stages.core import files
from stages.core.errors import RunError
from stages.core.git import git
from stages.core.paths import SUBMITTED, work_folder
from stages.runs.sources import Source, open_source
from stages.studies.run.machine import fingerprint
from stages.studies.run.pictures import list_pictures
from stages.studies.spec.study_config import StudyConfig

SUBMISSION = "submission.json"
LOCAL, AT_WORK = "local", "at-work"
EPOCH = re.compile(r"^epoch +(\d+)/(\d+)")
"""How a training says how far it is."""
FROM_OUTSIDE = (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)
TRACKER = re.compile(
    r"^.*\bresource_tracker(?:\.py:\d+: UserWarning)?: .*|^[ \t]+warnings\.warn\(.*", re.MULTILINE
)
"""What a helper of Python's multiprocessing prints after its process was killed."""


@dataclass(frozen=True)
class Submission:
    """`cells` are names, in the order of the array; `job` is Slurm's id, or `local`.

    `remote` is the git remote that nodes push to where they do not see this disk.
    """

    folder: Path
    cells: list[str]
    commit: str
    job: str
    remote: str | None

    @property
    def repository(self) -> Path:
        """The clone in which the cells run."""
        return self.folder / "repository"

    def task(self, cell: str) -> str:
        """The task of a cell, as `squeue` names it."""
        return f"{self.job}_{self.cells.index(cell)}"

    def log(self, cell: str) -> Path:
        """What the cell prints."""
        return self.folder / f"{self.cells.index(cell)}.log"

    def ended(self, cell: str) -> Path:
        """A mark that the cell's process here has ended, with its exit status."""
        return self.folder / f"{self.cells.index(cell)}.ended"

    @contextmanager
    def at_work_here(self) -> Iterator[None]:
        """Hold a lock that says so; the system lets go of it however this process ends."""
        with FileLock(self.folder / AT_WORK):
            yield

    def is_at_work_here(self) -> bool:
        """Whether the `submit` that starts the cells on this machine still runs."""
        return _is_locked(self.folder / AT_WORK)

    @contextmanager
    def printing(self, cell: str) -> Iterator[TextIO]:
        """The log, locked: a process that prints to it has the lock too, also without `submit`."""
        with self.log(cell).open("w", encoding="utf-8") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            yield log

    def is_printing_here(self, cell: str) -> bool:
        """Whether a process of this machine that may print to the log still runs."""
        return _is_locked(self.log(cell))

    def text(self, cell: str) -> str:
        """What the cell itself has printed."""
        log = self.log(cell)
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        return TRACKER.sub("", text)

    def last_line(self, cell: str) -> str:
        """What the cell printed last; empty when that was nothing."""
        lines = reversed(self.text(cell).splitlines())
        return next((line.strip() for line in lines if line.strip()), "")

    def complaint(self, cell: str) -> str:
        """The error that a task which failed ended with, or how else it ended."""
        last, exit_status = self.last_line(cell), self._exit_status(cell)
        errors = re.split(r"^(?:\S+: )?error: ", self.text(cell), flags=re.MULTILINE)[1:]
        said = " ".join(errors[-1].split()) if errors else self._last_words(cell)
        at = EPOCH.match(last)
        if -exit_status in FROM_OUTSIDE or (not at and said.startswith("Interrupted.")):
            said = "it was ended from outside"
        elif at:
            said = f"it ended without a word after epoch {at[1]} of {at[2]}"
        else:
            return said or self.full_disk() or "it ended without a word"
        return self.full_disk() or f"{said}; submit again, and it goes on from its checkpoint"

    def _exit_status(self, cell: str) -> int:
        """Of the cell's process here, minus a signal's number; 0 where nobody saw it end."""
        mark = self.ended(cell)
        return int(mark.read_text() or 0) if mark.exists() else 0

    def _last_words(self, cell: str) -> str:
        """The last line, where the process ended by itself with an error; Slurm does not say."""
        exit_status = self._exit_status(cell)
        unseen = exit_status == 0 and (
            self.job != LOCAL or "\nTraceback (" in f"\n{self.text(cell)}"
        )
        return self.last_line(cell) if exit_status > 0 or unseen else ""

    def full_disk(self) -> str:
        """What to do where logs and results have no room; empty where they have."""
        if shutil.disk_usage(self.folder).free >= files.FULL_DISK_BYTES:
            return ""
        return f"the disk of {self.folder} is full; free some space and submit again"

    def source(self, form: StudyConfig, cell: str) -> Source | None:
        """The form's folder as the cell's task left it; None when that is nothing yet."""
        if self.remote is None:
            left = self.repository / form.folder
            return open_source(str(left)) if left.is_dir() else None
        branch = f"{self.remote}/{branches(form)}{cell}"
        made = ("--contains", self.commit)  # not one of an earlier submission
        known = git("for-each-ref", "--format=x", *made, f"refs/remotes/{branch}")
        return open_source(branch).within(form.folder) if known else None

    def write(self) -> None:
        """Keep what is known; from now on the submission counts."""
        told = {key: value for key, value in asdict(self).items() if key != "folder"}
        files.write_json(self.folder / SUBMISSION, told)


def _is_locked(path: Path) -> bool:
    """Whether a process holds a file's lock; those that ask share it, and do not see each other."""
    try:
        with path.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def submissions(form: StudyConfig) -> list[Submission]:
    """All that were submitted of a form and not gathered whole, the latest first."""
    found = sorted(submitted(form).glob(f"[0-9]*/{SUBMISSION}"), key=_number, reverse=True)
    return [_read(path) for path in found]


def _read(path: Path) -> Submission:
    try:
        return Submission(path.parent, **json.loads(path.read_text()))
    except (ValueError, TypeError):
        raise RunError(
            f"{path} is damaged, so nobody knows whose jobs its cells are. Wait until none of the "
            f"study is left (`squeue --me`), then remove {path.parent}: its cells are submitted "
            "again, and go on from their checkpoints."
        ) from None


def next_folder(form: StudyConfig) -> Path:
    """Where the next submission belongs."""
    latest = next((_number(one.folder / SUBMISSION) for one in submissions(form)), 0)
    return submitted(form) / str(latest + 1)


def submitted(form: StudyConfig) -> Path:
    """The folder of a form's submissions, absolute, for nodes start elsewhere."""
    return work_folder().resolve() / SUBMITTED / form.name


def log_on_node(form: StudyConfig, task: str) -> str:
    """What a task prints where the nodes do not see this disk."""
    return f"/tmp/{form.name.replace('/', '-')}-{task}.log"


def branches(form: StudyConfig) -> str:
    """What the names of branches begin with that hold a cell each."""
    return f"cells/{on_remote(form)}/"


def on_remote(form: StudyConfig) -> str:
    """A form's name in names of branches, none of which may lie below another: `pets.small`."""
    return form.name.replace("/", ".")


def fetch(form: StudyConfig, remote: str) -> None:
    """Fetch what nodes without a shared disk have pushed."""
    pushed = branches(form)
    git("fetch", "-q", remote, f"+refs/heads/{pushed}*:refs/remotes/{remote}/{pushed}*")


@contextmanager
def alone(form: StudyConfig) -> Iterator[None]:
    """Hold the form's submissions. Raises RunError when another process does."""
    folder = submitted(form)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"Another `submit` or `gather` of {form.name} is at work in this repository, and two "
            "at once could run a cell twice. Wait until it has ended; `python -m stages.study "
            f"status {form.name}` shows what it submitted."
        ) from None
    try:
        yield
    finally:
        lock.release()


def list_inputs(form: StudyConfig) -> None:
    """Write the two files that all cells depend on, as the stages `fingerprint` and `pictures`."""
    fingerprint(form)
    list_pictures(form)


def _number(path: Path) -> int:
    return int(path.parent.name)
