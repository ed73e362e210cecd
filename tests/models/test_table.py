"""Every model of the table: its published size, a training step at 32 px and at its native size."""

import pytest
import torch

from stages.core.errors import ModelError
from stages.models import MODELS, resolve
from stages.models.spec import FamilyModel, ModelConfig

PUBLISHED_MILLIONS = {
    "lenet_small": 0.06,
    "lenet_large": 1.98,
    "resnet18": 11.17,
    "resnet50": 23.53,
    "resnext50_32x4d": 23.00,
    "mobilenet_v2": 2.24,
    "mobilenet_v3": 4.21,
    "mobilenet_v3_small": 1.53,
    "efficientnet_v2_s": 20.19,
    "efficientnet_lite0": 3.38,
    "efficientnet_lite1": 4.15,
    "efficientnet_lite2": 4.82,
    "convnext_v2_tiny": 27.87,
    "vit_base": 85.81,
    "vit_small": 21.67,
    "deit_small": 21.67,
    "swin_tiny": 27.53,
    "swin_small": 48.84,
    "repvgg_a0": 7.84,
    "mobileone_s0": 4.28,
    "shufflenet_v2_x0_5": 0.35,
}
PUBLISHED_EXACTLY = {"lenet_small": 62_006, "resnet18": 11_173_962, "resnet50": 23_528_522}


def parameters_of(made: FamilyModel) -> int:
    return sum(parameter.numel() for parameter in made.model.parameters())


def assert_a_step_works(made: FamilyModel) -> None:
    logits = made.model.train()(torch.randn(2, 3, made.px, made.px))
    assert logits.shape == (2, 10)
    logits.square().mean().backward()
    learning = {name: p.grad for name, p in made.model.named_parameters() if p.requires_grad}
    assert [name for name, grad in learning.items() if grad is None] == []
    values = [grad for grad in learning.values() if grad is not None and not grad.is_meta]
    assert all(torch.isfinite(grad).all() for grad in values)


# Larger siblings: at their native size, which is the same code at other widths and depths, they
# take a step without values, of shapes alone. At 32 px they take a real one.
LARGE = (
    "lenet_large", "resnet50", "resnext50_32x4d", "mobilenet_v3", "swin_small", "vit_base",
    "vit_small", "deit_small", "vit_6l_8h_384", "vit_8l_8h_512", "efficientnet_lite1",
    "efficientnet_lite2", "efficientnet_v2_s",
)  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_step_at_32_px(name: str) -> None:
    made = MODELS[name].make(ModelConfig(px=32))
    assert made.px == 32
    assert_a_step_works(made)


@pytest.mark.parametrize("name", MODELS)
def test_the_published_size_and_a_step_at_the_native_size(name: str) -> None:
    spec = MODELS[name]
    with torch.device("meta" if name in LARGE else "cpu"):
        made = spec.make(ModelConfig(px=spec.native_px))
        assert parameters_of(made) == spec.params
        assert made.px == spec.native_px
        assert_a_step_works(made)


@pytest.mark.parametrize(("name", "millions"), PUBLISHED_MILLIONS.items())
def test_the_table_says_what_was_published(name: str, millions: float) -> None:
    assert round((MODELS[name].params or 0) / 1e6, 2) == millions
    assert MODELS[name].params == PUBLISHED_EXACTLY.get(name, MODELS[name].params)


SMALL_OF_EACH_FAMILY = (
    "lenet_small",
    "mobilenet_v3_small",
    "repvgg_a0",
    "resnet18",
    "shufflenet_v2_x0_5",
    "swin_tiny",
    "vit_2l_2h_128",
)


@pytest.mark.parametrize("px", [9, 28, 64])
@pytest.mark.parametrize("name", SMALL_OF_EACH_FAMILY)
def test_small_and_odd_inputs_work(name: str, px: int) -> None:
    made = MODELS[name].make(ModelConfig(px=px))
    assert made.px >= px
    assert (made.px == px) or "input" in made.notes
    assert_a_step_works(made)


STEMMED = {
    "convnext_v2_tiny": "patches of 2 px",
    "efficientnet_v2_s": "stride 1",
    "mobilenet_v3_small": "stride 1",
    "mobileone_s0": "stride 1",
    "resnet18": "3×3",
    "resnext50_32x4d": "3×3",
    "shufflenet_v2_x0_5": "no max-pooling",
}


@pytest.mark.parametrize(("name", "note"), STEMMED.items())
def test_a_cifar_stem_keeps_more_of_a_small_image(name: str, note: str) -> None:
    with torch.device("meta"):
        plain, small = (MODELS[name].make(ModelConfig(stem=stem)) for stem in ("imagenet", "cifar"))
        areas = [largest_map(made) for made in (plain, small)]
    assert areas[1] >= 4 * areas[0]
    assert note in small.notes["stem"]


def largest_map(made: FamilyModel) -> int:
    """The most positions that any convolution of the model gives for an image of 32 px."""
    found: list[int] = []

    def note(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        found.append(output.shape[-1] * output.shape[-2])

    for module in made.model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(note)
    made.model.eval()(torch.zeros(1, 3, 32, 32))
    return max(found)


@pytest.mark.parametrize("name", ["lenet_small", "vit_small", "swin_tiny", "timm/resnet18"])
def test_a_cifar_stem_is_refused_where_there_is_none(name: str) -> None:
    with pytest.raises(ModelError, match="`stem` is cifar"):
        resolve(name).make(ModelConfig(stem="cifar"))


def test_the_stem_of_resnets_follows_the_input_when_it_is_left_open() -> None:
    with torch.device("meta"):
        assert "CIFAR" in MODELS["resnet18"].make(ModelConfig(px=32)).notes["stem"]
        assert "published" in MODELS["resnet18"].make(ModelConfig(px=64)).notes["stem"]
        assert "published" in MODELS["resnet50"].make(ModelConfig(px=32)).notes["stem"]
        cifar = MODELS["resnet50"].make(ModelConfig(px=32, stem="cifar"))
    assert parameters_of(cifar) == 23_520_842


def test_transformers_say_how_they_cut_small_images() -> None:
    with torch.device("meta"):
        vit, swin = (MODELS[name].make(ModelConfig(px=32)) for name in ("vit_small", "swin_tiny"))
    assert vit.notes["patch"] == "4 px, 64 patches; the published form has 16 px"
    assert swin.notes["window"] == "4×4; the published form has 7×7"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("resnet19", "resnet18"),
        ("timm/resnet_18", "timm/resnet18"),
        ("timm/resnet18.tv_in2k", "timm/resnet18.tv_in1k"),
        ("torchvision/resnet19", "torchvision/resnet18"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ModelError, match=f"(?i)did you mean .*{nearest}"):
        resolve(name)


@pytest.mark.parametrize(
    ("name", "request_", "key"),
    [
        ("lenet_small", ModelConfig(drop_path=0.1), "drop_path"),
        ("shufflenet_v2_x0_5", ModelConfig(drop_path=0.1), "drop_path"),
        ("shufflenet_v2_x0_5", ModelConfig(dropout=0.1), "dropout"),
        ("timm/densenet121", ModelConfig(drop_path=0.1), "drop_path"),
    ],
)
def test_a_rate_that_a_model_cannot_take_is_told(
    name: str, request_: ModelConfig, key: str
) -> None:
    with pytest.raises(ModelError, match=f"`train.{key}` is 0.1"):
        resolve(name).make(request_)
