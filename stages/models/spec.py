"""The words in which families describe their models: a row of the table, a request, an answer.

Data only; importing it is cheap. Leaves the models to `families/` and their weights to
`initialization` and `transfer`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

MemoryFormat = Literal["contiguous", "channels_last"]


@dataclass(frozen=True)
class ModelConfig:
    """What a model is built for.

    `px` is the side of the input asked for; `library_weights` asks for the library's own trained
    weights, adapted to `px` where the library can.
    """

    classes: int = 10
    px: int = 32
    stem: Literal["auto", "cifar", "imagenet"] = "auto"
    dropout: float = 0.0
    drop_path: float = 0.0
    library_weights: bool = False


@dataclass(frozen=True)
class FamilyModel:
    """A model as its family built it: it takes [batch, 3, px, px] and returns [batch, classes].

    `notes` says in words what was changed against the published form (stem, patch, window …).
    """

    model: "nn.Module"
    px: int
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSpec:
    """A row of the table. `params` counts all parameters at 10 classes and `native_px`.

    `library` is `timm/<id>` or `torchvision/<id>` of the published weights, None without any.
    """

    name: str
    params: int | None
    native_px: int
    paper: str
    make: Callable[[ModelConfig], FamilyModel]
    library: str | None = None
    memory_format: MemoryFormat = "channels_last"


@dataclass(frozen=True)
class BuiltModel:
    """A model ready to train: on the CPU, float32, initialised.

    It takes images of side `model_px`; `memory_format` is the one that is fast for it; `notes`
    says what was adapted and where the weights come from.
    """

    model: "nn.Module"
    model_px: int
    native_px: int
    memory_format: MemoryFormat
    notes: Mapping[str, str] = field(default_factory=dict)
