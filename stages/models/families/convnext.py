"""ConvNeXt V2, tiny.

Woo et al., ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders,
arXiv:2301.00808.
"""

from functools import partial

from stages.models.libraries import make_timm
from stages.models.spec import ModelSpec

SPECS = (
    ModelSpec(
        name="convnext_v2_tiny",
        params=27_874_186,
        native_px=224,
        paper="arXiv:2301.00808",
        make=partial(make_timm, identifier="convnextv2_tiny"),
    ),
)
