"""EfficientNetV2-S.

Tan and Le, EfficientNetV2: Smaller Models and Faster Training, arXiv:2104.00298. The `tf_` form
has the padding and the batch-norm epsilon of the published weights. `stem: cifar` gives the first
convolution stride 1.
"""

from functools import partial

from stages.models.builders import make_timm
from stages.models.spec import ModelSpec

IDENTIFIER = "tf_efficientnetv2_s"

SPECS = (
    ModelSpec(
        name="efficientnet_v2_s",
        params=20_190_298,
        native_px=300,
        paper="arXiv:2104.00298",
        make=partial(make_timm, identifier=IDENTIFIER, stem="conv_stem"),
        library=f"timm/{IDENTIFIER}",
    ),
)
