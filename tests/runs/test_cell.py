"""A study's cell is a run: read, compared, told what it lacks; those in git among them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stages.comparison.analysis.compare_runs import compare_runs
from stages.comparison.analysis.outcome import Rung
from stages.comparison.analysis.setup import same_images, same_machine
from stages.core.errors import RunError
from stages.core.files import read_json, write_json
from stages.core.git import git
from stages.runs.cell_file import (
    mend_of_cell,
    place_of,
    read_or_fault,
    seconds_again,
    took_seconds,
    undisturbed_seconds,
)
from stages.runs.run import Run, load_run
from stages.runs.sources import open_source
from stages.studies.analysis.reading import cells_of, read_results
from stages.studies.spec.identity import identity_of
from stages.studies.spec.study_config import load_study_config
from tests.comparison.made import markdown_of
from tests.studies.samples import CLASSES, fill, make_study

HOME = "studies/fast_backbones/small"
KEPT = f"{HOME}/machines/6105012a-020670df"
CELL = "repvgg_a0-500-two_epochs-0"


def read(name: str) -> Run:
    return load_run(open_source(name))


def verdict(a: str, b: str) -> tuple[Rung, list[str]]:
    """The rung, and which inputs differ."""
    found = compare_runs(read(a), read(b))
    inputs = [difference.key for difference in found.differences if difference.kind == "input"]
    return found.verdict.rung, inputs


def test_every_cell_in_git_is_known_by_its_parameters(root: Path) -> None:
    """Where this fails after a change of parameters, see LATER in `study_config`."""
    seen = 0
    for folder in sorted((root / "studies").glob("*/small/cells")):
        form = load_study_config(folder.parent.relative_to(root / "studies").as_posix())
        for cell in form.cells:
            for found in folder.parent.glob(f"*/**/{cell.name}/cell.json"):
                assert read_json(found)["params_id"] == identity_of(form.params(cell)), found
                seen += 1
    assert seen >= 84


@pytest.fixture(autouse=True)
def _in_the_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)


def test_a_cell_in_git_is_a_run() -> None:
    run = read(f"HEAD:{HOME}/cells/{CELL}")
    assert (run.params["model"], run.params["train"]["epochs"]) == ("repvgg_a0", 2)
    assert (run.train["steps"], run.evaluate["test_images"]) == (14, 2000)
    assert run.profile["latency_ms_p50"] > 0
    study = json.loads(git("show", f"HEAD:{HOME}/hardware.json"))
    assert run.hardware["cpu_capability"] == study["cpu_capability"]  # of which the cell has less
    assert run.predictions is not None
    assert set(run.predictions["label"]) == set(run.evaluate["top1_per_class"])
    assert run.trace is not None
    assert list(run.trace["step"]) == [1, 2, 5, 10]
    assert run.missing == (
        "hashes of gradients",
        "readings of numeric probes",
        "the inside of steps",
    )


def test_cells_of_a_revision_join_those_kept_of_another_machine() -> None:
    """The studies are a DVC project within the repository's, which its file system passes over."""
    form = load_study_config("fast_backbones/small")
    assert cells_of(form, "HEAD").names(Path(CELL)) == [
        "cell.json",
        "history.csv",
        "predictions.csv",
    ]
    results = read_results(form, ["HEAD"])
    assert {"6105012a-020670df", "e5ce85d5-020670df"} <= set(results.machines)
    assert len(results.cells) == len(results.machines) * len(form.cells)


def test_a_cell_is_compared_with_another() -> None:
    here, kept = f"{HOME}/machines/e5ce85d5-020670df/{CELL}", f"{KEPT}/{CELL}"
    assert verdict(here, f"HEAD:{here}") == (Rung.BIT_IDENTICAL, [])
    other_seed = ["seed", "initial weights (hash)"]
    assert verdict(here, f"{here[:-1]}1") == (Rung.INPUTS_DIFFER, other_seed)
    rung, inputs = verdict(here, kept)
    assert (inputs, rung in (Rung.BIT_IDENTICAL, Rung.INPUTS_DIFFER)) == ([], False)
    machines = [read(name).hardware["id"] for name in (here, kept)]
    assert machines == ["e5ce85d5-020670df", "6105012a-020670df"]


