"""The sections of the parameter file: every key typed, bounded, and fitting to those beside it.

What concerns several sections is checked by `core.combinations`; reading the file and the keys at
its top are `core.params`'s.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stages.core.amounts import MOST, Amount
from stages.core.validation_messages import conflict
from stages.core.variant_names import INT8, mistake_in, steps_of

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=MOST)]
AtOnce = Annotated[int, Field(ge=1, le=100_000)]  # images; evaluation fills up its last batch
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Precision = Literal["fp32", "bf16", "fp16"]
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

    @property
    def int8(self) -> bool:
        """Whether a variant is in int8, whose accuracy must be measured too."""
        return any(INT8 in steps_of(variant) for variant in self.variants)

    @model_validator(mode="after")
    def _known_variants(self) -> Self:
        for mistake in filter(None, map(mistake_in, self.variants)):
            raise conflict(mistake)
        return self
