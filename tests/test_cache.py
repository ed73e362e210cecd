"""What is cached can be removed, but not from under a training."""

import pytest
from filelock import FileLock

from stages.cache import main


def test_what_is_no_cache_or_held_is_left_alone_and_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    checkpoints = tmp_path / ".work/checkpoints"
    for name in ("held", "done"):
        (checkpoints / name).mkdir(parents=True)
        (checkpoints / name / "lock").touch()
        (checkpoints / name / "step.pt").touch()
    (tmp_path / ".work/pools").mkdir()
    (tmp_path / ".work/pools/a.csv").touch()
    submitted = tmp_path / ".work/submitted/pets"
    cell = submitted / "1/repository/studies/pets/cells/a/cell.json"
    cell.parent.mkdir(parents=True)
    cell.touch()
    (submitted / "lock").touch()
    with FileLock(checkpoints / "held/lock"):
        assert main(clear=True) == 0
    told = capsys.readouterr().out
    assert "checkpoints/held, kept" in told
    assert "checkpoints/done, removed" in told
    assert "submitted/pets, kept: cells submitted as jobs" in told
    assert cell.exists()
    assert [path.name for path in checkpoints.iterdir()] == ["held"]
    assert (checkpoints / "held/step.pt").exists()
    assert not list((tmp_path / ".work/pools").iterdir())


@pytest.mark.parametrize("clear", [False, True])
def test_nothing_cached(tmp_path, monkeypatch, capsys, clear):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert main(clear) == 0
    assert capsys.readouterr().out == "nothing is cached\n"
