"""A study's cells as jobs: on a real Slurm that loses a node and a job, here, and refused."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from filelock import FileLock

from stages import study
from stages.core import files
from stages.studies.jobs.submission import LOCAL, Submission, submissions
from stages.studies.run.cell import run_cell
from stages.studies.spec.study_config import load_study_config
from tests.pipeline.running import ROOT, commit_all, copy_tracked, stages_run
from tests.studies.cluster import Cluster, lacking

CELLS = [f"lenet_small-64-plain-{seed}" for seed in range(4)]
VALUES: dict[str, Any] = {
    "machines": "any",
    "grids": {
        "main": {
            "models": ["lenet_small"],
            "sizes": [64],
            "recipes": ["plain"],
            "seeds": [0, 1, 2, 3],
        }
    },
    "base": {
        "device": "cpu",
        "threads": 1,
        "dataset": {"name": "digits"},
        "subset": {"val": 50, "test": 100},
        "train": {"epochs": 1, "batch_size": 8, "lr": 0.001},
        "profile": {"batch_sizes": [1], "seconds": 0.05, "repeats": 1, "variants": []},
    },
    "recipes": {"plain": {}},
}
STORY = {"title": "Tiny", "question": "Does it run?", "source": "None."}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of the project with a study of four cells, committed."""
    folder = tmp_path_factory.mktemp("repository")
    others = (f"{path.parent.relative_to(ROOT)}/" for path in ROOT.glob("studies/*/dvc.yaml"))
    copy_tracked(folder, without=("metrics/", "plots/", "dvc.lock", *others))
    with chdir(folder):
        write_study()
        assert study.main(["wire", "tiny"]) == 0
    commit_all(folder)
    return folder


