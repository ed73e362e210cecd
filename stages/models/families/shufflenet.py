"""ShuffleNetV2 at half width, from torchvision.

Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design,
arXiv:1807.11164. `stem: cifar` gives the first convolution stride 1 and leaves the pooling out.
"""

from stages.models.builders import full_resolution, torchvision_model
from stages.models.spec import FamilyModel, ModelConfig, ModelSpec


def _make(request: ModelConfig) -> FamilyModel:
    from torch import nn

    model = torchvision_model("shufflenet_v2_x0_5", request)
    notes = full_resolution(model.get_submodule("conv1"), request)
    if notes:
        model.maxpool = nn.Identity()
        notes["stem"] += ", no max-pooling"
    return FamilyModel(model, request.px, notes)


SPECS = (
    ModelSpec(
        name="shufflenet_v2_x0_5",
        params=352_042,
        native_px=224,
        paper="arXiv:1807.11164",
        make=_make,
        library="torchvision/shufflenet_v2_x0_5",
    ),
)
