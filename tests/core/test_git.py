"""What git prints is read as UTF-8 in any locale, and a refusal tells git's reason."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages.core.errors import RunError
from stages.core.git import git, git_or_none


def test_names_outside_ascii_are_read_in_a_plain_locale(tmp_path: Path, root: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    program = "from stages.core.git import git; print(ascii(git('config', 'x.folder')))"
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    plain["PYTHONPATH"] = str(root)
    subprocess.run(["git", "config", "x.folder", "data/Mädchen"], cwd=tmp_path, check=True)
    told = subprocess.check_output([sys.executable, "-c", program], cwd=tmp_path, env=plain)
    assert told.decode().strip() == r"'data/M\xe4dchen'"


def test_an_absent_git_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_or_none("status") is None
    with pytest.raises(RunError, match="git is not installed"):
        git("status")


def test_a_refusal_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert git_or_none("rev-parse", "HEAD", folder=tmp_path) is None
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="`git rev-parse HEAD` failed: fatal: "):
        git("rev-parse", "HEAD")
