"""The parameter file, validated: every key typed, bounded and refused when it cannot be meant.

`load_params` reads `params.yaml` (or a study's file) into frozen pydantic models. A mistake
raises ParamsError with one paragraph per mistake, worded by `core.validation_messages`. What
depends on the machine, the model table or the data (is there a CUDA device, are there so many
images) is checked where it is known, not here.
"""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from stages.core.combinations import DEFAULT_TASK, mistake_between
from stages.core.device import DEVICES, DEVICES_IN_WORDS
from stages.core.errors import ParamsError
from stages.core.sections import Dataset, Evaluate, Profile, Section, Seed, Subset, Train
from stages.core.validation_messages import conflict, explain
from stages.core.yaml_text import YamlError, parse_yaml


class Params(Section):
    """All of `params.yaml`."""

    model: Annotated[str, Field(min_length=1)] = "lenet_large"
    stem: Literal["auto", "cifar", "imagenet"] = "auto"
    pretrained: bool | Annotated[str, Field(min_length=1)] = False
    pretrained_keys: Literal["name", "order"] = "name"
    finetune: Annotated[
        str,
        Field(
            pattern=r"^(full|head|probe|knn|discriminative|partial:[1-9]\d*)$",
            description="full, head, probe, knn, discriminative, or partial:2 (blocks)",
            examples=["full", "head", "probe", "knn", "discriminative", "partial:2"],
        ),
    ] = "full"
    task: Annotated[str, Field(min_length=1)] = DEFAULT_TASK
    input_size: Annotated[
        int, Field(ge=8, le=1024, description="a whole number ≥ 8 and ≤ 1024, or auto")
    ] = 32
    seed: Seed = 0
    device: Annotated[
        str,
        Field(
            pattern=DEVICES,
            description=DEVICES_IN_WORDS,
            examples=["auto", "cpu", "cuda", "mps"],
        ),
    ] = "auto"
    threads: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    dataset: Dataset = Dataset()
    subset: Subset = Subset()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    profile: Profile = Profile()

    @model_validator(mode="before")
    @classmethod
    def _native_size(cls, values: dict[str, Any]) -> dict[str, Any]:
        """`input_size: auto` is a number from here on, so that every run says which it was.

        The models are looked up by name: what has no model does not depend on their code.
        """
        if values.get("input_size") != "auto":
            return values
        asked = cls.model_fields["model"].default, cls.model_fields["pretrained"].default
        model, pretrained = values.get("model", asked[0]), values.get("pretrained", asked[1])
        native_px = import_module(".models", "stages").native_px
        return values | {"input_size": native_px(str(model), pretrained)}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if told := mistake_between(self):
            raise conflict(told)
        return self


def load_params(path: Path | str) -> Params:
    """Read and validate a parameter file.

    Raises ParamsError, with a paragraph per mistake, when it is missing, is not YAML, or does
    not validate.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise ParamsError(
            f"There is no file {path} here. Run from the folder that holds it, or name it with "
            "--params."
        ) from None
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from None
    return read_params(text, str(path))


def read_params(text: str, where: str) -> Params:
    """Parse and validate the text of a parameter file; `where` names its origin in errors.

    Raises ParamsError as `load_params` does.
    """
    return parse_params(read_values(text, where), where)


def read_values(text: str, where: str) -> dict[str, Any]:
    """The keys and values of a parameter file's text. Raises ParamsError when it holds none."""
    try:
        values = parse_yaml(text)
    except YamlError as error:
        raise ParamsError(f"{where} is not valid YAML: {error}.") from None
    if not isinstance(values, dict):
        raise ParamsError(f"{where} must be a mapping of keys to values, as in the README.")
    return values


def parse_params(values: dict[str, Any], where: str) -> Params:
    """Validate a mapping; `where` names its origin in errors. Raises ParamsError."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        mistakes = dict.fromkeys(explain(detail, Params) for detail in error.errors())
        raise ParamsError("\n".join(f"{where}: {mistake}" for mistake in mistakes)) from None