def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **pieces: Any) -> Path:
    """The folder of a made-up cell, whose file has `pieces` in place of its own."""
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path, models=("timm/good",), sizes=(100,), seeds=1)
    fill(form)
    folder = form.cell_folder(form.cells[0])
    write_json(folder / "cell.json", read_json(folder / "cell.json") | pieces)
    return folder


def test_what_a_cell_does_not_know_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path, monkeypatch)
    run = read(str(folder))
    assert run.params["model"] == "timm/good"
    assert {"hardware.json", "traced steps"} <= set(run.missing)
    assert run.predictions is not None
    assert set(run.predictions["label"]) == set(CLASSES)
    assert not run.predictions["name"].str.startswith("test/").any()
    changed = read(str(made(tmp_path, monkeypatch, params_id="of others")))
    assert "params.yaml (not as when the cell was made)" in changed.missing
    assert changed.params == {}
    found = compare_runs(run, changed)
    assert [difference for difference in found.differences if difference.kind == "input"] == []
    assert same_images(run, changed) is None


def test_cells_of_any_machine_are_told_apart_by_their_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = {}
    for name, machine in (("a", "aaaa-1111"), ("same", "aaaa-1111"), ("other", "bbbb-2222")):
        ids = {"id": machine, "declared_id": machine[:4], "numeric_id": machine[5:]}
        (tmp_path / name).mkdir()
        folder = made(tmp_path / name, monkeypatch, machine=ids | {"chip": "AMD EPYC"})
        write_json(Path("studies/made/hardware.json"), {"machines": "any"})
        cells[name] = read(str(folder))
        assert not any("hardware.json" in lack for lack in cells[name].missing)
        assert "hardware facts but the main ones (`machines: any` keeps no more)" in (
            cells[name].missing
        )
    assert same_machine(cells["a"], cells["same"])
    assert not same_machine(cells["a"], cells["other"])
    told = markdown_of(compare_runs(cells["a"], cells["other"]))
    assert "The machines differ in their hardware DNA." in told
    assert "| machine (hardware DNA) | aaaa-1111" in told
    assert "machine are the same" not in told


def test_steps_with_gradients_are_traced_as_a_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = {"loss": 0.1, "grad_norm": None, "grad_hash": "g", "weights_hash": "w"}
    run = read(str(made(tmp_path, monkeypatch, trace={"1": step})))
    assert run.trace is not None
    assert run.trace["loss_hex"].tolist() == [(0.1).hex()]
    assert "hashes of gradients" not in run.missing
    assert compare_runs(run, run).divergence is not None


def test_a_training_that_diverged_has_no_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = {"epoch": 7, "step": 3, "precision": "fp16"}
    pieces = {"status": "diverged", "diverged": where, "train": None, "evaluate": None}
    folder = made(tmp_path, monkeypatch, **pieces)
    (folder / "history.csv").write_text("epoch,lr,train_loss,val_loss,seconds\n")
    (folder / "predictions.csv").write_text("name,label,predicted,confidence\n")
    run = read(str(folder))
    assert "cell.json (the training diverged in epoch 7)" in run.missing
    assert compare_runs(run, run).verdict.rung is Rung.UNDECIDED


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        '{"machine": 1}',
        '{"train": [1]}',
        '{"machine": {"id": "a"}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_cell_is_told_in_a_paragraph(tmp_path: Path, content: str) -> None:
    (tmp_path / "cell.json").write_text(content)
    with pytest.raises(RunError, match=r"cell\.json is no result of a cell"):
        read(str(tmp_path))


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ({"train": {"train_seconds": "long", "train_top1": 0.5}}, "`train_seconds` is no number"),
        ({"evaluate": {"test_top1": [1], "test_top1_low": 0.1}}, "`test_top1` is no number"),
        ({"train": {"train_loss": 0.1}}, "`train` has no `train_top1`"),
        ({"evaluate": None}, "it is called finished, and has no metrics"),
        ({"diverged": {"epoch": 3}}, "`diverged.precision` is missing"),
        ({"seed": "none"}, "`seed` is wrong"),
        ({"params": {"model": "good"}}, "its content_sha256 was taken out: it was edited"),
    ],
)
def test_a_record_that_was_edited_is_told_before_anything_counts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: dict[str, Any], why: str
) -> None:
    """The records of before 0.2 have no hash of themselves, so what they hold is looked at."""
    folder = made(tmp_path, monkeypatch, **pieces)
    with pytest.raises(RunError, match=r"cell\.json is no result of a cell") as told:
        read_results(load_study_config("made"))
    assert why in str(told.value)
    assert read_or_fault(folder) == (None, "cell.json is damaged")


