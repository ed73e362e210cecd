"""ShuffleNetV2 at half width, from torchvision.

Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design,
arXiv:1807.11164.
"""

from functools import partial

from stages.models.libraries import make_torchvision
from stages.models.spec import ModelSpec

SPECS = (
    ModelSpec(
        name="shufflenet_v2_x0_5",
        params=352_042,
        native_px=224,
        paper="arXiv:1807.11164",
        make=partial(make_torchvision, identifier="shufflenet_v2_x0_5"),
    ),
)
