"""A study's missing cells, submitted: to Slurm as one array of jobs, or run on this machine.

All cells of a submission run in a clone of the present commit, so that edits made meanwhile do not
reach them. Leaves scheduling to Slurm and what becomes of the results to `gather`.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from stages.core.cli import uninterrupted
from stages.core.counts import counted, first_few
from stages.core.errors import ParamsError, RunError
from stages.core.files import write_text
from stages.core.git import git
from stages.core.paths import PARAMS, dvc_root
from stages.pages.render import render
from stages.runs.schema import STUDY_IDENTITY, STUDY_PICTURES
from stages.studies.jobs.slurm import refused, require_slurm, sbatch
from stages.studies.jobs.status import TO_RUN, standings, summary
from stages.studies.jobs.submission import (
    LOCAL,
    Submission,
    alone,
    branches,
    list_inputs,
    log_on_node,
    next_folder,
    on_remote,
)
from stages.studies.spec.pipeline_file import require_wired
from stages.studies.spec.study_config import Cell, StudyConfig
from stages.studies.spec.study_source import load_study_source


@dataclass(frozen=True)
class Wish:
    """How cells shall run: `jobs` at once (None: as many as Slurm lets), `options` of `sbatch`.

    `remote` is the git remote that nodes push to where they do not see this disk.
    """

    on: str = "slurm"
    jobs: int | None = None
    remote: str | None = None
    options: Sequence[str] = ()
    dry_run: bool = False


def submit(form: StudyConfig, wish: Wish, say: Callable[[str], None]) -> str:
    """Submit what is missing and not submitted yet; return what was done, or would be.

    Raises ParamsError or RunError where that cannot be: no Slurm or one that refuses, uncommitted
    changes, a second submitter.
    """
    _require(form, wish)
    with alone(form):
        commit = _commit(form)
        if not wish.dry_run:
            list_inputs(form)
        found = standings(form)
        wanted = [one.cell for one in found if one.state in TO_RUN]
        if not wanted:
            return f"Nothing to submit: {summary(found)}."
        one = Submission(next_folder(form), [cell.name for cell in wanted], commit, "", wish.remote)
        here = wish.on == LOCAL
        if wish.dry_run:
            return _told(form, one, wanted, wish) if here else _script(form, one, wanted, wish)
        _clone(form, one)
        if here:
            return _run_here(form, one, wanted, wish.jobs or 1, say)
        return _to_slurm(form, one, _script(form, one, wanted, wish))


def _require(form: StudyConfig, wish: Wish) -> None:
    if wish.jobs is not None and wish.jobs < 1:
        raise ParamsError(f"--jobs is {wish.jobs}; allowed is a number from 1.")
    load_study_source(form)  # the page needs it: a mistake in it is told now, not after hours
    require_wired(form)
    if wish.on == LOCAL:
        if wish.options or wish.remote:
            told = " ".join(wish.options) or f"--push {wish.remote}"
            raise ParamsError(
                f"{told} is for Slurm; `--on local` takes --jobs and --dry-run alone."
            )
        return
    if names := refused(wish.options):
        raise ParamsError(
            f"{', '.join(names)} cannot be given to `submit`, which decides itself which tasks run "
            "and where they print. `--jobs` limits how many run at once, `--dry-run` prints the "
            "script, `gather --wait` waits."
        )
    if not form.any_machine:
        raise ParamsError(
            f"{form.folder / PARAMS} counts the cells of one machine alone (`machines: same`), and "
            "the nodes of a cluster are other machines than this one: their cells would never "
            "count. Write `machines: any` into it and commit that, or use `--on local`."
        )
    if not wish.dry_run:
        require_slurm()


def _commit(form: StudyConfig) -> str:
    """The present commit. Raises RunError where what decides results is not in it."""
    decides = ["stages", (form.folder / PARAMS).as_posix()]
    if changed := git("status", "--porcelain", "--untracked-files=all", "--", *decides):
        names = [line.split(maxsplit=1)[1] for line in changed.splitlines()]
        raise RunError(
            f"Not committed: {first_few(names, 3)}. Cells run in a clone of the present "
            "commit, which would lack these changes. Commit them (`git commit`) or put them aside "
            "(`git stash`), and submit again."
        )
    return git("rev-parse", "HEAD")


def _clone(form: StudyConfig, one: Submission) -> None:
    """The clone in which the cells run, with the files that they depend on as they are here."""
    shutil.rmtree(one.folder, ignore_errors=True)
    there = ("-C", str(one.repository))
    git("clone", "-q", "--shared", "--no-checkout", ".", str(one.repository))
    git(*there, "sparse-checkout", "init", "--cone")  # all studies would be thousands of files
    git(*there, "sparse-checkout", "set", "stages", form.folder.as_posix())
    git(*there, "checkout", "-q", "--detach", one.commit)
    shutil.rmtree(one.repository / form.cells_folder, ignore_errors=True)
    for name in (STUDY_IDENTITY, STUDY_PICTURES):
        shutil.copyfile(form.folder / name, one.repository / form.folder / name)


def _script(form: StudyConfig, one: Submission, cells: Sequence[Cell], wish: Wish) -> str:
    """The script that `sbatch` is given."""
    threads = [value for cell in cells if isinstance(value := form.params(cell).threads, int)]
    named = any(option.startswith(("-c", "--cpus-per-task")) for option in wish.options)
    log = log_on_node(form, "%A_%a") if wish.remote else f"{one.folder}/%a.log"
    view = {
        "name": form.name,
        "branches": branches(form),
        "commit": one.commit,
        "cells": cells,
        "jobs": wish.jobs,
        "log": shlex.quote(log),
        "threads": max(threads) if threads and not named else None,
        "options": _lines(wish.options),
        "root": shlex.quote(str(dvc_root().resolve())),
        "repository": shlex.quote(str(one.repository)),
        "url": wish.remote and shlex.quote(_url(wish.remote)),
        "python": shlex.quote(sys.executable),
    }
    return render("study_array.sh.j2", view).rstrip()


def _url(remote: str) -> str:
    """Where a git remote is. Raises ParamsError for one that this repository does not have."""
    known = git("remote").splitlines()
    if remote not in known:
        raise ParamsError(
            f"--push is {remote}, and this repository has no remote of that name. It has "
            f"{', '.join(known) or 'none'}; `git remote add NAME ADDRESS` adds one, at an address "
            "that the nodes reach."
        )
    return git("remote", "get-url", remote)


def _told(form: StudyConfig, one: Submission, cells: Sequence[Cell], wish: Wish) -> str:
    """What `--on local` would do."""
    lines = [
        f"{counted(len(cells), 'cell')} would run on this machine, {wish.jobs or 1} at once, in a "
        f"clone of commit {one.commit[:7]} in {one.repository}:"
    ]
    return "\n".join([*lines, *(shlex.join(["python", *_run(form, cell)]) for cell in cells)])


def _run(form: StudyConfig, cell: Cell) -> list[str]:
    """What Python is told to run a cell."""
    return ["-m", "stages.study", "run", form.name, "--model", cell.model, "--size", cell.size,
            "--recipe", cell.recipe, f"--seed={cell.seed}"]  # fmt: skip


def _lines(options: Sequence[str]) -> list[str]:
    """Options of `sbatch`, each with its value on one line."""
    lines: list[str] = []
    for word in options:
        if word.startswith("-") or not lines:
            lines.append(shlex.quote(word))
        else:
            lines[-1] += f" {shlex.quote(word)}"
    return lines


def _to_slurm(form: StudyConfig, one: Submission, script: str) -> str:
    path = one.folder / "array.sh"
    write_text(path, f"{script}\n")
    if one.remote:
        git("push", "-q", "-f", one.remote, f"{one.commit}:refs/heads/submitted/{on_remote(form)}")
    with uninterrupted():  # or Slurm has jobs that nobody here knows of
        try:
            job = sbatch(path)
        except RunError:
            shutil.rmtree(one.folder)
            raise
        replace(one, job=job).write()
    return (
        f"Submitted {counted(len(one.cells), 'cell')} as job {job}. They run whether or not you "
        f"stay: `python -m stages.study status {form.name}` shows how far they are, `gather "
        f"{form.name}` puts what is finished into the study, `scancel {job}` stops them."
    )


def _run_here(
    form: StudyConfig, one: Submission, cells: Sequence[Cell], jobs: int, say: Callable[[str], None]
) -> str:
    """Run the cells on this machine, `jobs` at once; a failed one stops nothing."""
    one = replace(one, job=LOCAL)
    one.write()
    environment = os.environ | {"DVC_ROOT": str(dvc_root().resolve())}
    gathers = f"`python -m stages.study gather {form.name}` puts what is finished into the study."

    def work(cell: Cell) -> int:
        with one.printing(cell.name) as log:
            done = subprocess.run(
                [sys.executable, *_run(form, cell)],
                cwd=one.repository, env=environment, stdout=log, stderr=log, check=False,
            )  # fmt: skip
        one.ended(cell.name).write_text(str(done.returncode))
        ended = f"failed: {one.complaint(cell.name)}" if done.returncode else "finished"
        say(f"{cell.name}: {ended}")
        return done.returncode

    with one.at_work_here(), ThreadPoolExecutor(jobs) as pool:
        failed = sum(map(bool, pool.map(work, cells)))
    if failed:
        raise RunError(
            f"{failed} of {counted(len(cells), 'cell')} failed, as said above. {gathers}"
        )
    return gathers
