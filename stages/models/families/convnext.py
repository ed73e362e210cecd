"""ConvNeXt V2, tiny.

Woo et al., ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders,
arXiv:2301.00808. `stem: cifar` cuts images into patches of 2 px instead of 4.
"""

from typing import Any

from stages.models.builders import timm_model
from stages.models.spec import FamilyModel, ModelConfig, ModelSpec

IDENTIFIER = "convnextv2_tiny"
SMALL_PATCH = 2


def _make(request: ModelConfig) -> FamilyModel:
    from torch import nn

    model: Any = timm_model(IDENTIFIER, request)
    if request.stem != "cifar":
        return FamilyModel(model, request.px)
    published = model.stem[0]
    model.stem[0] = nn.Conv2d(3, published.out_channels, SMALL_PATCH, stride=SMALL_PATCH)
    nn.init.trunc_normal_(model.stem[0].weight, std=0.02)
    nn.init.zeros_(model.stem[0].bias)
    return FamilyModel(
        model, request.px, {"stem": "patches of 2 px instead of 4 (for small images)"}
    )


SPECS = (
    ModelSpec(
        name="convnext_v2_tiny",
        params=27_874_186,
        native_px=224,
        paper="arXiv:2301.00808",
        make=_make,
        library=f"timm/{IDENTIFIER}",
    ),
)
