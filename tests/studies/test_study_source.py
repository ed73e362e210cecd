"""The study.yaml: what is refused of it, in words that say how it is written."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.core import files
from stages.core.errors import ParamsError
from stages.studies.spec.study_config import StudyConfig
from stages.studies.spec.study_source import EXAMPLES, StudySource, load_study_source
from tests.studies.samples import make_study


@pytest.fixture
def form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyConfig:
    monkeypatch.chdir(tmp_path)
    more = {"stands_for": {"fair": "huge", 100: 5000}}
    return make_study(tmp_path, models=("good", "fair"), sizes=(100, 400), more=more)


def told(form: StudyConfig, **parts: Any) -> StudySource:
    """The study.yaml with other parts, read."""
    story = {"title": "", "question": "", "source": "", **parts}
    files.write_text(form.folder / "study.yaml", yaml.safe_dump(story))
    return load_study_source(form)


def test_figures_of_the_grid_of_stand_ins_and_of_other_backbones_are_taken(
    form: StudyConfig,
) -> None:
    rows = [
        {"model": "good", "size": 400, "recipe": "plain"},
        {"model": "good", "size": 400},
        {"model": "huge", "size": 5000},
        {"model": "resnet18"},
    ]
    assert len(told(form, reported=rows).reported) == 4


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"model": "god"}, r'`reported\.1\.model` is "god"\. Did you mean good\?'),
        ({"model": "good", "recipe": "plane"}, r'`reported\.1\.recipe` is "plane"\. Did you mean'),
        ({"model": "fair", "size": "400"}, "two entries for fair 400"),
    ],
)
def test_figures_of_what_no_form_has_and_second_ones_are_refused(
    row: dict[str, Any], words: str, form: StudyConfig
) -> None:
    with pytest.raises(ParamsError, match=words) as caught:
        told(form, reported=[{"model": "fair", "size": 400, "top1": 0.4}, row])
    assert "study.yaml" in str(caught.value)


SAID = "good beats fair"
CLAIM = r"An entry of `claims` is written as: - {claim: resnet18 beats .*, source: "


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"claims": [{"claim": SAID}]}, r"`claims\.0\.source` is missing\. " + CLAIM),
        ({"claims": [SAID]}, r'`claims\.0` is "good beats fair", without keys\. ' + CLAIM),
        ({"claims": SAID}, r'`claims` is "good beats fair", which is no list\. ' + CLAIM),
        ({"claims": [{"claim": "a", "source": "b", "why": 1}]}, r"`claims\.0\.why` is not a key"),
        (
            {"claims": [{"claim": 3, "source": "b"}]},
            r"`claims\.0\.claim` is 3; allowed is a text\. " + CLAIM,
        ),
        ({"reported": [{"top1": 0.3}]}, r"`reported\.0\.model` is missing\. .*{model: resnet18"),
        ({"targets": ["good"]}, r'`targets\.0` is "good", .*minimum_top1'),
    ],
)  # fmt: skip
def test_a_mistaken_entry_is_answered_by_an_example(
    parts: dict[str, Any], words: str, form: StudyConfig
) -> None:
    with pytest.raises(ParamsError, match=words) as caught:
        told(form, **parts)
    assert "instance of" not in str(caught.value)


def test_the_examples_are_taken() -> None:
    for part, example in EXAMPLES.items():
        StudySource.model_validate(
            {"title": "", "question": "", "source": "", part: yaml.safe_load(example)}
        )


def test_the_same_claim_twice_is_refused(form: StudyConfig) -> None:
    claims = [{"claim": said, "source": "a"} for said in ("good beats fair", "good  beats fair")]
    assert told(form, claims=claims[:1]).claims
    with pytest.raises(ParamsError, match="is made twice"):
        told(form, claims=claims)


def test_a_claim_that_cannot_be_decided_is_told_before_any_cell_has_run(form: StudyConfig) -> None:
    with pytest.raises(ParamsError, match="Did you mean good"):
        told(form, claims=[{"claim": "god beats fair", "source": "a"}])
