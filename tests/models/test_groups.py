"""Which parameters learn and how fast, for heads, layers, norms and frozen parts."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from stages.core.errors import ModelError
from stages.core.params import Params, parse_params
from stages.models import BuiltModel, build, resolve
from stages.models.groups import parameter_groups
from stages.models.heads import head_names, layer_numbers, without_head
from stages.models.spec import ModelConfig
from stages.tasks import task_of
from stages.tasks.puzzle import PuzzleModel

SMALL = "timm/test_resnet"
SAMPLES = ("lenet_small", "resnet18", "shufflenet_v2_x0_5", "vit_2l_2h_128", "swin_tiny")


def params(model: str = SMALL, **more: Any) -> Params:
    return parse_params({"model": model, **more}, "test")


def shaped(chosen: Params) -> BuiltModel:
    """The model without values: groups ask for names and shapes alone."""
    with torch.device("meta"):
        made = resolve(chosen.model).make(ModelConfig())
    model = made.model
    if chosen.task == "puzzle":
        with torch.device("meta"):
            model = PuzzleModel(*without_head(model))
    return BuiltModel(model, made.px, 32, "contiguous", {})


def finetuned(tmp_path: Path, finetune: str, model: str = SMALL, **more: Any) -> BuiltModel:
    path = tmp_path / "w.safetensors"
    if not path.exists():
        save_file(build(params(model), 10).model.state_dict(), path)
    return build(params(model, pretrained=str(path), finetune=finetune, **more), 10)


def names_by_group(built: BuiltModel, chosen: Params) -> dict[str, list[str]]:
    names = {id(parameter): name for name, parameter in built.model.named_parameters()}
    return {
        group["name"]: [names[id(parameter)] for parameter in group["params"]]
        for group in parameter_groups(built, chosen)
    }


@pytest.mark.parametrize("task", ["classify", "puzzle"])
@pytest.mark.parametrize("model", SAMPLES)
def test_every_learning_parameter_is_in_one_group(model: str, task: str) -> None:
    chosen = params(model, task=task, train={"layer_decay": 0.8, "lr_head": 0.01})
    built = shaped(chosen)
    listed = [name for names in names_by_group(built, chosen).values() for name in names]
    assert sorted(listed) == sorted(name for name, _ in built.model.named_parameters())


@pytest.mark.parametrize("model", SAMPLES)
def test_norms_biases_and_embeddings_are_not_decayed(model: str) -> None:
    chosen = params(model)
    built = shaped(chosen)
    shapes = {name: p.ndim for name, p in built.model.named_parameters()}
    for group in parameter_groups(built, chosen):
        assert group["weight_decay"] == (0.0 if "no decay" in group["name"] else 0.05)
    for title, names in names_by_group(built, chosen).items():
        embeddings = ("pos_embed", "cls_token", "relative_position_bias_table")
        light = [shapes[name] <= 1 or name.endswith(embeddings) for name in names]
        assert all(light) if "no decay" in title else not any(light)


def test_head_and_backbone_have_their_own_rates() -> None:
    chosen = params(train={"lr": 1.0, "lr_backbone": 1e-4, "lr_head": 1e-3})
    built = shaped(chosen)
    rates = {group["name"]: group["lr"] for group in parameter_groups(built, chosen)}
    assert rates == {
        "backbone": 1e-4, "backbone, no decay": 1e-4, "head": 1e-3, "head, no decay": 1e-3
    }  # fmt: skip
    assert names_by_group(built, chosen)["head"] == ["fc.weight"]


def test_earlier_layers_learn_slower() -> None:
    chosen = params("vit_2l_2h_128", train={"lr": 1.0, "layer_decay": 0.5})
    built = shaped(chosen)
    rates = {group["name"]: group["lr"] for group in parameter_groups(built, chosen)}
    assert rates["layer 0"] == 0.25  # the patch embedding, before two blocks
    assert rates["layer 1"] == 0.5
    assert rates["layer 2"] == rates["head"] == 1.0


def test_discriminative_is_layer_decay_unless_the_recipe_has_its_own() -> None:
    for given, expected in ((None, 0.75), (0.9, 0.9)):
        train = {"lr": 1.0, "layer_decay": given}
        chosen = params("vit_2l_2h_128", finetune="discriminative", pretrained=True, train=train)
        groups = parameter_groups(shaped(chosen), chosen)
        rates = {group["name"]: group["lr"] for group in groups}
        assert rates["layer 1"] == expected


@pytest.mark.parametrize("model", [*SAMPLES, "mobilenet_v3_small", "timm/test_convnext"])
def test_layers_are_counted_from_the_input_without_gaps(model: str) -> None:
    built = shaped(params(model))
    numbers = layer_numbers(built.model)
    order = list(dict.fromkeys(numbers.values()))
    assert sorted(order) == list(range(len(order)))
    assert len(order) >= 3
    heads = head_names(built.model)
    assert not any(name.startswith(heads) for name in numbers)
    norms = [
        (name, before)
        for before, name in zip(numbers, list(numbers)[1:], strict=False)
        if name.split(".")[0] == "norm"
    ]
    assert all(numbers[name] == numbers[before] for name, before in norms)


@pytest.mark.parametrize(("finetune", "layers"), [("head", 0), ("partial:1", 1), ("partial:3", 3)])
def test_frozen_parts_keep_weights_and_statistics(
    tmp_path: Path, finetune: str, layers: int
) -> None:
    built = finetuned(tmp_path, finetune)
    chosen = params(finetune=finetune, pretrained=True)
    before = copy.deepcopy(built.model.state_dict())
    optimizer = torch.optim.AdamW(parameter_groups(built, chosen), lr=0.1)
    for _ in range(2):
        built.model.train()  # as a training loop does
        logits = built.model(torch.randn(8, 3, 32, 32))
        torch.nn.functional.cross_entropy(logits, torch.arange(8)).backward()
        optimizer.step()
    after = built.model.state_dict()
    changed = {
        name.rpartition(".")[0] for name in after if not torch.equal(after[name], before[name])
    }
    numbers = layer_numbers(built.model)
    last = max(numbers.values())
    learning = {
        name.rpartition(".")[0] for name, _ in built.model.named_parameters()
        if numbers.get(name, last + 1) > last - layers
    }  # fmt: skip
    assert changed == learning
    statistics = {name for name in after if "running_mean" in name}
    held = {name for name in statistics if torch.equal(after[name], before[name])}
    assert {name.rpartition(".")[0] for name in statistics - held} <= learning
    assert f"{last + 1 - layers} of {last + 1} layers" in built.notes["frozen"]


def test_a_frozen_model_can_be_copied_and_frozen_dropout_is_off(tmp_path: Path) -> None:
    chosen = {"train": {"drop_path": 0.5}}
    built = finetuned(tmp_path, "head", "vit_2l_2h_128", **chosen)
    torch.nn.init.normal_(built.model.get_submodule("head").weight)  # a small one hides features
    images = torch.randn(4, 3, 32, 32)
    model = copy.deepcopy(built.model).train()
    assert torch.equal(model(images), model(images))
    assert torch.equal(model(images), built.model.eval()(images))


def test_more_layers_than_there_are_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="`finetune` is partial:40, but the model has 5 layers"):
        finetuned(tmp_path, "partial:40")


def test_a_frozen_backbone_serves_the_puzzle(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(build(params("lenet_small"), 10).model.state_dict(), path)
    chosen = params("lenet_small", task="puzzle", pretrained=str(path), finetune="head")
    built = task_of(chosen).build(chosen, 10)
    learning = {name for name, p in built.model.named_parameters() if p.requires_grad}
    assert not any(name.startswith("backbone.") for name in learning)
    assert set(names_by_group(built, chosen)) == {"head", "head, no decay"}
