"""What `make` asks for before it sets anything up."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_an_archive_without_git_is_told_before_the_set_up(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    told = subprocess.run(["make", "repro"], cwd=tmp_path, capture_output=True, text=True)
    assert told.returncode
    assert "git init" in told.stdout
    assert not (tmp_path / ".venv").exists()