@pytest.fixture
def clone(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of it, the working directory, whose path needs quotes in a shell."""
    folder = tmp_path / "a clone"
    subprocess.run(["git", "clone", "-q", "--shared", repository, folder], check=True)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    for key, value in (("user.name", "test"), ("user.email", "test@localhost")):
        subprocess.run(["git", "config", key, value], check=True)
    return folder


def write_study(**change: Any) -> None:
    files.write_text("studies/tiny/params.yaml", yaml.safe_dump(VALUES | change))
    files.write_text("studies/tiny/study.yaml", yaml.safe_dump(STORY))


def weights_hashes(cells: Path) -> dict[str, str]:
    found = cells.glob("*/cell.json")
    return {path.parent.name: files.read_json(path)["train"]["weights_hash"] for path in found}


def repeated() -> list[str]:
    """The cells that a `dvc repro` runs."""
    words = [sys.executable, "-m", "dvc", "--cd", "studies", "repro", "tiny/dvc.yaml"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [name for name in stages_run(done) if "@" in name]


def test_cells_run_here_and_are_gathered_as_if_dvc_had_run_them(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(grids={"main": VALUES["grids"]["main"] | {"seeds": [0]}})
    assert study.main(["submit", "tiny", "--on", "local"]) == 1
    assert "Not committed: studies/tiny/params.yaml. " in " ".join(capsys.readouterr().err.split())
    subprocess.run(["git", "commit", "-qam", "one"], check=True)
    with FileLock(".work/submitted/tiny/lock"):
        assert study.main(["submit", "tiny", "--on", "local"]) == 1
    assert "Another `submit`" in capsys.readouterr().err
    assert study.main(["submit", "tiny", "--on", "local", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "1 cell would run on this machine, 1 at once, " in told
    assert "\npython -m stages.study run tiny --model lenet_small --size 64 --recipe plain" in told
    assert study.main(["submit", "tiny", "--on", "local", "--jobs", "2"]) == 0
    assert f"{CELLS[0]}: finished" in capsys.readouterr().out
    assert study.main(["submit", "tiny", "--on", "local"]) == 0
    assert "Nothing to submit: of 1 cell 1 finished, not gathered" in capsys.readouterr().out
    params = Path("studies/tiny/params.yaml").read_text()
    files.write_text("studies/tiny/params.yaml", params.replace("epochs: 1", "epochs: 2"))
    assert study.main(["status", "tiny"]) == 0
    assert "outdated: its result is of other parameters, " in capsys.readouterr().out
    files.write_text("studies/tiny/params.yaml", params)
    assert study.main(["gather", "tiny"]) == 0
    assert "Gathered 1 cell: of 1 cell 1 done." in capsys.readouterr().out
    assert (Path("studies/tiny/report.html")).exists()
    assert repeated() == []
    assert not list(Path(".work/submitted/tiny").glob("[0-9]*"))

    subprocess.run(["git", "add", "-A"], check=True)
    subprocess.run(["git", "commit", "-qm", "first"], check=True)
    shutil.rmtree("studies/tiny/cells")
    Path("studies/tiny/dvc.lock").unlink()
    assert study.main(["gather", "tiny", "--from", "HEAD"]) == 0
    assert repeated() == []


def test_what_failed_tells_why_and_what_never_began_did_not_fail(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = Submission(clone / ".work/submitted/tiny/1", CELLS[:3], "HEAD", LOCAL, None)
    one.write()
    one.log(CELLS[0]).write_text("epoch 1/3\nerror: Cannot write a:\nthe disk is full.\n")
    one.log(CELLS[1]).write_text("error: The node went.\nepoch  2/3  loss 1\n")
    assert study.main(["status", "tiny"]) == 0
    told = capsys.readouterr().out
    for cell, state in zip(CELLS, (
        "failed: Cannot write a: the disk is full.",
        "failed: it ended without a word after epoch 2 of 3; submit again, and it goes on from its "
        "checkpoint", "not begun", "not submitted",
    ), strict=True):  # fmt: skip
        assert f"{cell}  {state}\n" in told
    assert "of 4 cells 2 failed, 1 not begun, 1 not submitted." in told


def test_what_runs_here_is_known_by_a_lock_and_what_has_ended_by_a_mark(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = Submission(clone / ".work/submitted/tiny/1", CELLS[:3], "HEAD", LOCAL, None)
    one.write()
    one.log(CELLS[0]).write_text("error: There is no CUDA device.\n")
    one.log(CELLS[1]).write_text("epoch 1/3\n")
    one.ended(CELLS[0]).touch()
    with one.at_work_here():
        assert study.main(["status", "tiny"]) == 0
    told = capsys.readouterr().out
    assert f"{CELLS[0]}  failed: There is no CUDA device." in told
    assert f"{CELLS[1]}  running: epoch 1/3" in told
    assert f"{CELLS[2]}  waiting" in told
    assert study.main(["status", "tiny"]) == 0
    assert "running" not in capsys.readouterr().out


def test_cells_of_a_grid_that_is_not_wired_are_not_gathered(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(grids={"other": VALUES["grids"]["main"]})
    assert study.main(["gather", "tiny"]) == 1
    assert "python -m stages.study wire tiny" in capsys.readouterr().err


def test_what_slurm_cannot_take_is_a_paragraph(
    clone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*more: str, command: str = "submit") -> str:
        assert study.main([command, "tiny", *more]) == 1
        return " ".join(capsys.readouterr().err.split())

    assert (
        study.main(["submit", "tiny", "--dry-run", "--jobs=2", "--time", "9", "--exclusive"]) == 0
    )
    script = capsys.readouterr().out
    for line in ("--array=0-3%2", "--cpus-per-task=1", "--time 9", "--exclusive"):
        assert f"\n#SBATCH {line}\n" in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert not list(Path(".work/submitted/tiny").glob("[0-9]*"))

    assert "-a0-9, --outp cannot be given" in refused("-a0-9", "--outp=x", "--hold")
    assert "--gres gpu:1 is for Slurm" in refused("--on", "local", "--gres", "gpu:1")
    assert "has no remote of that name. It has origin" in refused("--push", "mars", "--dry-run")
    with pytest.raises(SystemExit):
        study.main(["submit", "tiny", "small"])
    commands = clone.parent / "commands"
    commands.mkdir()
    for name in ("git", "dvc"):
        (commands / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(commands))
    assert "There is no Slurm here" in refused()
    (commands / "sbatch").write_text(
        "#!/bin/sh\necho 'sbatch: error: QOSMaxSubmitJob' >&2; exit 1\n"
    )
    (commands / "sbatch").chmod(0o755)
    assert "Slurm did not take the jobs: QOSMaxSubmitJob. Nothing" in refused("--partition", "none")
    assert not list(Path(".work/submitted/tiny").glob("[0-9]*"))
    write_study(machines="same")
    assert "`machines: same`" in refused()
    one = Submission(clone / ".work/submitted/tiny/1", CELLS, "HEAD", "7", None)
    one.write()
    assert "`squeue` is not on the PATH" in refused(command="status")
    files.write_text(one.folder / "submission.json", "{")
    assert "submission.json is damaged, " in refused(command="gather")
    write_study(grids={"other": VALUES["grids"]["main"]})
    assert "Write it anew with `python -m stages.study wire tiny`" in refused()
    Path("studies/tiny/study.yaml").unlink()
    assert "There is no studies/tiny/study.yaml" in refused()


def test_held_tasks_are_not_waited_for(
    clone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study()
    Submission(clone / ".work/submitted/tiny/1", CELLS, "HEAD", "7", None).write()
    commands = clone.parent / "commands"
    commands.mkdir()
    (commands / "squeue").write_text("#!/bin/sh\necho '7_2|PENDING|JobHeldUser'\n")
    (commands / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    assert study.main(["gather", "tiny", "--wait"]) == 0
    assert "of 4 cells 1 held, 3 not begun." in capsys.readouterr().out
    assert study.main(["status", "tiny"]) == 0
    assert "held: JobHeldUser; `scontrol release 7` lets it go" in capsys.readouterr().out


def test_a_node_without_this_disk_pushes_what_it_made_and_not_what_git_had(
    clone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = f"studies/tiny/cells/{CELLS[0]}/cell.json"
    files.write_text(result, "old")
    for words in (["add", "-A"], ["commit", "-qm", "old"], ["push", "-q", "origin", "HEAD:old"]):
        subprocess.run(["git", *words], check=True)
    shutil.rmtree("studies/tiny/cells")
    runs = "touch studies/tiny/identity.json studies/tiny/pictures.json\n"
    runs += f'[ "$3" != run ] || {{ mkdir -p $(dirname {result}) && echo new > {result}; }}'
    fails = f'[ "$1$FULL" != addyes ] || exit 1\nexec {shutil.which("git")} "$@"'
    for name, does in (("python", runs), ("scontrol", ""), ("git", fails)):
        (clone.parent / name).write_text(f"#!/bin/sh\n{does}\n")
        (clone.parent / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(clone.parent / "python"))
    monkeypatch.setenv("PATH", f"{clone.parent}:{os.environ['PATH']}")
    assert study.main(["submit", "tiny", "--push", "origin", "--dry-run"]) == 0
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    script = capsys.readouterr().out
    full = os.environ | {"FULL": "yes"}  # what cannot be committed is not removed
    assert subprocess.run(["bash"], input=script, text=True, env=full, check=False).returncode
    (kept,) = clone.glob(".work/submitted/tiny/1/repository-*-0")
    subprocess.run(["bash"], input=script, text=True, check=True)
    assert not list(kept.parent.glob("repository-*"))
    subprocess.run(["git", "fetch", "-q", "origin", f"cells/tiny/{CELLS[0]}"], check=True)
    words = ["git", "show", f"FETCH_HEAD:{result}"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "new\n"


def test_a_submission_that_is_interrupted_while_slurm_takes_it_is_known(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its jobs ran, and the next submission removed the clone under them."""
    sbatch = clone.parent / "sbatch"
    sbatch.write_text("#!/bin/sh\nkill -INT $PPID\necho 7\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{clone.parent}:{os.environ['PATH']}")
    assert study.main(["submit", "tiny"]) == 0  # Ctrl-C came too late
    assert "`scancel 7` stops them" in " ".join(capsys.readouterr().out.split())
    (one,) = submissions(load_study_config("tiny"))
    assert (one.job, one.cells) == ("7", CELLS)


def test_a_task_whose_time_ends_before_it_trains_waits_anew(
    clone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was ended by the signal while it waited for an earlier task of its cell, or for git."""
    assert study.main(["submit", "tiny", "--dry-run"]) == 0
    script = capsys.readouterr().out
    folder = clone / ".work/submitted/tiny/1"
    (folder / "repository").mkdir(parents=True)
    (clone.parent / "scontrol").write_text('#!/bin/sh\n[ "$1" = show ] || echo "$@"\n')
    (clone.parent / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{clone.parent}:{os.environ['PATH']}")
    given = {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_JOB_ID": "7", "SECONDS": "100"}
    with FileLock(folder / "task-0.lock"):  # an earlier task of the cell is at work
        printed = (folder / "0.log").open("w")
        task = subprocess.Popen(["bash", "-c", script], env=os.environ | given, stdout=printed)
        printed.close()
        waits = psutil.Process(task.pid)
        until(lambda: any("flock" in one.name() for one in waits.children()))
        task.send_signal(signal.SIGUSR1)
        task.wait()
    assert (folder / "0.log").read_text() == "requeue 7_0\n"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if why := lacking():
        pytest.skip(f"no Slurm to test with: {why}")
    with Cluster(tmp_path_factory.mktemp("slurm")) as started:
        yield started


def until(true: Callable[[], object]) -> None:
    """Wait; the time limit of the tests is against hanging alone."""
    while not true():
        time.sleep(0.5)


def test_a_lost_node_and_a_killed_job_lose_nothing(
    clone: Path,
    cluster: Cluster,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])

    def told(*words: str) -> str:
        capsys.readouterr()
        assert study.main([words[0], "tiny", *words[1:]]) == 0
        return capsys.readouterr().out

    def slurm(*words: str) -> list[str]:
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()

    write_study(grids={"main": VALUES["grids"]["main"] | {"seeds": [*range(5)]}})
    commit_all(clone)
    until(lambda: slurm("sinfo", "-h", "-o", "%T") == ["idle"])
    assert "Submitted 5 cells" in told("submit")
    assert "Nothing to submit" in told("submit")
    until(lambda: len(list(Path(".work/submitted/tiny/1").glob("task-*.lock"))) == 2)
    # At once, while both tasks have only begun: a moment later one may have its result.
    running = slurm("squeue", "-h", "-r", "-w", "d2", "-o", "%i")[0]
    slurm("scancel", "--signal=KILL", "--full", running)
    cluster.kill("d1")  # its task goes on, but Slurm does not know and sends it to another node
    assert "waiting" in told("status")
    until(lambda: "down" in slurm("sinfo", "-h", "-n", "d1", "-o", "%T")[0])
    cluster.start("d1")
    told("gather", "--wait")
    assert "failed" in told("status")
    assert "Submitted" in told("submit")
    assert "5 done" in told("gather", "--wait")
    assert repeated() == []

    made = weights_hashes(clone / "studies/tiny/cells")
    shutil.rmtree("studies/tiny/cells")
    shutil.rmtree(".work/checkpoints", ignore_errors=True)
    form = load_study_config("tiny")
    for cell in form.cells:
        run_cell(form, cell, lambda line: None)
    assert made == weights_hashes(clone / "studies/tiny/cells")
    assert sorted(made) == [f"lenet_small-64-plain-{seed}" for seed in range(5)]
