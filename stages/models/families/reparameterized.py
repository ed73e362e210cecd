"""Models whose branches are folded into single convolutions after training.

Ding et al., RepVGG: Making VGG-style ConvNets Great Again, arXiv:2101.03697; Vasu et al.,
MobileOne: An Improved One millisecond Mobile Backbone, arXiv:2206.04040. Counts are those of the
training form; `timm.utils.reparameterize_model` folds.
"""

from functools import partial

from stages.models.libraries import make_timm
from stages.models.spec import ModelSpec

SPECS = (
    ModelSpec(
        name="repvgg_a0",
        params=7_840_778,
        native_px=224,
        paper="arXiv:2101.03697",
        make=partial(make_timm, identifier="repvgg_a0"),
    ),
    ModelSpec(
        name="mobileone_s0",
        params=4_278_522,
        native_px=224,
        paper="arXiv:2206.04040",
        make=partial(make_timm, identifier="mobileone_s0"),
    ),
)
