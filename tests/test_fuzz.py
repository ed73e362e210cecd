"""A short form of `benchmarks/fuzz.py`: bad input is refused in a paragraph, never believed."""

from pathlib import Path

import pytest

from benchmarks import fuzz
from stages.training.checkpoint import Checkpoints


@pytest.mark.filterwarnings("ignore")  # PyTorch's and NumPy's, about what they are fed
@pytest.mark.parametrize(("part", "count"), [("params", 48), ("weights", 42), ("folders", 15)])
def test_bad_input_is_refused_in_a_paragraph(part: str, count: int, tmp_path: Path) -> None:
    assert [trial for trial in fuzz.TRIES[part](count, 7, tmp_path) if trial.wrong] == []


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_refused_or_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpoints, "clear", Checkpoints.clear)  # the trial replaces it
    tried = fuzz.try_damage(13, 7, tmp_path, without=("fingerprint", "profile", "report"))
    assert [trial for trial in tried if trial.wrong] == []
