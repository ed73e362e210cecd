"""The page against independent lines of pandas, and what must appear on it or disappear."""

import json
import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
import yaml
from scipy import stats

from stages.core import files
from stages.core.errors import RunError
from stages.core.records import write_record
from stages.studies.analysis.reading import read_results
from stages.studies.jobs.status import status
from stages.studies.page.page import write_page
from stages.studies.run.keep import keep_cells
from stages.studies.run.losses import require_pictures_of_outdated
from stages.studies.run.states import FINISHED, State, states_of
from stages.studies.spec.study_config import StudyConfig, load_study_config
from tests.studies.samples import fill, make_study, write_cell


@pytest.fixture
def form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyConfig:
    monkeypatch.chdir(tmp_path)
    made = make_study(tmp_path)
    fill(made)
    return made


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyConfig, str, str]:
    """A finished study and its page, for the tests that only read them."""
    root = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        made = make_study(root)
        fill(made)
        text, html = page(made)
    folder = root / "studies" / "made"
    return replace(made, folder=folder), text, html


def page(form: StudyConfig) -> tuple[str, str]:
    write_page("made")
    folder = form.folder
    return (folder / "report.md").read_text(), (folder / "report.html").read_text()


def rows_of(text: str, first: str) -> list[list[str]]:
    """The rows of the Markdown table whose head begins with `first`."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first}"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def answers_of(form: StudyConfig) -> pd.DataFrame:
    """Every answer of every cell: model, size, seed, name, right."""
    tables = []
    for path in form.folder.glob("cells/*/predictions.csv"):
        model, size, _, seed = path.parent.name.split("-")
        tables.append(pd.read_csv(path).assign(model=model, size=size, seed=seed))
    every = pd.concat(tables)
    return every.assign(right=(every["label"] == every["predicted"]).astype(float))


def lacking(share: float, images: int = 200) -> float:
    """By how much the variance of a share is less than with two more right and two wrong."""
    agresti = (share * images + 2) / (images + 4)
    more = agresti * (1 - agresti) / (images + 4)
    return max(0.0, more - share * (1 - share) / images)


def pooled_spread(form: StudyConfig) -> float:
    """Of one run over two seeds: their median, or what images make that the two answer unlike."""
    answers = answers_of(form)
    runs = answers.groupby(["model", "size", "seed"])["right"].mean()
    median = runs.groupby(["model", "size"]).var().median() / stats.chi2.median(1)
    right = answers.pivot_table(index=["model", "size", "name"], columns="seed", values="right")
    unlike = (right["0"] - right["1"]).groupby(["model", "size"])
    seen = unlike.var(ddof=0) / unlike.size() / 2
    by_images = (seen + runs.map(lacking).groupby(["model", "size"]).mean()).mean()
    return math.sqrt(max(median, by_images))


def test_the_page_in_markdown_shows_charts(whole: tuple[StudyConfig, str, str]) -> None:
    form, text, _ = whole
    for name in ("accuracy", "latency"):
        assert f"]({name}.svg)" in text
        assert ElementTree.parse(form.folder / f"{name}.svg").getroot().tag.endswith("}svg")


def test_the_page_opens_with_who_is_best_at_every_size(whole: tuple[StudyConfig, str, str]) -> None:
    """One of three models is at chance: it is best nowhere, and counts among those that ran."""
    form, text, html = whole
    means = answers_of(form).groupby(["size", "model"])["right"].mean()
    first = {size: str(own.idxmax()[1]) for size, own in means.groupby("size")}
    opening = next(line for line in text.splitlines() if line.startswith("**With"))
    assert opening.startswith(f"**With 400 images {first['400']} has the highest accuracy")
    elsewhere = ", ".join(
        f"with {size} {first[size]} ({100 * means[size, first[size]]:.1f} %) of 3"
        for size in ("100", "200")
    )
    assert opening.endswith(f" Highest elsewhere: {elsewhere}.**")
    assert opening.strip("*") in " ".join(html.split())


def test_means_and_intervals_are_those_of_plain_pandas(whole: tuple[StudyConfig, str, str]) -> None:
    form, text, _ = whole
    runs = answers_of(form).groupby(["model", "size", "seed"])["right"].mean()
    groups = runs.groupby(["model", "size"])
    pooled = pooled_spread(form)
    shares = answers_of(form).groupby(["model", "size", "name"])["right"].mean()
    for row in rows_of(text, "backbone | 100 images"):
        for size, shown in zip(("100", "200", "400"), row[1:], strict=True):
            spread = max(pooled, groups.std()[row[0], size])
            seeds = stats.t.ppf(0.975, 9) * spread / math.sqrt(2)
            drawn = shares[row[0], size].var(ddof=0) / 200
            drawn += sum(map(lacking, runs[row[0], size])) / 4  # of each of two runs
            images = 1.96 * math.sqrt(drawn)
            mean, half_width = groups.mean()[row[0], size], math.hypot(seeds, images)
            assert shown == f"{100 * mean:.1f} ± {100 * half_width:.1f} % (2)"


def test_differences_are_those_of_plain_pandas(whole: tuple[StudyConfig, str, str]) -> None:
    """The claim that compares two models, seeds and images recomputed, pair by pair."""
    form, text, _ = whole
    answers = answers_of(form)
    runs = answers.groupby(["model", "size", "seed"])["right"].mean()
    groups = runs.groupby(["model", "size"])
    pooled = pooled_spread(form)
    sides = [("good", "100"), ("poor", "100")]
    spreads = [max(pooled, groups.std()[side]) for side in sides]
    shares = answers.groupby(["model", "size", "name"])["right"].mean()
    paired = (shares[sides[0]] - shares[sides[1]]).std(ddof=0) / math.sqrt(200)
    seeds = stats.t.ppf(0.975, 9) * math.hypot(*spreads) / math.sqrt(2)
    half_width = math.hypot(seeds, 1.96 * paired)
    difference = groups.mean()[sides[0]] - groups.mean()[sides[1]]
    shown = next(row for row in rows_of(text, "claim") if row[0] == "good beats poor at 100")
    assert shown[3].endswith(f": {100 * difference:+.1f} ± {100 * half_width:.1f} points")


def test_classes_and_gaps_are_those_of_plain_pandas(whole: tuple[StudyConfig, str, str]) -> None:
    form, text, _ = whole
    tables = [
        pd.read_csv(path).assign(cell=path.parent.name)
        for path in form.folder.glob("cells/good-400-*/predictions.csv")
    ]
    every = pd.concat(tables)
    right = (every["label"] == every["predicted"]).groupby(every["label"]).mean()
    for label, row in enumerate(rows_of(text, "class | good")):
        assert row[1] == f"{100 * right[label]:.0f} %"
    gaps = {(row[0], row[1]): row for row in rows_of(text, "backbone | images | training | test")}
    good = [json.loads(p.read_text()) for p in form.folder.glob("cells/good-400-*/cell.json")]
    train = sum(r["train"]["train_top1"] for r in good) / 2
    assert gaps["good", "400"][2] == f"{100 * train:.1f} %"


def test_efficiency_is_by_the_formula_that_is_stated(whole: tuple[StudyConfig, str, str]) -> None:
    form, text, _ = whole
    good = [json.loads(p.read_text()) for p in form.folder.glob("cells/good-400-*/cell.json")]
    top1 = sum(r["evaluate"]["test_top1"] for r in good) / 2
    row = next(r for r in rows_of(text, "backbone | accuracy | M param") if r[0] == "good")
    assert row[2] == f"{20 / top1:.3g}"


def test_the_curves_say_who_leads_at_a_size_that_was_not_run(
    whole: tuple[StudyConfig, str, str],
) -> None:
    _, text, _ = whole
    assert "At 800 images, which were not run, no leader can be told: good is expected" in text


def test_claims_get_the_verdict_that_the_runs_give(whole: tuple[StudyConfig, str, str]) -> None:
    _, text, _ = whole
    verdicts = {row[0]: row[2] for row in rows_of(text, "claim")}
    assert verdicts["good beats poor at 100"] == "holds"
    assert verdicts["poor beats good at 400"] == "does not hold"
    assert verdicts["fair beats poor by 90 points"] == "does not hold"


def test_slips_of_the_source_are_notes_to_its_table(whole: tuple[StudyConfig, str, str]) -> None:
    _, text, html = whole
    rows = rows_of(text, "backbone | images | accuracy | here")
    assert [row[0] for row in rows] == [r"good \[1]", "resnet18"]
    for page_text in (text, html):
        assert "[1] Corrected: the source has 8.0" in page_text


def test_a_removed_model_disappears_and_its_claims_are_not_run(form: StudyConfig) -> None:
    values = yaml.safe_load((form.folder / "params.yaml").read_text())
    files.write_text(form.folder / "small" / "params.yaml", yaml.safe_dump(values))
    values["grids"]["main"]["models"] = ["good", "fair"]
    files.write_text(form.folder / "params.yaml", yaml.safe_dump(values))
    text, html = page(load_study_config("made"))
    assert [row[0] for row in rows_of(text, "backbone | 100 images")] == ["good", "fair"]
    assert "poor-400-plain-0" not in html
    verdicts = {row[0]: row[2] for row in rows_of(text, "claim")}
    assert verdicts["good beats poor at 100"] == "not run"


def test_backbones_that_begin_otherwise_are_told_by_model_and_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stem for small pictures may be what leads, and not the backbone behind it."""
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path, ("good", "fair"), (100,), recipes={"plain": {}, "stem": {}})
    fill(form)
    assert "First layers" not in page(form)[0]
    for path in form.cells_folder.glob("*-100-*-*/cell.json"):
        cell = json.loads(path.read_text())
        small = cell["model"] == "good" and cell["recipe"] == "stem"
        cell["train"]["adapted"] = {"stem": "3×3" if small else "7×7", "head": "new"}
        files.write_json(path, cell)
    told = "First layers as they ran: good plain, fair (stem 7×7); good stem (stem 3×3)."
    assert told in page(form)[0]


