"""Counts against what others published: timm, torchvision, and the figures of an old study.

The figures are facts. timm's are from its results table of August 2024, in millions of parameters,
GMACs and millions of activations with two decimals, at the size given: the file
results/benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv of huggingface/pytorch-image-models.
torchvision's come with the installed package, parameters to the unit.
"""

import pytest
import torch

from stages.measures.profiling.flops import Cost, count_cost
from stages.measures.profiling.params import count_params

ROUNDING = 0.005

# model, px, params_m, macs_g, activations_m; a family per line or two.
TIMM = [
    ("resnet18", 224, 11.69, 1.82, 2.48),
    ("resnet50", 224, 25.56, 4.11, 11.11),
    ("seresnet50", 224, 28.09, 4.11, 11.13),
    ("resnext50_32x4d", 224, 25.03, 4.26, 14.4),
    ("resnetv2_50", 224, 25.55, 4.11, 11.11),
    ("res2net50_26w_4s", 224, 25.7, 4.28, 12.61),
    ("vgg11", 224, 132.86, 7.61, 7.44),
    ("inception_v3", 299, 23.83, 5.73, 8.97),
    ("legacy_xception", 299, 22.86, 8.4, 35.83),
    ("dla60", 224, 22.04, 4.26, 10.16),
    ("dpn92", 224, 37.67, 6.54, 18.21),
    ("cspdarknet53", 256, 27.64, 6.57, 16.81),
    ("vovnet39a", 224, 22.6, 7.09, 6.73),
    ("hgnet_small", 224, 24.36, 8.53, 8.79),
    ("selecsls60", 224, 30.67, 3.59, 5.52),
    ("tresnet_m", 224, 31.39, 5.75, 7.31),
    ("regnetx_032", 224, 15.3, 3.2, 11.37),
    ("repvgg_b0", 224, 15.82, 3.41, 6.15),
    ("tf_efficientnetv2_s", 300, 21.46, 5.35, 22.73),
    ("convnext_nano", 224, 15.59, 2.46, 8.37),
    ("vit_tiny_patch16_224", 224, 5.72, 1.26, 5.97),
    ("vit_base_patch16_224", 224, 86.57, 17.58, 23.9),
    ("deit_small_patch16_224", 224, 22.05, 4.61, 11.95),
    ("beit_base_patch16_224", 224, 86.53, 17.58, 23.9),
    ("swin_tiny_patch4_window7_224", 224, 28.29, 4.51, 17.06),
    ("mixer_b16_224", 224, 59.88, 12.62, 14.53),
    ("gmlp_s16_224", 224, 19.42, 4.42, 15.1),
    ("coatnet_0_rw_224", 224, 27.44, 4.43, 18.73),
    ("poolformer_s12", 224, 11.92, 1.82, 5.53),
    ("pit_s_224", 224, 23.46, 2.88, 11.56),
    ("levit_256", 224, 18.89, 1.13, 4.23),
    ("hiera_tiny_224", 224, 27.91, 4.91, 17.13),
]
# Networks so light that the arithmetic of normalisations, which timm's tables include, shows.
LIGHT = [
    ("densenet121", 224, 7.98, 2.87, 6.9),
    ("mobileone_s1", 224, 4.83, 0.86, 9.67),
    ("mobilevit_s", 256, 5.58, 2.03, 19.94),
    ("mobilenetv2_140", 224, 6.11, 0.6, 9.57),
]
TORCHVISION = [
    "resnet18",
    "resnet50",
    "mobilenet_v3_large",
    "shufflenet_v2_x0_5",
    "swin_t",
    "vit_b_16",
]


def counted(name: str, px: int, classes: int = 1000) -> tuple[int, Cost]:
    import timm

    with torch.device("meta"):
        model = timm.create_model(name, num_classes=classes).eval()
        cost = count_cost(model, (torch.empty(1, 3, px, px),))
    return count_params(model)["params_total"], cost


@pytest.mark.parametrize(("name", "px", "params_m", "macs_g", "activations_m"), TIMM)
def test_macs_agree_with_timm_within_a_per_cent(
    name: str, px: int, params_m: float, macs_g: float, activations_m: float
) -> None:
    params, cost = counted(name, px)
    assert round(params / 1e6, 2) == params_m
    assert cost.macs / 1e9 == pytest.approx(macs_g, rel=0.01)
    assert cost.activations / 1e6 == pytest.approx(activations_m, rel=0.001, abs=2 * ROUNDING)


@pytest.mark.parametrize(("name", "px", "params_m", "macs_g", "activations_m"), LIGHT)
def test_what_timm_adds_to_macs_is_the_normalisations(
    name: str, px: int, params_m: float, macs_g: float, activations_m: float
) -> None:
    params, cost = counted(name, px)
    assert round(params / 1e6, 2) == params_m
    assert cost.macs / 1e9 < macs_g - ROUNDING
    with_norms = (cost.macs + cost.normalization_ops) / 1e9
    assert with_norms == pytest.approx(macs_g, rel=0.003, abs=ROUNDING)


@pytest.mark.parametrize("name", TORCHVISION)
def test_params_agree_with_torchvision_to_the_unit(name: str) -> None:
    from torchvision.models import get_model, get_model_weights

    published = get_model_weights(name).DEFAULT.meta
    with torch.device("meta"):
        model = get_model(name).eval()
        cost = count_cost(model, (torch.empty(1, 3, 224, 224),))
    assert count_params(model)["params_total"] == published["num_params"]
    assert cost.macs / 1e9 == pytest.approx(published["_ops"], rel=0.01, abs=0.0005)


@pytest.mark.parametrize(
    ("name", "params", "told_g"),
    [
        ("mobilenetv3_large_100", 4_214_842, 0.007),
        ("tf_efficientnetv2_s", 20_190_298, 0.062),
        ("resnet50", 23_528_522, 0.084),
        ("convnextv2_tiny", 27_874_186, 0.091),
    ],
)
def test_flops_at_32_px_of_the_small_data_study_are_macs_with_normalisations(
    name: str, params: int, told_g: float
) -> None:
    """Its column says FLOPs: it holds MACs plus normalisations of ImageNet forms fed with 32 px."""
    found, cost = counted(name, 32, classes=10)
    assert found == params
    assert round((cost.macs + cost.normalization_ops) / 1e9, 3) == told_g
    flops = 2 * cost.macs / 1e9
    assert flops == pytest.approx(2 * told_g, rel=0.02)
