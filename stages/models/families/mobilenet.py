"""MobileNetV3, large and small.

Howard et al., Searching for MobileNetV3, arXiv:1905.02244. `stem: cifar` gives the first
convolution stride 1.
"""

from functools import partial

from stages.models.builders import make_timm
from stages.models.spec import ModelSpec


def _spec(name: str, params: int, identifier: str) -> ModelSpec:
    return ModelSpec(
        name=name,
        params=params,
        native_px=224,
        paper="arXiv:1905.02244",
        make=partial(make_timm, identifier=identifier, stem="conv_stem"),
        library=f"timm/{identifier}",
    )


SPECS = (
    _spec("mobilenet_v3", 4_214_842, "mobilenetv3_large_100"),
    _spec("mobilenet_v3_small", 1_528_106, "mobilenetv3_small_100"),
)
