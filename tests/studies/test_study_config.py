from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.core import files
from stages.core.errors import ParamsError
from stages.studies.spec.claims import parse
from stages.studies.spec.identity import identity_of
from stages.studies.spec.new_study import new_study
from stages.studies.spec.pipeline_file import pipeline
from stages.studies.spec.study_config import check_name, load_study_config
from stages.studies.spec.study_source import load_study_source
from tests.studies.samples import make_study

GRID = {"models": ["lenet_small"], "sizes": [8], "recipes": ["plain"], "seeds": [0]}
SHIPPED = ("small_data", "capacity_vs_data", "vit_vs_resnet", "lenet_to_resnet", "fast_backbones")


@pytest.mark.parametrize("form", ["", "/small"])
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_study_is_whole(
    name: str, form: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    read = load_study_config(name + form)
    story = load_study_source(read)
    for cell in read.cells:
        assert read.params(cell).model == cell.model
    for claim in story.claims:
        parse(claim.claim, read)
    assert pipeline(read) == (read.folder / "dvc.yaml").read_text(encoding="utf-8")


def test_cells_are_the_products_of_the_grids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path)
    assert len(form.cells) == 3 * 3 * 2
    assert form.cells[0].name == "good-100-plain-0"
    params = form.params(form.cells[0])
    assert params.subset.train == 100
    assert params.train.epochs == 3


def test_two_cells_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipes: dict[str, dict[str, Any]] = {"plain": {}, "500-plain": {}}
    form = make_study(tmp_path, models=("m", "m-500"), sizes=(500,), recipes=recipes)
    with pytest.raises(ParamsError, match="would both be called m-500-500-plain-0"):
        _ = form.cells


def test_a_recipe_changes_what_it_names_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path)
    values = yaml.safe_load((form.folder / "params.yaml").read_text())
    values["recipes"]["plain"] = {"train": {"lr": 0.5}}
    files.write_text(form.folder / "params.yaml", yaml.safe_dump(values))
    params = load_study_config("made").params(form.cells[0])
    assert (params.train.lr, params.train.epochs) == (0.5, 3)
    assert identity_of(params) != identity_of(form.params(form.cells[0]))


def test_numbers_are_read_as_dvc_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """YAML 1.1 takes 1e-3 for text; DVC, and whoever writes it, for a number."""
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path)
    path = form.folder / "params.yaml"
    text = path.read_text().replace("epochs: 3", "epochs: 3\n    lr: 2e-3")
    files.write_text(path, text)
    story = form.folder / "study.yaml"
    files.write_text(story, story.read_text() + "target_top1: 5e-1\n")
    form = load_study_config("made")
    assert form.file.base["train"]["lr"] == 0.002
    assert form.params(form.cells[0]).train.lr == 0.002
    assert load_study_source(form).target_top1 == 0.5


def test_where_the_pictures_lie_does_not_decide_a_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = make_study(tmp_path).params(make_study(tmp_path).cells[0])
    moved = params.model_copy(
        update={"dataset": params.dataset.model_copy(update={"folder": "elsewhere"})}
    )
    assert identity_of(params) == identity_of(moved)


def test_mistakes_are_one_paragraph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path)
    with pytest.raises(ParamsError, match="There is no"):
        load_study_config("absent")
    with pytest.raises(ParamsError, match="has no cell"):
        form.find("good", "999", "plain", 0)
    with pytest.raises(ParamsError, match="cannot be read"):
        parse("good is nicer than poor", form)
    values = yaml.safe_load((form.folder / "params.yaml").read_text())
    values["base"]["train"]["lr"] = -1
    files.write_text(form.folder / "params.yaml", yaml.safe_dump(values))
    with pytest.raises(ParamsError, match=r"train\.lr"):
        load_study_config("made").params(form.cells[0])
    values["gridz"] = {}
    files.write_text(form.folder / "params.yaml", yaml.safe_dump(values))
    with pytest.raises(ParamsError, match="gridz"):
        load_study_config("made")


