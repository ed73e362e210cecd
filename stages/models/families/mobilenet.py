"""MobileNetV3, large and small.

Howard et al., Searching for MobileNetV3, arXiv:1905.02244.
"""

from functools import partial

from stages.models.libraries import make_timm
from stages.models.spec import ModelSpec

SPECS = (
    ModelSpec(
        name="mobilenet_v3",
        params=4_214_842,
        native_px=224,
        paper="arXiv:1905.02244",
        make=partial(make_timm, identifier="mobilenetv3_large_100"),
    ),
    ModelSpec(
        name="mobilenet_v3_small",
        params=1_528_106,
        native_px=224,
        paper="arXiv:1905.02244",
        make=partial(make_timm, identifier="mobilenetv3_small_100"),
    ),
)
