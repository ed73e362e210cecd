"""Folded batch norms: the same features to rounding, or no fold at all."""

import pytest
import torch
from torch import Tensor, nn

from stages.core.params import parse_params
from stages.models import build
from stages.training.folding import folded


def norms_of(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def lively(model: nn.Module) -> nn.Module:
    """The model with statistics and weights of norms that are not those of a new one."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value, low in (
                (module.running_mean, -0.2), (module.running_var, 0.5),
                (module.weight, 0.5), (module.bias, -0.2),
            ):  # fmt: skip
                assert value is not None
                value.data.uniform_(low, low + 0.4, generator=generator)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("mobilenet_v2", 0), ("efficientnet_lite0", 0), ("resnet18", 0), ("lenet_small", 0),
        ("mobilenet_v3_small", 0), ("repvgg_a0", None), ("timm/densenet121", None),
        ("convnext_v2_tiny", 0), ("vit_2l_2h_128", 0), ("timm/resnetv2_50", None),
    ],
)  # fmt: skip
def test_features_are_the_same_to_rounding(name: str, left: int | None) -> None:
    """Held against float64: at most twice the error of the plain model."""
    model = lively(build(parse_params({"model": name, "input_size": 32}, "test"), 10).model)
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    before = norms_of(model)
    with torch.no_grad():
        quick = folded(model, lambda one: one(images[:2]))
        plain, own = model(images), quick(images)
        exact = model.double()(images.double())
    assert (own - exact).abs().max() <= 2 * (plain - exact).abs().max() + 1e-7
    if left is not None:
        assert norms_of(quick) == left
    assert norms_of(model) == before  # which is left as it was
    assert quick is model or norms_of(quick) < before


class Twice(nn.Module):
    """An output of a convolution that goes past its norm, too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

    def forward(self, images: Tensor) -> Tensor:
        made = self.conv(images)
        return self.norm(made) + made


class Between(nn.Module):
    """A convolution whose output is changed in place before the norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

    def forward(self, images: Tensor) -> Tensor:
        made: Tensor = self.norm(torch.relu_(self.conv(images)))
        return made


class Shared(nn.Module):
    """One convolution before two norms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.first, self.second = nn.BatchNorm2d(8), nn.BatchNorm2d(8)

    def forward(self, images: Tensor) -> Tensor:
        made: Tensor = self.first(self.conv(images)) + self.second(self.conv(images.flip(-1)))
        return made


@pytest.mark.parametrize("kind", [Twice, Between, Shared])
def test_where_a_fold_would_be_wrong_there_is_none(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    model = lively(kind())
    images = torch.rand(2, 3, 8, 8)
    assert folded(model, lambda one: one(images)) is model