def test_missing_and_diverged_cells_are_said(form: StudyConfig) -> None:
    (form.folder / "cells/fair-200-plain-1/cell.json").unlink()
    for name in ("poor-400-plain-0", "poor-400-plain-1", "good-100-plain-1"):
        path = form.folder / f"cells/{name}/cell.json"
        cell = json.loads(path.read_text())
        where = {"epoch": 7, "step": 3, "precision": "fp16"}
        cell |= {"status": "diverged", "diverged": where}
        for key in ("train", "evaluate", "trace"):
            del cell[key]
        files.write_json(path, cell)
    text, _ = page(form)
    assert "1 of 18 runs is still missing" in text
    rows = {row[0]: row for row in rows_of(text, "backbone | 100 images")}
    assert rows["poor"][3] == "diverged at epoch 7, fp16"
    assert rows["fair"][2].endswith("(1)")
    assert rows["good"][1].endswith("(1, 1 diverged)")
    every = {row[0]: row[1] for row in rows_of(text, "run | result")}
    assert every["poor-400-plain-0"] == "diverged at epoch 7, fp16"
    assert every["fair-200-plain-1"] == "not run"
    assert every["good-100-plain-0"].endswith(" %")


def test_status_tells_that_a_cell_diverged(
    form: StudyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = State(detail="diverged at epoch 7, fp16")
    states = dict.fromkeys((cell.name for cell in form.cells), state)
    monkeypatch.setattr("stages.studies.jobs.status.states_of", lambda _form: states)
    assert "good-100-plain-0  done: diverged at epoch 7, fp16" in status(form)


def test_runs_of_other_parameters_are_left_out_and_named(form: StudyConfig) -> None:
    """Those kept of other machines too: they had been taken for runs of the present ones."""
    keep_cells(form)
    path = form.folder / "params.yaml"
    path.write_text(path.read_text().replace("epochs: 3", "epochs: 4"))
    form = load_study_config("made")
    write_cell(form, "good-100-plain-0", "aaaa-1111")
    write_page("made")
    text = (form.folder / "report.md").read_text()
    with pytest.raises(RunError, match=r"git knows no revision 'nope'\. .* the key `with` of "):
        read_results(form, ["nope"])
    assert keep_cells(form).endswith(
        f"{len(form.cells) - 1} of them are of other parameters or pictures than the study has "
        "now: the page leaves such cells out."
    )
    left = len(form.cells) - 1
    assert f"{left} runs of other parameters or pictures than now are left out, such as " in text
    kept = "kept in `machines/` or of other revisions are of other parameters or pictures than now "
    assert (
        f"{len(form.cells)} runs {kept}and left out, such as studies/made/machines/aaaa-1" in text
    )
    assert f"**1 of {len(form.cells)}**" in text


def test_a_damaged_table_is_missing_for_the_plan_and_told_by_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path, more={"machines": "any"})
    fill(form)
    first = form.cells[0]
    folder = form.cell_folder(first)
    about = files.read_json(folder / "cell.json")
    digests = {
        name: files.sha256_of_file(folder / name) for name in ("history.csv", "predictions.csv")
    }
    write_record(folder / "cell.json", about | {"files_sha256": digests})
    assert states_of(form)[first.name] == FINISHED
    keep_cells(form)
    with (folder / "predictions.csv").open("a") as table:
        table.write("x,0,0,1.0\n")
    with pytest.raises(RunError, match=rf"^{folder}/predictions\.csv is damaged or gone, so this"):
        keep_cells(form)
    shutil.rmtree(form.machines_folder)
    damaged = "missing (predictions.csv is damaged; DVC makes it anew)"
    assert str(states_of(form)[first.name]) == damaged
    with pytest.raises(RunError, match=r"Run `dvc --cd studies repro -k made/dvc\.yaml`"):
        read_results(form)
    files.write_json(folder / "cell.json", about)  # a record of before 0.2
    with pytest.raises(RunError, match=r"right, and predictions\.csv that .* so this cell is not"):
        keep_cells(form)
    write_record(folder / "cell.json", about | {"files_sha256": digests})
    (folder / "predictions.csv").unlink()
    assert (
        str(states_of(form)[first.name]) == "missing (predictions.csv is gone; DVC makes it anew)"
    )
    with pytest.raises(RunError, match=r"predictions\.csv \(gone\)"):
        read_results(form)
    edited = json.dumps(about | {"files_sha256": digests})  # without the hash of its content
    for content in ("{", "[1]", '{"machine": {"id": "aaaa"}}', edited):
        (folder / "cell.json").write_text(content)
        assert (
            str(states_of(form)[first.name]) == "missing (cell.json is damaged; DVC makes it anew)"
        )
        require_pictures_of_outdated(form)
        with pytest.raises(RunError, match=rf"^{folder}/cell\.json is .* Run `dvc --cd"):
            read_results(form)
    second = form.cell_folder(form.cells[1])
    (second / "cell.json").write_text("{")
    with pytest.raises(RunError, match=rf"Damaged are also: {second}\.$"):
        read_results(form)


