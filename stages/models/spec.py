"""The words in which families describe their models: a row of the table, a request, an answer.

Data only; importing it is cheap.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

MemoryFormat = Literal["contiguous", "channels_last"]
Interpolation = Literal["bilinear", "bicubic"]


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
class PackagedWeights:
    """Trained weights that a Python package carries as a file of data.

    `file` is its path from where packages are installed, `sha256` that of the file that was
    published; `renamed` gives the model's name for a tensor of it, None where they are the same.
    """

    package: str
    file: str
    sha256: str
    renamed: Callable[[str], str] | None = None


@dataclass(frozen=True)
class ModelSpec:
    """A row of the table. `params` counts all parameters at 10 classes and `native_px`.

    `library` is `timm/<id>` or `torchvision/<id>` of the published weights, None without any;
    `packaged` those of a package, which are taken instead where it is installed.
    """

    name: str
    params: int | None
    native_px: int
    paper: str
    make: Callable[[ModelConfig], FamilyModel]
    library: str | None = None
    memory_format: MemoryFormat = "channels_last"
    packaged: PackagedWeights | None = None


@dataclass(frozen=True)
class DataConfig:
    """How images were shown to trained weights: statistics per channel of images in 0…1, the
    filter that resized them, their side in pixels where it is told, and whose word all that is.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Interpolation
    px: int | None
    origin: str


@dataclass(frozen=True)
class BuiltModel:
    """A model ready to train: on the CPU, float32, initialised.

    It takes images of side `model_px`; `memory_format` is the one that is fast for it; `notes`
    says what was adapted and where the weights come from; `data_config` how images were shown to
    those weights, where there are some and it is known.
    """

    model: "nn.Module"
    model_px: int
    native_px: int
    memory_format: MemoryFormat
    notes: Mapping[str, str] = field(default_factory=dict)
    data_config: DataConfig | None = None
