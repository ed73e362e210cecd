"""Models named with a prefix: they train, fit small inputs, or say plainly why not."""

import pytest
import torch

from stages.core.errors import ModelError
from stages.models import resolve
from stages.models.libraries import library_names
from stages.models.spec import ModelConfig

OTHERS = (
    "timm/deit_tiny_patch16_224",
    "timm/edgenext_xx_small",
    "timm/efficientformerv2_s0",
    "timm/ghostnet_050",
    "timm/lcnet_050",
    "timm/mobilevit_xxs",
    "timm/pvt_v2_b0",
    "timm/regnetx_002",
    "timm/tinynet_e",
    "timm/vit_tiny_patch16_224.augreg_in21k",
    "torchvision/densenet121",
    "torchvision/mnasnet0_5",
)


@pytest.mark.parametrize("name", OTHERS)
def test_a_step_of_a_library_model_at_32_px(name: str) -> None:
    made = resolve(name).make(ModelConfig(classes=7, px=32))
    assert made.model.training
    logits = made.model(torch.randn(2, 3, made.px, made.px))
    assert logits.shape == (2, 7)
    logits.square().mean().backward()


def test_patches_and_windows_of_library_models_fit_small_inputs() -> None:
    assert (
        "patch_size 4" in resolve("timm/vit_tiny_patch16_224").make(ModelConfig()).notes["options"]
    )
    notes = resolve("timm/swinv2_cr_tiny_ns_224").make(ModelConfig(px=28)).notes
    assert notes["options"] == "img_size 28, patch_size 2, window_size 7"
    assert "options" not in resolve("timm/vit_tiny_patch16_224").make(ModelConfig(px=224)).notes


@pytest.mark.parametrize("name", ["timm/inception_v3", "torchvision/alexnet"])
def test_a_model_that_cannot_take_the_input_names_its_native_size(name: str) -> None:
    native_px = resolve(name).native_px
    with pytest.raises(ModelError, match=f"cannot take images of 32 px.*`input_size: {native_px}`"):
        resolve(name).make(ModelConfig(px=32))


def test_drop_path_reaches_torchvision_models() -> None:
    model = (
        resolve("torchvision/efficientnet_b0").make(ModelConfig(drop_path=0.3, dropout=0.4)).model
    )
    rates = [float(module.p) for module in model.modules() if hasattr(module, "p")]
    assert max(rates) == 0.4
    assert any(abs(rate - 0.3) < 0.02 for rate in rates)
    still = resolve("torchvision/efficientnet_b0").make(ModelConfig()).model
    assert not any(float(module.p) for module in still.modules() if hasattr(module, "p"))


def test_all_names_of_the_libraries_are_listed() -> None:
    names = library_names()
    assert len(names) > 1000
    assert {"timm/resnet18", "torchvision/resnet18"} <= set(names)
