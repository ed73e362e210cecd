"""Models whose branches are folded into single convolutions after training.

Ding et al., RepVGG: Making VGG-style ConvNets Great Again, arXiv:2101.03697; Vasu et al.,
MobileOne: An Improved One millisecond Mobile Backbone, arXiv:2206.04040. Counts are those of the
training form; `timm.utils.reparameterize_model` folds. `stem: cifar` gives the first block
stride 1.
"""

from functools import partial

from stages.models.builders import make_timm
from stages.models.spec import ModelSpec


def _spec(name: str, params: int, paper: str) -> ModelSpec:
    return ModelSpec(
        name=name,
        params=params,
        native_px=224,
        paper=paper,
        make=partial(make_timm, identifier=name, stem="stem"),
        library=f"timm/{name}",
    )


SPECS = (
    _spec("repvgg_a0", 7_840_778, "arXiv:2101.03697"),
    _spec("mobileone_s0", 4_278_522, "arXiv:2206.04040"),
)