@pytest.mark.parametrize(
    ("figure", "value"), [("test_top1", 0.95), ("test_top1", 1.5), ("test_images", 16_000)]
)
def test_figures_that_the_answers_do_not_bear_out_are_believed_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: str, value: float
) -> None:
    folder = made(tmp_path, monkeypatch)
    record = read_json(folder / "cell.json")
    assert read_or_fault(folder) == (record, "")
    write_json(folder / "cell.json", record | {"evaluate": record["evaluate"] | {figure: value}})
    told = r"cell\.json says that .* answers are right, and predictions\.csv that \d+ of \d+ are"
    assert re.fullmatch(told, read_or_fault(folder)[1])
    with pytest.raises(RunError, match=rf"^studies/made/cells/timm/good-100-plain-0: {told}\. Run"):
        read_results(load_study_config("made"))


def test_a_record_in_the_folder_of_another_cell_is_called_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(tmp_path, monkeypatch, cell="timm/good-100-plain-1")
    assert read_or_fault(folder) == (None, "cell.json is of timm/good-100-plain-1")


def test_a_study_is_no_run() -> None:
    with pytest.raises(RunError, match=r"is a study, which is many runs\. Name one of its cells"):
        read(HOME)


def test_what_to_do_about_a_damaged_cell_is_said_by_where_it_lies() -> None:
    own = mend_of_cell("workspace:studies/pets/small/cells/a-1")
    assert "Run `dvc --cd studies repro -k pets/small/dvc.yaml`" in own
    other = mend_of_cell("studies/pets/machines/e5ce-0206/a-1")
    assert other.endswith("or if it is in git, `git restore studies/pets/machines/e5ce-0206/a-1`.")
    assert place_of("studies:pets/cells/a-1/cell.json") == "studies/pets/cells/a-1/cell.json"
    assert place_of("main:studies/pets") == "main:studies/pets"
    assert mend_of_cell(f"{HOME}:cells/a-1") == mend_of_cell(f"{HOME}/cells/a-1")
    assert "It is so in main: " in mend_of_cell("main:studies/pets/cells/a-1")


def test_a_cell_without_its_study_is_still_a_run(tmp_path: Path) -> None:
    source = Path(f"{HOME}/cells/{CELL}")
    for name in ("cell.json", "history.csv", "predictions.csv"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    rung, inputs = verdict(str(tmp_path), f"{source}")
    assert (rung, inputs) == (Rung.BIT_IDENTICAL, [])
    assert json.loads((tmp_path / "cell.json").read_text())["model"] == "repvgg_a0"


def test_a_resumed_training_took_no_less_than_its_epochs() -> None:
    """Its process knows its own time alone; features of a probe another cell may have computed."""
    resumed = {"cell_seconds": 30.0, "train": {"train_seconds": 200.0}}
    assert took_seconds(resumed) == 200.0
    assert took_seconds({**resumed, "cell_seconds": 250.0}) == 250.0
    assert took_seconds({**resumed, "params": {"finetune": "probe"}}) == 30.0
    assert took_seconds({"cell_seconds": 5.0, "train": None}) == 5.0
    assert seconds_again({"cell_seconds": 60.0, "train": None, "profile_seconds": 50.0}) == 10.0
    assert seconds_again({**resumed, "profile_seconds": 20.0}) == 200.0


def test_a_pause_of_the_machine_is_not_part_of_a_training() -> None:
    """One epoch of five took an hour; a fitted head, which has one, keeps the clock's time."""
    paused = {"train_seconds": 3640.0, "epoch_seconds_p50": 10.0, "epochs_run": 5}
    assert undisturbed_seconds(paused) == 50.0
    assert took_seconds({"cell_seconds": 3650.0, "train": paused}) == 3650.0
    assert seconds_again({"cell_seconds": 3650.0, "train": paused}) == 60.0
    assert undisturbed_seconds({"train_seconds": 7.0}) == 7.0
    assert undisturbed_seconds({}) is None
