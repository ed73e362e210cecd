"""Which parameters learn, and how fast: freezing, learning rates, layer decay, weight decay.

`freeze` carries out `finetune`, `parameter_groups` the rates of the recipe.
"""

from typing import TYPE_CHECKING, Any

from torch import nn

from stages.core.errors import ModelError
from stages.models.heads import in_head, layer_numbers

if TYPE_CHECKING:
    from stages.core.params import Params
    from stages.models.spec import BuiltModel

DISCRIMINATIVE_DECAY = 0.75
UNDECAYED = ("class_token", "pos_embedding", "relative_position_bias_table")


def freeze(model: nn.Module, finetune: str) -> str:
    """Stop the parameters that `finetune` holds from learning; return what to note, or "".

    `head` keeps the whole trunk, `partial:n` all but its last n layers. Batch norms and dropout
    of a frozen layer stay in evaluation mode whatever the model is set to.
    Raises ModelError when the model has fewer than n layers.
    """
    if finetune in ("full", "discriminative"):
        return ""
    numbers = layer_numbers(model)
    layers = max(numbers.values()) + 1
    learning = int(finetune.partition(":")[2] or 0)
    if learning > layers:
        raise ModelError(
            f"`finetune` is {finetune}, but the model has {layers} layers before its head. Give "
            f"partial:{layers} or fewer, or `finetune: full`."
        )
    frozen = {name for name, number in numbers.items() if number < layers - learning}
    for name, parameter in model.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    _hold(model)
    return f"{layers - learning} of {layers} layers before the head are frozen"


def _hold(module: nn.Module) -> None:
    """Hold the outermost modules whose parameters are all frozen in evaluation mode."""
    learning = [parameter.requires_grad for parameter in module.parameters()]
    if learning and not any(learning):
        module.register_forward_pre_hook(_evaluate)
    else:
        for child in module.children():
            _hold(child)


def _evaluate(module: nn.Module, args: Any) -> None:
    module.eval()


def parameter_groups(built: "BuiltModel", params: "Params") -> list[dict[str, Any]]:
    """Groups for an optimiser, each with `params`, `lr`, `weight_decay` and a `name`.

    The trunk learns with `train.lr_backbone` and the head with `train.lr_head` (default of both:
    `train.lr`). Layer decay multiplies the trunk's rate by `layer_decay` for each layer before
    the last (ULMFiT, arXiv:1801.06146; BEiT, arXiv:2106.08254); `finetune: discriminative`
    decays by 0.75 unless the recipe says otherwise. Norms, biases and position embeddings are
    not decayed. Every learning parameter is in one group.
    """
    recipe = params.train
    decay = recipe.layer_decay
    if decay is None and params.finetune == "discriminative":
        decay = DISCRIMINATIVE_DECAY
    head, numbers = in_head(built.model), layer_numbers(built.model)
    last = max(numbers.values(), default=0)
    undecayed = _undecayed(built.model)
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in built.model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name in head:
            title, lr = "head", recipe.lr_head or recipe.lr
        else:
            lr = (recipe.lr_backbone or recipe.lr) * (decay or 1.0) ** (last - numbers[name])
            title = "backbone" if decay is None else f"layer {numbers[name]}"
        weight_decay = recipe.weight_decay
        if name in undecayed:
            title, weight_decay = f"{title}, no decay", 0.0
        group = {"params": [], "lr": lr, "weight_decay": weight_decay, "name": title}
        groups.setdefault(title, group)["params"].append(parameter)
    return list(groups.values())


def _undecayed(model: nn.Module) -> set[str]:
    """Norms, biases, and the embeddings that the models themselves name."""
    found = {
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim <= 1 or name.endswith(UNDECAYED)
    }
    for prefix, module in model.named_modules():
        if hasattr(module, "no_weight_decay"):
            found |= {f"{prefix}.{name}".lstrip(".") for name in module.no_weight_decay()}
    return found
