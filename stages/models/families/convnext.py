"""ConvNeXt V2, tiny.

Woo et al., ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders,
arXiv:2301.00808. `stem: cifar` cuts images into patches of 2 px instead of 4.
"""

from stages.models.builders import timm_model
from stages.models.spec import Made, ModelSpec, Request

IDENTIFIER = "convnextv2_tiny"


def _make(request: Request) -> Made:
    if request.stem == "cifar":
        model = timm_model(IDENTIFIER, request, patch_size=2)
        return Made(model, request.px, {"stem": "patches of 2 px instead of 4 (for small images)"})
    return Made(timm_model(IDENTIFIER, request), request.px)


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