@pytest.mark.parametrize(
    "name",
    ["y;touch x", "../../x", "/abs", "", "my pets", "-pets", "pets/", "pets/large", "$HOME", "a\n"],
)
def test_a_name_that_is_no_name_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParamsError, match="letters, digits, - and _"):
        load_study_config(name)
    with pytest.raises(ParamsError, match="letters, digits, - and _"):
        new_study(name, {"folder": "pictures"}, {}, epochs=1, px=32)
    assert not list(tmp_path.iterdir())


def test_the_small_form_has_a_name_but_is_no_new_study() -> None:
    check_name("pets_2-b/small")
    with pytest.raises(ParamsError):
        check_name("pets_2-b/small", small=False)


@pytest.mark.parametrize(
    ("key", "value"),
    [("models", "x'; touch y; '"), ("models", "../x"), ("recipes", "a.b"), ("sizes", "1;2")],
)
def test_what_would_break_a_command_is_refused(
    key: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path)
    values = yaml.safe_load((form.folder / "params.yaml").read_text())
    values["grids"]["main"][key] = [value]
    files.write_text(form.folder / "params.yaml", yaml.safe_dump(values))
    with pytest.raises(ParamsError, match=rf"grids\.main\.{key}"):
        load_study_config("made")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"grids": {}}, r"`grids` is \{\}; at least one is needed"),
        ({"grids": {"page": GRID}}, r"`grids\.page` cannot be: page is a stage of every study"),
        ({"grids": {"main": {**GRID, "seeds": [True]}}}, r"`grids\.main\.seeds\.0` is true; allow"),
        ({"grids": {"main": {**GRID, "seeds": [0, 1, 0]}}}, r"seeds` is wrong: 0 is in it twice"),
        ({"grids": {"main": {**GRID, "models": ["a", "a"]}}}, r"models` .*: a is in it twice"),
        ({"grids": {"main": 3}}, r"`grids\.main` is 3; allowed is keys with values"),
        ({"recipes": []}, r"`recipes` is \[\]; allowed is keys with values"),
        ({"base": {"subset": 4}}, r"`subset` is 4"),
        ({"recipes": {"plain": {"train": 4}}}, r"`train` is 4"),
    ],
)
def test_a_mistaken_file_is_told_in_words(
    values: dict[str, Any], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path)
    file = yaml.safe_load((form.folder / "params.yaml").read_text())
    files.write_text(form.folder / "params.yaml", yaml.safe_dump(file | values))

    def read() -> None:
        mistaken = load_study_config("made")
        mistaken.params(mistaken.cells[0])

    with pytest.raises(ParamsError, match=told):
        read()


@pytest.mark.parametrize(
    ("place", "values", "told"),
    [
        ("base", {"subset": {"train": 100}}, r"`base\.subset\.train` does nothing.*`sizes`"),
        ("base", {"seed": 3}, r"`base\.seed` does nothing.*`seeds`"),
        ("recipe", {"model": "lenet_small"}, r"`recipes\.plain\.model` does nothing.*`models`"),
    ],
)
def test_what_the_grids_say_stands_nowhere_else(
    place: str,
    values: dict[str, Any],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was overridden without a word."""
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path)
    file = yaml.safe_load((form.folder / "params.yaml").read_text())
    (file["base"] if place == "base" else file["recipes"]["plain"]).update(values)
    files.write_text(form.folder / "params.yaml", yaml.safe_dump(file))
    with pytest.raises(ParamsError, match=told):
        load_study_config("made")


@pytest.mark.parametrize("file", ["params.yaml", "study.yaml"])
def test_a_file_that_is_not_utf8_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path)
    path = form.folder / file
    path.write_bytes(b"# caf\xe9\n" + path.read_bytes())
    with pytest.raises(ParamsError, match=rf"made/{file} is not valid YAML: .*utf-8"):
        load_study_source(load_study_config("made"))
