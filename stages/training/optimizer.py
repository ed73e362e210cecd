"""Optimisers by name, over parameter groups that may each have a learning rate and a decay.

SGD with Nesterov momentum, Adam, AdamW, and Muon with AdamW for what is not a matrix. Leaves the
grouping (backbone or head, what decays) to `models` and the course of the rate to
`training.schedule`.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, overload

import torch
from torch import Tensor, nn

from stages.core.sections import Train

Groups = list[dict[str, Any]]


def make_optimizer(groups: Groups, train: Train) -> torch.optim.Optimizer:
    """The optimiser that `train.optimizer` names.

    A group is a dictionary of "params" and, where they differ from `train`, "lr" and
    "weight_decay"; by its "name" Muon leaves the head and what is not decayed to AdamW. The
    fused forms are used: on a CPU they take a third of the time for AdamW and more.
    """
    groups = [{"lr": train.lr, "weight_decay": train.weight_decay, **group} for group in groups]
    return _MAKERS[train.optimizer](groups, train)


def _sgd(groups: Groups, train: Train) -> torch.optim.Optimizer:
    nesterov = train.momentum > 0
    sgd = _eager(torch.optim.SGD)(groups, momentum=train.momentum, nesterov=nesterov, fused=True)
    if nesterov and train.precision == "fp16":
        # The fused step makes its momentum uninitialised and fills it unless the step is skipped
        # for an overflow, as the first ones at fp16 are.
        for parameter in (p for group in sgd.param_groups for p in group["params"]):
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return sgd


def _adam(groups: Groups, _train: Train) -> torch.optim.Optimizer:
    return _in_memory_order(_eager(torch.optim.Adam))(groups, fused=True)


def _adamw(groups: Groups, _train: Train) -> torch.optim.Optimizer:
    return _in_memory_order(_eager(torch.optim.AdamW))(groups, fused=True)


def _muon(groups: Groups, train: Train) -> torch.optim.Optimizer:
    return _eager(MuonWithAdamW)(groups, train.momentum)


@cache
def _eager(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """The optimiser without its wrappers for `torch.compile`, to import which takes a second.

    No optimiser is compiled here. What they wrap is kept by `functools.wraps`.
    """
    wrapped = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    plain = {name: inspect.unwrap(getattr(kind, name)) for name in wrapped}
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**plain, "step": step})


@cache
def _in_memory_order(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """Adam that shows its fused step kernels [out, in, h, w] as they lie in memory.

    Of each one in channels-last layout the step would first make a contiguous copy, for half of its
    time and more (PyTorch 2.15), and then go through memory in order all the same.
    """

    def _init_group(self: Any, group: dict[str, Any], *lists: list[Tensor]) -> Any:
        told = kind._init_group(self, group, *lists)  # type: ignore[attr-defined]
        for tensors in lists:
            tensors[:] = [_as_it_lies(tensor) for tensor in tensors]
        return told

    return type(kind.__name__, (kind,), {"_init_group": _init_group})


def _as_it_lies(values: Tensor) -> Tensor:
    last = values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last)
    return values.permute(0, 2, 3, 1) if last else values


_MAKERS: dict[str, Callable[[Groups, Train], torch.optim.Optimizer]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
    "muon": _muon,
}


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for hidden matrices and convolution kernels, AdamW for all else, as one optimiser.

    Muon orthogonalises the momentum of a matrix (Jordan 2024, kellerjordan.github.io/posts/muon);
    a kernel [out, in, h, w] counts as the matrix [out, in·h·w]. Its step is scaled to the size of
    AdamW's (Liu et al. 2025, arXiv:2502.16982), so that one learning rate serves both.
    """

    def __init__(self, groups: Groups, momentum: float) -> None:
        super().__init__(groups, {})
        self._matrices = [(p, _as_matrix(p)) for g in self.param_groups for p in _hidden(g)]
        views = {id(parameter): view for parameter, view in self._matrices}
        muon: Groups = []
        adamw: Groups = []
        for group in self.param_groups:
            settings = {key: group[key] for key in ("lr", "weight_decay")}
            rest = [p for p in group["params"] if id(p) not in views]
            hidden = [views[id(p)] for p in group["params"] if id(p) in views]
            muon.append({**settings, "params": hidden})
            adamw.append({**settings, "params": rest})
        steps_like_adamw = {"momentum": momentum, "adjust_lr_fn": "match_rms_adamw"}
        self.muon = _eager(torch.optim.Muon)(muon, **steps_like_adamw)
        self.adamw = _eager(torch.optim.AdamW)(adamw, fused=True)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient."""
        loss = None if closure is None else closure()
        for parameter, matrix in self._matrices:
            matrix.grad = None if parameter.grad is None else _flat(parameter.grad, parameter)
        for part in (self.muon, self.adamw):
            for ours, inner in zip(self.param_groups, part.param_groups, strict=True):
                inner["lr"] = ours["lr"]
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The states of both parts, and the learning rates that a schedule has set."""
        lrs = [group["lr"] for group in self.param_groups]
        return {"lr": lrs, "muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a state that `state_dict` gave.

        A loaded key equals the one here and is another object, which a pickle would write twice.
        """
        for group, lr in zip(self.param_groups, state_dict["lr"], strict=True):
            group["lr"] = lr
        self.muon.load_state_dict(state_dict["muon"])
        self.adamw.load_state_dict(state_dict["adamw"])
        for group in (*self.muon.param_groups, *self.adamw.param_groups):
            values = {sys.intern(key): value for key, value in group.items()}
            group.clear()
            group.update(values)


def _hidden(group: dict[str, Any]) -> Iterator[nn.Parameter]:
    name = group.get("name", "")
    if not name.startswith("head") and not name.endswith("no decay"):
        yield from (p for p in group["params"] if p.ndim in (2, 4))


def _as_matrix(parameter: nn.Parameter) -> nn.Parameter:
    """A matrix parameter that shares memory with a weight of two or four dimensions."""
    matrix = _flat(parameter.detach(), parameter)
    assert matrix.data_ptr() == parameter.data_ptr(), "a copy would never reach the weight"
    return nn.Parameter(matrix)


def _flat(values: Tensor, parameter: nn.Parameter) -> Tensor:
    """Rows of outputs. Columns follow the memory: of their order nothing but rounding depends."""
    last = values.ndim == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
    return (values.permute(0, 2, 3, 1) if last else values).flatten(1)
