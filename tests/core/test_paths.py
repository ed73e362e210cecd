"""The real repository is found from either of its two DVC projects."""

from pathlib import Path

import pytest

from stages.core.paths import dvc_root, raw_folder, work_folder


@pytest.mark.parametrize("project", ["", "studies"])
def test_both_projects_share_caches_and_archives(
    project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path, tmp_path / "studies"):
        (folder / ".dvc").mkdir(parents=True)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / project))
    assert work_folder() == tmp_path / ".work"
    assert raw_folder() == tmp_path / "data/raw"


def test_a_clone_may_lie_in_a_folder_of_the_projects_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "studies"))
    assert dvc_root() == tmp_path / "studies"


def test_without_dvc_it_is_the_working_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert dvc_root() == Path()
