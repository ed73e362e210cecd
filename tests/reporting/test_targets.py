"""Targets: the file of the repository is sound, and verdicts follow from runs."""

from pathlib import Path
from typing import Any

import pytest

from stages.core.errors import ParamsError
from stages.core.params import Params, parse_params
from stages.reporting.targets import Target, asked_of, judge, load_targets

SMALL = Target(
    name="small",
    model="lenet_small",
    dataset="digits",
    minimum_top1=0.5,
    recipe={"train.epochs": 2, "train.augment": []},
)
RUN = parse_params({"model": "lenet_small", "train": {"epochs": 2}}, "test")


def result(top1: float, half_width: float = 0.01) -> dict[str, Any]:
    return {
        "test_top1": top1,
        "test_top1_low": top1 - half_width,
        "test_top1_high": top1 + half_width,
    }


def test_the_repository_has_the_five_targets_of_its_source(root: Path) -> None:
    targets = load_targets(root / "targets.yaml")
    assert [target.minimum_top1 for target in targets] == [0.5, 0.7, 0.75, 0.85, 0.9]
    assert {target.dataset for target in targets} == {"cifar10"}
    assert targets[-1].overrides["train.schedule"] == "one_cycle"
    assert targets[2].recipe["train.augment"] == ["crop", "flip"]


@pytest.mark.parametrize(
    ("top1", "status", "sure"),
    [
        (0.6, "reached", True),
        (0.4, "missed", True),
        (0.5, "reached", False),
        (0.495, "missed", False),
    ],
)
def test_verdicts(top1: float, status: str, sure: bool) -> None:
    verdict = judge(SMALL, RUN, result(top1))
    assert (verdict.status, verdict.sure) == (status, sure)


@pytest.mark.parametrize(
    "other",
    [
        {"model": "lenet_large", "train": {"epochs": 2}},
        {"model": "lenet_small", "train": {"epochs": 3}},
        {"model": "lenet_small", "train": {"epochs": 2, "augment": ["crop"]}},
        {"model": "lenet_small", "train": {"epochs": 2}, "dataset": {"name": "cifar10"}},
    ],
)
def test_another_run_does_not_count(other: dict[str, Any]) -> None:
    assert judge(SMALL, parse_params(other, "test"), result(0.9)).status == "not run"


def test_without_top1_it_was_not_run() -> None:
    assert judge(SMALL, RUN, None).status == "not run"
    assert judge(SMALL, RUN, {"test_quadrant_top1": 0.9}).status == "not run"
    assert not judge(SMALL, RUN, None).sure


def test_public_targets_are_not_shown_beside_pictures_of_ones_own(root: Path) -> None:
    targets = load_targets(root / "targets.yaml")
    own = parse_params({"dataset": {"name": "image_folder", "folder": "pictures"}}, "here")
    assert asked_of(targets, own) == []
    assert asked_of(targets, Params()) == targets
    (mine,) = asked_of([*targets, SMALL.model_copy(update={"dataset": "image_folder"})], own)
    assert mine.dataset == "image_folder"


def test_no_file_means_no_targets(tmp_path: Path) -> None:
    assert load_targets(tmp_path / "targets.yaml") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("targets: [", "is not valid YAML"),
        ("rows: []", "targets"),
        ("targets: [{name: a}]", r"`targets\.0\.model` is missing"),
        ("targets: [nightly]", r"`targets\.0` is \"nightly\"; allowed is keys"),
        ("targets: [{name: a, model: b, dataset: digits, minimum_top1: 50, recipe: {}}]",
         "minimum_top1"),
        ("targets: [{name: a, model: b, dataset: digits, minimum_top1: 0.5, "
         "recipe: {train.epoch: 3}}]", "train.epochs"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_a_paragraph(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "targets.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError, match=said) as raised:
        load_targets(path)
    assert "targets.yaml" in str(raised.value)


def test_default_parameters_are_no_target(root: Path) -> None:
    verdicts = [judge(t, Params(), result(0.99)) for t in load_targets(root / "targets.yaml")]
    assert {verdict.status for verdict in verdicts} == {"not run"}


@pytest.mark.parametrize("recipe", ["{model.x: 1}", "{train: {lr: 0.1}}"])
def test_what_is_no_parameter_is_refused(recipe: str, tmp_path: Path) -> None:
    path = tmp_path / "targets.yaml"
    path.write_text(
        "targets: [{name: a, model: lenet_small, dataset: digits, minimum_top1: 0.5, "
        f"recipe: {recipe}}}]\n"
    )
    with pytest.raises(ParamsError, match="in its recipe is no parameter"):
        load_targets(path)
