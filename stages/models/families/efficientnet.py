"""EfficientNetV2-S.

Tan and Le, EfficientNetV2: Smaller Models and Faster Training, arXiv:2104.00298. The `tf_` form
has the padding and batch-norm epsilon of the published weights.
"""

from functools import partial

from stages.models.libraries import make_timm
from stages.models.spec import ModelSpec

SPECS = (
    ModelSpec(
        name="efficientnet_v2_s",
        params=20_190_298,
        native_px=300,
        paper="arXiv:2104.00298",
        make=partial(make_timm, identifier="tf_efficientnetv2_s"),
    ),
)
