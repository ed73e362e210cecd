"""What a study asks, what its source reported, and what it claimed: the study.yaml.

The file stands in `studies/NAME` and serves all forms. Figures are those at the source; a slip is
corrected and `corrected` says what stood there, while `remark` says what else to know of a figure
that stands.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stages.core.errors import ParamsError
from stages.core.mistakes import first_mistake
from stages.core.paths import STUDIES
from stages.core.validation_messages import shown, unknown_name
from stages.core.yaml_text import YamlError, parse_yaml
from stages.studies.spec.claims import parse
from stages.studies.spec.names import KINDS, is_backbone, names_of
from stages.studies.spec.study_config import StudyConfig

EXAMPLES = {
    "claims": "- {claim: resnet18 beats vit_2l_2h_128 at 500, source: 77 % against 72 %}",
    "reported": "- {model: resnet18, size: 500, top1: 0.77}",
    "targets": "- {model: resnet18, minimum_top1: 0.75}",
}
Share = Annotated[float, Field(ge=0, le=1)]


class Closed(BaseModel):
    """A part of study.yaml: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Reported(Closed):
    """A row of the source's tables. `top1` is the share it calls accuracy."""

    model: str
    size: int | str | None = None
    recipe: str | None = None
    top1: Share | None = None
    turn_top1: Share | None = None
    train_top1: Share | None = None
    train_seconds: float | None = None
    epoch_seconds: float | None = None
    params_m: float | None = None
    macs_g: float | None = None
    latency_ms: float | None = None
    images_per_second: float | None = None
    corrected: str | None = None
    remark: str | None = None


class Claim(Closed):
    """`claim` in the words of `stages.studies.spec.claims`; `source` is the figure behind it.

    One that `answers` the study's question, or part of it, stands at the head of the page.
    """

    claim: str
    source: str
    remark: str | None = None
    answers: bool = False


class Goal(Closed):
    """An accuracy that a recipe should reach at the source's full scale."""

    model: str
    recipe: str | None = None
    minimum_top1: Share
    reported_top1: Share | None = None


class StudySource(Closed):
    """All of study.yaml."""

    title: str
    question: str
    source: str
    notes: list[str] = []
    reported: list[Reported] = []
    claims: list[Claim] = []
    targets: list[Goal] = []
    repeats: list[tuple[str, str]] = []
    epochs: list[str] = []
    target_top1: Share | None = None


def load_study_source(form: StudyConfig) -> StudySource:
    """Read the study.yaml of a form.

    Raises ParamsError when it is missing or malformed, for figures of what no form has, and for
    claims that cannot be decided.
    """
    path = STUDIES / form.study / "study.yaml"
    try:
        story = StudySource.model_validate(_read(path))
    except ValidationError as error:
        raise ParamsError(f"{path}: {_mistake(error)}") from None
    if mistake := _mistake_in_reported(story.reported, form):
        raise ParamsError(f"{path}: {mistake}.")
    _require_claims(story.claims, form)
    return story


def _require_claims(claims: Sequence[Claim], form: StudyConfig) -> None:
    """Raise ParamsError for a claim that `parse` refuses or that stands there twice."""
    seen = set()
    for claim in claims:
        parse(claim.claim, form)
        words = tuple(claim.claim.split())
        if words in seen:
            raise ParamsError(f"The claim {claim.claim!r} is made twice; make each once.")
        seen.add(words)


def _mistake(error: ValidationError) -> str:
    """The first of pydantic's complaints; with an example where an entry of a list is wrong."""
    detail = error.errors()[0]
    place = [str(part) for part in detail["loc"]]
    example = EXAMPLES.get(place[0]) if place else None
    if example is None:
        return first_mistake(error)
    key = ".".join(place)
    told = {
        "missing": f"`{key}` is missing.",
        "extra_forbidden": f"`{key}` is not a key.",
        "model_type": f"`{key}` is {shown(detail['input'])}, without keys.",
        "list_type": f"`{key}` is {shown(detail['input'])}, which is no list.",
    }.get(detail["type"]) or first_mistake(error)
    return f"{told} An entry of `{place[0]}` is written as: {example}"


def _mistake_in_reported(rows: Sequence[Reported], form: StudyConfig) -> str | None:
    """The first row that names what no form of the study has, or what a row before it named."""
    known, seen = names_of(form), set()
    for place, row in enumerate(rows):
        named = {kind: str(word) for kind in KINDS if (word := getattr(row, kind)) is not None}
        for kind, word in named.items():
            taken_out = kind == "size" or (kind == "model" and is_backbone(word))
            if word not in known[kind] and not taken_out:
                return unknown_name(f"reported.{place}.{kind}", word, known[kind])
        if (row.model, row.recipe, named.get("size")) in seen:
            return (
                f"`reported` has two entries for {' '.join(named.values())}, of which a page could "
                "show one alone; put their figures into one, or tell them apart by recipe or size"
            )
        seen.add((row.model, row.recipe, named.get("size")))
    return None


def _read(path: Path) -> Any:
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(
            f"There is no {path}; it holds `title`, `question` and `source`."
        ) from None
    except (YamlError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} is not valid YAML: {error}.") from None
