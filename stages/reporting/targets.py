"""Accuracies that recipes are expected to reach (`targets.yaml`), held against a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stages.core.errors import ParamsError
from stages.core.mistakes import first_mistake
from stages.core.params import Params, parse_params
from stages.core.yaml_text import YamlError, parse_yaml
from stages.reporting.repeat import flat

Share = Annotated[float, Field(ge=0, le=1)]


class Target(BaseModel):
    """A row of `targets.yaml`; `recipe` holds dotted keys of the parameter file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    model: str
    dataset: str
    minimum_top1: Share
    reported_top1: Share | None = None
    recipe: dict[str, Any]

    @property
    def overrides(self) -> dict[str, Any]:
        """All parameters that the target fixes, by dotted key."""
        return {"model": self.model, "dataset.name": self.dataset, **self.recipe}


class Targets(BaseModel):
    """The file; the first target is number 0 in mistakes that are told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    targets: list[Target]


@dataclass(frozen=True)
class Verdict:
    """How a target stands; `top1`, `low` and `high` (95 %) are None when it was not run."""

    target: Target
    status: Literal["reached", "missed", "not run"]
    top1: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def sure(self) -> bool:
        """Whether the whole interval lies on one side of the minimum."""
        if self.low is None or self.high is None:
            return False
        return not self.low < self.target.minimum_top1 <= self.high


def load_targets(path: Path) -> list[Target]:
    """Read and check the targets; none when there is no file.

    Raises ParamsError for a row that is malformed or names parameters that do not exist.
    """
    if not path.exists():
        return []
    try:
        targets = Targets.model_validate(parse_yaml(path.read_text(encoding="utf-8"))).targets
    except (YamlError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} is not valid YAML: {error}.") from None
    except ValidationError as error:
        raise ParamsError(
            f"{path}: {first_mistake(error)} It holds a list `targets`, and a target has name, "
            "model, dataset, minimum_top1, recipe and perhaps reported_top1."
        ) from None
    known = flat(Params())
    for target in targets:
        for key, value in target.overrides.items():
            if isinstance(value, Mapping) or key.partition(".")[0] in known.keys() - {key}:
                raise ParamsError(
                    f"{path}, target {target.name!r}: `{key}` in its recipe is no parameter; "
                    "nested ones are written with dots, such as train.lr."
                )
        parse_params(_nested(target.overrides), f"{path}, target {target.name!r}")
    return targets


def asked_of(targets: Sequence[Target], params: Params) -> list[Target]:
    """The targets that a run is shown beside; accuracies of public data say nothing of own ones."""
    own = params.dataset.name == "image_folder"
    return [target for target in targets if not own or target.dataset == params.dataset.name]


def judge(target: Target, params: Params, evaluate: Mapping[str, Any] | None) -> Verdict:
    """Hold a target against a run's parameters and test metrics."""
    values = flat(params)
    same = all(values.get(key) == value for key, value in target.overrides.items())
    top1 = (evaluate or {}).get("test_top1")
    if not same or evaluate is None or top1 is None:
        return Verdict(target, "not run")
    status: Literal["reached", "missed"] = "reached" if top1 >= target.minimum_top1 else "missed"
    return Verdict(
        target, status, top1, evaluate.get("test_top1_low"), evaluate.get("test_top1_high")
    )


def _nested(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """{"train.lr": 0.1} as {"train": {"lr": 0.1}}."""
    nested: dict[str, Any] = {}
    for key, value in overrides.items():
        section = nested
        *parents, last = key.split(".")
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value
    return nested
