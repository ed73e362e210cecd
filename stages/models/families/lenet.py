"""LeNet: two 5×5 convolutions and three linear layers.

LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE 86(11), 1998;
here with ReLU and max-pooling and three input channels. `lenet_small` keeps the paper's widths,
`lenet_large` is 3→64→128 channels and 3200-512-256.
"""

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

from stages.core.errors import ModelError
from stages.models.builders import refuse_small_stem
from stages.models.spec import FamilyModel, ModelConfig, ModelSpec

if TYPE_CHECKING:
    from torch import nn

NATIVE_PX = 32
MAP_SIDE = 5


def _make(request: ModelConfig, channels: tuple[int, int], hidden: tuple[int, int]) -> FamilyModel:
    from torch import nn

    refuse_small_stem(request)
    if request.drop_path:
        raise ModelError(
            f"`train.drop_path` is {request.drop_path:g}, but a LeNet has no residual branches to "
            "drop. Set it to 0, or use `train.dropout`."
        )
    px = max(request.px, NATIVE_PX)
    side = ((px - 4) // 2 - 4) // 2
    widths = (channels[1] * MAP_SIDE**2, *hidden)
    layers = _convolutions(channels, side)
    layers["flatten"] = nn.Flatten()
    for number in (1, 2):
        layers[f"fc{number}"] = nn.Linear(widths[number - 1], widths[number])
        layers[f"relu{number + 2}"] = nn.ReLU(inplace=True)
        layers[f"dropout{number}"] = nn.Dropout(request.dropout)
    layers["fc3"] = nn.Linear(hidden[1], request.classes)
    return FamilyModel(nn.Sequential(OrderedDict(layers)), px, _notes(request.px, px, side))


def _convolutions(channels: tuple[int, int], side: int) -> "dict[str, nn.Module]":
    """Layers up to a map of 5×5; a larger one, of `side`, is averaged down to it."""
    from torch import nn

    first, second = channels
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(3, first, 5),
        "relu1": nn.ReLU(inplace=True),
        "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(first, second, 5),
        "relu2": nn.ReLU(inplace=True),
        "pool2": nn.MaxPool2d(2),
    }
    if side > MAP_SIDE:
        # A window and a step that give 5×5 exactly: adaptive pooling has no backward on CUDA
        # that repeats its bits.
        step = side // MAP_SIDE
        layers["pool3"] = nn.AvgPool2d(side - (MAP_SIDE - 1) * step, step)
    return layers


def _notes(asked_px: int, px: int, side: int) -> dict[str, str]:
    notes = {}
    if px != asked_px:
        notes["input"] = f"images are enlarged from {asked_px} to {px} px, the smallest it takes"
    if side > MAP_SIDE:
        notes["pooling"] = f"the {side}×{side} map is averaged to {MAP_SIDE}×{MAP_SIDE}"
    return notes


_PAPER = "LeCun et al. 1998, Proc. IEEE 86(11)"
SPECS = (
    ModelSpec(
        name="lenet_small",
        params=62_006,
        native_px=NATIVE_PX,
        paper=_PAPER,
        make=partial(_make, channels=(6, 16), hidden=(120, 84)),
    ),
    ModelSpec(
        name="lenet_large",
        params=1_982_602,
        native_px=NATIVE_PX,
        paper=_PAPER,
        make=partial(_make, channels=(64, 128), hidden=(512, 256)),
    ),
)
