"""ResNet and ResNeXt, as published and in CIFAR form.

He et al., Deep Residual Learning for Image Recognition, arXiv:1512.03385; Xie et al., Aggregated
Residual Transformations for Deep Neural Networks, arXiv:1611.05431. The CIFAR form has a 3×3
stem of stride 1 and no max-pooling, so that a 32 px image keeps a 4×4 map at the end.
Weights of `pretrained: true` are torchvision's: IMAGENET1K_V1 for ResNet-18, else IMAGENET1K_V2.
"""

from functools import partial

from stages.core.errors import ModelError
from stages.models.libraries import timm_model
from stages.models.spec import Made, ModelSpec, Request

SMALL_PX = 64


def _make(request: Request, identifier: str, small_stem: str) -> Made:
    """`small_stem` is the stem that `auto` takes for inputs below 64 px."""
    stem = request.stem
    if stem == "auto":
        small = request.px < SMALL_PX and not request.library_weights
        stem = "cifar" if small and small_stem == "cifar" else "imagenet"
    if stem == "cifar" and request.library_weights:
        raise ModelError(
            "`pretrained: true` and `stem: cifar` do not go together: the published weights of "
            "this model belong to its 7×7 stem of stride 2. Set `stem: imagenet` (and a larger "
            "`input_size`, such as 128), or `pretrained: false`, or give in `pretrained` the path "
            "of weights trained with the CIFAR stem."
        )
    model = timm_model(identifier, request)
    if stem == "imagenet":
        return Made(model, request.px, {"stem": "7×7 of stride 2 and max-pooling, as published"})
    from torch import nn

    model.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    return Made(model, request.px, {"stem": "3×3 of stride 1, no max-pooling (CIFAR form)"})


SPECS = (
    ModelSpec(
        name="resnet18",
        params=11_173_962,
        native_px=32,
        paper="arXiv:1512.03385",
        make=partial(_make, identifier="resnet18.tv_in1k", small_stem="cifar"),
    ),
    ModelSpec(
        name="resnet50",
        params=23_528_522,
        native_px=224,
        paper="arXiv:1512.03385",
        make=partial(_make, identifier="resnet50.tv2_in1k", small_stem="imagenet"),
    ),
    ModelSpec(
        name="resnext50_32x4d",
        params=23_000_394,
        native_px=224,
        paper="arXiv:1611.05431",
        make=partial(_make, identifier="resnext50_32x4d.tv2_in1k", small_stem="imagenet"),
    ),
)