def test_a_size_at_which_nothing_ran_is_not_where_a_smaller_one_diverged(form: StudyConfig) -> None:
    for seed in (0, 1):
        (form.folder / f"cells/poor-400-plain-{seed}/cell.json").unlink()
    path = form.folder / "cells/poor-100-plain-0/cell.json"
    cell = json.loads(path.read_text())
    where = {"epoch": 7, "step": 3, "precision": "fp16"}
    files.write_json(path, cell | {"status": "diverged", "diverged": where, "train": None,
                                   "evaluate": None})  # fmt: skip
    text, _ = page(form)
    rows = {row[0]: row for row in rows_of(text, "backbone | 100 images")}
    assert rows["poor"][1].endswith("(1, 1 diverged)")
    assert rows["poor"][3] == "–"


def test_every_figure_names_its_cells_and_every_cell_its_command(
    whole: tuple[StudyConfig, str, str],
) -> None:
    form, text, html = whole
    assert '<abbr title="runs: good-100-plain-0, good-100-plain-1; ' in html
    for cell in form.cells:
        command = f"dvc --cd studies repro -f made/dvc.yaml:main@{cell.name}"
        assert command in text
        assert command in html


def test_another_machine_is_another_column(form: StudyConfig, tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b",
                        *words], check=True, capture_output=True)  # fmt: skip

    alone = read_results(form).cells
    git("init", "-q")
    for cell in form.cells[:9]:
        write_cell(form, cell.name, "bbbb-2222", faster=4.0)
    git("add", ".")
    git("commit", "-qm", "other")
    git("branch", "machine-mac")
    fill(form)
    both = read_results(form, ["machine-mac"])
    assert len(both.cells) == len(alone) + 9
    write_page("made", ["machine-mac"])
    text = (form.folder / "report.md").read_text()
    assert "100 images · machine 1" in text
    assert "100 images · machine 2" in text
    speed = {row[1]: row[-1] for row in rows_of(text, "machine | hardware DNA")}
    assert speed["bbbb-2222"] == "4×"


def test_a_page_without_any_cell_still_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = make_study(tmp_path)
    text, html = page(made)
    assert "no cell has finished yet" in text
    assert "dvc --cd studies repro -k made/dvc.yaml" in html
