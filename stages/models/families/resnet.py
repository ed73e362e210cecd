"""ResNet and ResNeXt, as published and in CIFAR form.

He et al., Deep Residual Learning for Image Recognition, arXiv:1512.03385; Xie et al., Aggregated
Residual Transformations for Deep Neural Networks, arXiv:1611.05431. The CIFAR form has a 3×3
stem of stride 1 and no max-pooling, so that an image of 32 px keeps a 4×4 map at the end.

`stem: auto` takes the CIFAR form for `resnet18` below 64 px. The models of 50 layers stay as
published: their CIFAR form has 16 times the arithmetic (1.3 against 0.08 G MACs at 32 px).
Published weights are torchvision's: IMAGENET1K_V1 for `resnet18`, IMAGENET1K_V2 for the others.
"""

from functools import partial

from stages.core.errors import ModelError
from stages.models.builders import timm_model
from stages.models.spec import FamilyModel, ModelConfig, ModelSpec

SMALL_PX = 64
PUBLISHED = {"stem": "7×7 of stride 2 and max-pooling, as published"}
CIFAR = {"stem": "3×3 of stride 1, no max-pooling (CIFAR form)"}


def _make(request: ModelConfig, identifier: str, cifar_below_px: int) -> FamilyModel:
    if not _wants_cifar(request, cifar_below_px):
        return FamilyModel(timm_model(identifier, request), request.px, PUBLISHED)
    from torch import nn

    model = timm_model(identifier, request)
    model.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    return FamilyModel(model, request.px, CIFAR)


def _wants_cifar(request: ModelConfig, cifar_below_px: int) -> bool:
    if request.stem == "auto":
        return request.px < cifar_below_px and not request.library_weights
    if request.stem == "cifar" and request.library_weights:
        raise ModelError(
            "`pretrained: true` and `stem: cifar` do not go together: the published weights of "
            "this model belong to its 7×7 stem of stride 2. Set `stem: imagenet` (and a larger "
            "`input_size`, such as 128), or `pretrained: false`, or give in `pretrained` the path "
            "of weights that were trained with the CIFAR stem."
        )
    return request.stem == "cifar"


def _spec(
    name: str, params: int, paper: str, weights: str, native_px: int = 224, cifar_below_px: int = 0
) -> ModelSpec:
    identifier = f"{name}.{weights}"
    return ModelSpec(
        name=name,
        params=params,
        native_px=native_px,
        paper=paper,
        make=partial(_make, identifier=identifier, cifar_below_px=cifar_below_px),
        library=f"timm/{identifier}",
    )


SPECS = (
    _spec("resnet18", 11_173_962, "arXiv:1512.03385", "tv_in1k", 32, SMALL_PX),
    _spec("resnet50", 23_528_522, "arXiv:1512.03385", "tv2_in1k"),
    _spec("resnext50_32x4d", 23_000_394, "arXiv:1611.05431", "tv2_in1k"),
)
