"""The command: what it reads, prints and returns."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stages.compare import main
from tests.comparison.made import PARAMS, predictions, trace, write_run


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "a")
    write_run(tmp_path / "same")
    write_run(
        tmp_path / "near", train={"weights_sha256": "v" * 64}, trace=trace(parted=1),
        predictions=predictions(moved=1),
    )  # fmt: skip
    write_run(tmp_path / "far", train={"weights_sha256": "u" * 64}, trace=trace(parted=2, distance=0.1))  # fmt: skip  # noqa: E501
    write_run(tmp_path / "twin", params={"train": PARAMS["train"] | {"perturb_one_ulp": True}})
    write_run(tmp_path / "else", params={"seed": 8})
    return tmp_path


@pytest.mark.parametrize(
    ("names", "status", "words"),
    [
        (["a", "same"], 0, "Bit-identical"),
        (["a", "near"], 0, "Rounding-equivalent"),
        (["a", "far"], 1, "Different in the backward pass"),
        (["a", "else"], 2, "Inputs differ"),
        (["a", "same", "near"], 0, "bit-identical, churn 0.00%"),
        (["a", "same", "far"], 1, "different"),
        (["a", "near", "--perturbed", "twin"], 0, "one ULP changes 0.00%"),
    ],
)
def test_verdicts_and_statuses(
    runs: Path, capsys: pytest.CaptureFixture[str], names: list[str], status: int, words: str
) -> None:
    assert main(names) == status
    assert words in capsys.readouterr().out


def test_json_and_page(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a", "near", "--json", "--html", "report/page.html"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "rounding-equivalent"
    assert (runs / "report/page.html").read_text().startswith("<!doctype html>")
    assert main(["a", "near", "far", "--json", "--html", "report/matrix.html"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert len(found["pairs"]) == 3
    assert found["here"] == []
    page = (runs / "report/matrix.html").read_text()
    assert "Runs compared with one another" in page
    assert page.count("Rounding-equivalent:") == 1


def test_seeds_are_paired_across_machines(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (1, 2, 3):
        for machine in ("mac", "cuda"):
            top1 = {"test_top1": 0.9 + seed / 100 + (machine == "mac") / 1000}
            write_run(runs / f"{machine}-{seed}", params={"seed": seed}, evaluate=top1)
    assert main(["mac-1,mac-2,mac-3", "cuda-3,cuda-1,cuda-2"]) == 0
    assert "Over 3 seeds on each machine" in capsys.readouterr().out
    assert main(["mac-1,mac-2,mac-3", "mac-1,mac-2,mac-3"]) == 0
    same = capsys.readouterr().out
    assert "Bit-identical" in same
    assert "To show equivalence takes" not in same
    assert main(["mac-1,mac-2", "else,a"]) == 2
    assert "mac-1 (seed 1)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a"], "One run alone cannot be compared"),
        (["a", "same", "--margin", "0"], "--margin is 0"),
        (["a", "near", "--perturbed", "same"], "same is no run perturbed by one ULP"),
        (["a,else", "same", "near"], "More than two machines are compared by one run each"),
        (["a,else", "same,near", "--replay"], "name no seeds joined by commas"),
        (["a", "--origin", "same"], "with --origin behind the runs"),
        (["a", "same", "--replay"], "has no state to replay from"),
        (["a", "--origin", "none.json"], "--origin: there is no file none.json"),
        (["a", "--origin", "."], "--origin: there is no file ."),
        (["a", "same", "--replay", "--replay-seconds", "-5"], "--replay-seconds is -5"),
        (["a", "same", "--replay", "--replay-seconds", "nan"], "--replay-seconds is nan"),
        (["a", "same", "--html", "."], "--html . is a folder"),
    ],
)
def test_mistakes_are_told_in_a_paragraph(
    runs: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(arguments) == 2
    assert words in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("option", ["--replay", "--origin"])
def test_a_study_s_cell_cannot_be_computed_again(
    root: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    cell = next((root / "studies").glob("*/cells/*/"))
    assert main([str(cell), option]) == 2
    assert "which keeps neither states nor" in " ".join(capsys.readouterr().err.split())


def test_an_error_of_the_program_is_no_difference(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr("stages.runs.run.load_run", broken)
    assert main(["a", "same"]) == 2
    assert "ValueError: a defect" in capsys.readouterr().err


def test_help_is_quick_because_nothing_is_imported() -> None:
    heavy = "{'torch', 'pandas', 'scipy', 'matplotlib', 'dvc'}"
    code = (
        "import sys\n"
        "from stages.compare import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit: pass\n"
        f"assert not {heavy} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
