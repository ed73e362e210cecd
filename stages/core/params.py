"""The parameter file, validated: every key typed, bounded and refused when it cannot be meant.

`load_params` reads `params.yaml` (or a study's file) into frozen pydantic models. A mistake
raises ParamsError with one paragraph per mistake, worded by `core.validation_messages`. What
depends on the machine, the model table or the data (is there a CUDA device, are there so many
images) is checked where it is known, not here.
"""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stages.core.amounts import MOST, Amount
from stages.core.combinations import DEFAULT_TASK, mistake_between
from stages.core.errors import ParamsError
from stages.core.validation_messages import conflict, explain, unknown_name
from stages.core.yaml_text import YamlError, parse_yaml

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=MOST)]
AtOnce = Annotated[int, Field(ge=1, le=100_000)]  # images; evaluation fills up its last batch
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Precision = Literal["fp32", "bf16", "fp16"]
VARIANT_STEPS = ("reparameterized", "channels_last", "bf16", "fp16", "fast", "compile", "onnx")
Augmentation = Literal["crop", "flip", "color_jitter", "randaugment", "erasing", "mixup", "cutmix"]


class Section(BaseModel):
    """A part of the parameter file: frozen, strict about types, closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Dataset(Section):
    """Where the images come from."""

    name: str = "digits"
    folder: Annotated[str, Field(min_length=1)] = "data/images"
    labels: Annotated[str, Field(min_length=1)] | None = None
    on_corrupt: Literal["stop", "skip"] = "stop"

    @property
    def label(self) -> str:
        """The data set's name; for a folder of images, the folder's or archive's."""
        return Path(self.folder).stem if self.name == "image_folder" else self.name


class Subset(Section):
    """How many images take part, and which draw of them."""

    train: Amount = "full"
    val: Amount = 0.1
    test: Amount = "full"
    seed: Seed = 0

    @model_validator(mode="after")
    def _some_of_each(self) -> Self:
        for name in ("train", "test"):
            if getattr(self, name) == 0:
                raise conflict(f"`subset.{name}` is 0; at least one image is needed")
        if self.val == "full":
            raise conflict(
                "`subset.val` is full, which leaves nothing to train on; give a count or a share",
            )
        return self


class Train(Section):
    """The recipe: everything that decides the trained weights besides model, seed and data."""

    epochs: Count = 20
    batch_size: Annotated[int, Field(ge=2, le=MOST)] = 64
    accumulate: Count = 1
    optimizer: Literal["sgd", "adam", "adamw", "muon"] = "adamw"
    lr: Positive = 1e-3
    lr_backbone: Positive | None = None
    lr_head: Positive | None = None
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = None
    momentum: Rate = 0.9
    weight_decay: NonNegative = 0.05
    schedule: Literal["constant", "step", "cosine", "one_cycle"] = "cosine"
    warmup_epochs: NonNegative = 0
    step_epochs: Count = 30
    step_gamma: Annotated[float, Field(gt=0, lt=1)] = 0.1
    pct_start: Annotated[float, Field(gt=0, lt=1)] = 0.3
    normalization: Literal["auto", "weights", "subset"] = "auto"
    augment: list[Augmentation] = []
    class_weights: Literal["none", "balanced"] = "none"
    sampler: Literal["shuffle", "balanced"] = "shuffle"
    label_smoothing: Rate = 0.0
    dropout: Rate = 0.0
    drop_path: Rate = 0.0
    grad_clip: Positive | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    early_stopping: Count | None = None
    keep: Literal["best", "last"] = "best"
    precision: Precision = "fp32"
    on_nonfinite: Literal["stop", "fp32"] = "stop"
    memory_format: Literal["auto", "contiguous", "channels_last"] = "auto"
    deterministic: Literal[True, False, "warn"] = True
    fast_kernels: bool = True
    compile: bool = False
    devices: Count = 1
    checkpoint_steps: Count | None = None
    trace_steps: Annotated[int, Field(ge=0, le=MOST)] = 100
    snapshots: bool = True
    perturb_one_ulp: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.warmup_epochs >= self.epochs and self.schedule in ("cosine", "step"):
            raise conflict(
                f"`train.warmup_epochs` is {self.warmup_epochs:g} of {self.epochs} `train.epochs`; "
                "the warm-up must be shorter than the training",
            )
        if self.warmup_epochs and self.schedule == "one_cycle":
            raise conflict(
                f"`train.warmup_epochs` is {self.warmup_epochs:g}, but `train.schedule: one_cycle` "
                "has a rise of its own, of `train.pct_start`; set `warmup_epochs: 0`",
            )
        if len(set(self.augment)) < len(self.augment):
            raise conflict("`train.augment` names an augmentation twice; name each once")
        if self.early_stopping is not None and self.keep == "last":
            raise conflict(
                "`train.early_stopping` waits for a better validation and keeps the best weights, "
                "but `train.keep` is last; set `keep: best` or `early_stopping: null`",
            )
        if self.batch_size % self.devices:
            raise conflict(
                f"`train.batch_size` {self.batch_size} cannot be shared evenly by `train.devices` "
                f"{self.devices}; choose a multiple",
            )
        if self.batch_size % self.accumulate:
            raise conflict(
                f"`train.batch_size` {self.batch_size} is not a multiple of `train.accumulate` "
                f"{self.accumulate}; choose a divisor of the batch size",
            )
        return self


class Evaluate(Section):
    """How the test images are put through the trained model."""

    batch_size: AtOnce = 250


class Profile(Section):
    """What is timed, and for how long. A variant is a step, or steps joined by `+`."""

    batch_sizes: Annotated[list[AtOnce], Field(min_length=1, max_length=32)] = [1, 64]
    seconds: Annotated[float, Field(gt=0, le=600)] = 0.5
    repeats: Annotated[int, Field(ge=1, le=100)] = 5
    sweep_seconds: Annotated[float, Field(ge=0, le=3600)] = 0.0
    variants: Annotated[list[str], Field(max_length=32)] = ["channels_last", "bf16"]

    @model_validator(mode="after")
    def _known_steps(self) -> Self:
        for step in (step for variant in self.variants for step in variant.split("+")):
            if step not in VARIANT_STEPS:
                raise conflict(
                    unknown_name("profile.variants", step, VARIANT_STEPS) + ", or several joined "
                    "by +, such as reparameterized+onnx",
                )
        return self


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
        ),
    ] = "full"
    task: Annotated[str, Field(min_length=1)] = DEFAULT_TASK
    input_size: Annotated[int, Field(ge=8, le=1024)] = 32
    seed: Seed = 0
    device: Annotated[
        str,
        Field(
            pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$", description="auto, cpu, cuda, cuda:1, or mps"
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
    try:
        values = parse_yaml(text)
    except YamlError as error:
        raise ParamsError(f"{where} is not valid YAML: {error}.") from None
    if not isinstance(values, dict):
        raise ParamsError(f"{where} must be a mapping of keys to values, as in the README.")
    return parse_params(values, where)


def parse_params(values: dict[str, Any], where: str) -> Params:
    """Validate a mapping; `where` names its origin in errors. Raises ParamsError."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        mistakes = dict.fromkeys(explain(detail, Params) for detail in error.errors())
        raise ParamsError("\n".join(f"{where}: {mistake}" for mistake in mistakes)) from None
