"""Speedrun: a compact network that reaches its accuracy in the least training time.

In the spirit of the CIFAR-10 speed runs: Page, How to Train Your ResNet (2018, myrtle.ai), and
Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU (arXiv:2404.00498). From there come the
three wide stages that pool early, batch norms without a learned scale and with a short memory,
convolutions that begin as the identity, and a first layer that whitens and does not learn.

That layer is our own: instead of the eigenvectors of the training patches it takes the Haar
wavelets of a 2×2 patch in opponent colours, which are nearly those of any natural images, and
needs neither data nor an eigenvalue solver whose signs differ between machines.
`speedrun` has the widths of the published run and is meant for a GPU, `speedrun_small` for a CPU.
"""

from collections import OrderedDict
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from stages.core.errors import ModelError
from stages.models.builders import refuse_small_stem
from stages.models.spec import FamilyModel, ModelConfig, ModelSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

NATIVE_PX = 32
SMALLEST_PX = 16
NORM_MOMENTUM = 0.4

COLORS = ((1, 1, 1), (1, 0, -1), (1, -2, 1))  # light, red-blue, green-magenta
WAVELETS = ((1, 1, 1, 1), (1, -1, 1, -1), (1, 1, -1, -1), (1, -1, -1, 1))
# Standard deviations of the twelve responses on normalised photographs of 32 px, per colour; the
# smallest are raised to 0.05 so that what JPEG leaves of fine colour is not blown up.
SPREADS = ((3.2, 0.5, 0.65, 0.22), (1.0, 0.08, 0.1, 0.05), (0.36, 0.06, 0.07, 0.05))


def _make(request: ModelConfig, widths: tuple[int, ...]) -> FamilyModel:
    from torch import nn

    refuse_small_stem(request)
    if request.drop_path:
        raise ModelError(
            f"`train.drop_path` is {request.drop_path:g}, but a speedrun network has no residual "
            "branches to drop. Set it to 0, or use `train.dropout`."
        )
    px = max(request.px, SMALLEST_PX)
    filters = _whitening()
    layers: dict[str, nn.Module] = {"whiten": _fixed(filters), "act": nn.GELU()}
    for number, (before, after) in enumerate(pairwise((len(filters), *widths)), start=1):
        layers[f"stage{number}"] = _stage(before, after)
    layers["pool"] = nn.MaxPool2d((px - 1) >> len(widths))
    layers["flatten"] = nn.Flatten()
    layers["dropout"] = nn.Dropout(request.dropout)
    layers["head"] = nn.Linear(widths[-1], request.classes, bias=False)
    notes = {"stem": "2×2 Haar wavelets in opponent colours, fixed"}
    if px != request.px:
        notes["input"] = f"images are enlarged from {request.px} to {px} px, the smallest it takes"
    return FamilyModel(nn.Sequential(OrderedDict(layers)), px, notes)


def _whitening() -> "Tensor":
    """Filters [24, 3, 2, 2]: each wavelet in each colour to unit response, and its negative."""
    import torch

    colors, wavelets = torch.tensor(COLORS).double(), torch.tensor(WAVELETS).double()
    colors /= colors.norm(dim=1, keepdim=True)
    filters = torch.einsum("kc,wp->kwcp", colors, wavelets / 2)
    filters = (filters / torch.tensor(SPREADS)[..., None, None]).reshape(-1, 3, 2, 2).float()
    return torch.cat([filters, -filters])


def _fixed(filters: "Tensor") -> "nn.Conv2d":
    """A convolution with these filters, of which only the bias learns."""
    from torch import nn

    layer = nn.Conv2d(filters.shape[1], filters.shape[0], filters.shape[2])
    layer.weight = nn.Parameter(filters, requires_grad=False)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _stage(before: int, after: int) -> "nn.Sequential":
    from torch import nn

    return nn.Sequential(
        _convolution(before, after),
        nn.MaxPool2d(2),
        _norm(after),
        nn.GELU(),
        _convolution(after, after),
        _norm(after),
        nn.GELU(),
    )


def _convolution(before: int, after: int) -> "nn.Conv2d":
    """3×3, handing its input on to as many outputs as there are inputs; the others are random."""
    from torch import nn

    layer = nn.Conv2d(before, after, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight[:before])
    return layer


def _norm(channels: int) -> "nn.BatchNorm2d":
    from torch import nn

    layer = nn.BatchNorm2d(channels, momentum=NORM_MOMENTUM)
    layer.weight.requires_grad = False
    return layer


_PAPER = "arXiv:2404.00498"
SPECS = (
    ModelSpec(
        name="speedrun",
        params=1_972_792,
        native_px=NATIVE_PX,
        paper=_PAPER,
        make=partial(_make, widths=(64, 256, 256)),
    ),
    ModelSpec(
        name="speedrun_small",
        params=295_096,
        native_px=NATIVE_PX,
        paper=_PAPER,
        make=partial(_make, widths=(32, 64, 128)),
    ),
)
