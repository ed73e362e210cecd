"""The studies as a DVC project of their own, in a fresh clone: no verb fails, warns or floods."""

import subprocess
from pathlib import Path

import pytest

from tests.pipeline.running import BIN, ROOT, commit_all, copy_tracked

ALWAYS = {"fingerprint", "pictures", "page"}
FORMS = [
    path.parent.relative_to(ROOT / "studies").as_posix() + "/dvc.yaml"
    for path in sorted(ROOT.glob("studies/*/small/dvc.lock"))
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working tree with the results of all studies, freshly cloned."""
    folder = tmp_path_factory.mktemp("clone")
    copy_tracked(folder)
    commit_all(folder)
    return folder


def dvc(clone: Path, *words: str) -> str:
    """What a command says; fails when it fails, or when it warns."""
    done = subprocess.run(
        [BIN / "dvc", *words], cwd=clone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "WARNING" not in done.stdout
    return done.stdout


def test_the_root_sees_nothing_of_the_studies(clone: Path) -> None:
    for words in (["stage", "list", "--all"], ["status"], ["metrics", "show"]):
        assert "studies" not in dvc(clone, *words)


def test_committed_cells_need_not_run(clone: Path) -> None:
    lines = dvc(clone, "--cd", "studies", "status", *FORMS).splitlines()
    stages = {line.strip(":").rpartition(":")[2] for line in lines if not line.startswith("\t")}
    assert stages == ALWAYS
    assert {line.strip() for line in lines if line.startswith("\t")} == {"always changed"}


@pytest.mark.parametrize(
    "verb", [["checkout"], ["metrics", "show"], ["dag", FORMS[0]], ["repro", "--dry", *FORMS]]
)
def test_no_verb_fails_or_warns(verb: list[str], clone: Path) -> None:
    dvc(clone, "--cd", "studies", *verb)


def test_nothing_is_missing_in_a_remote(clone: Path, tmp_path: Path) -> None:
    dvc(clone, "--cd", "studies", "remote", "add", "-q", "--local", "-d", "shelf", str(tmp_path))
    for verb in ("push", "pull"):
        assert "Everything is up to date" in dvc(clone, "--cd", "studies", verb)
