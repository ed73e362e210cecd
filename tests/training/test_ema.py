"""The moving average of weights: its closed form, buffers of every kind, and resuming."""

import copy

import torch
from torch import nn

from stages.training.ema import Ema


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("table", torch.arange(100))
        self.table: torch.Tensor


def after(values: list[float], decay: float) -> tuple[Model, Ema]:
    model = Model()
    ema = Ema(model, decay)
    for value in values:
        move(model, value)
        ema.update(model)
    return model, ema


def move(model: Model, value: float) -> None:
    with torch.no_grad():
        model.weight.fill_(value)
        assert model.norm.running_mean is not None
        assert model.norm.num_batches_tracked is not None
        model.norm.running_mean.fill_(value)
        model.norm.num_batches_tracked += 1


def closed_form(values: list[float], decay: float) -> float:
    average = 0.0
    for updates, value in enumerate(values):
        share = min(decay, (1 + updates) / (10 + updates))
        average = share * average + (1 - share) * value
    return average


def test_weights_and_statistics_follow_the_closed_form() -> None:
    for decay in (0.25, 0.999):
        values = [1.0, 3.0, -2.0, 8.0, 5.0]
        _, ema = after(values, decay)
        expected = torch.full((2,), closed_form(values, decay))
        torch.testing.assert_close(ema.model.state_dict()["weight"], expected)
        torch.testing.assert_close(ema.model.state_dict()["norm.running_mean"], expected)


def test_counters_and_index_tables_are_copied_not_averaged() -> None:
    _, ema = after([1.0, 2.0, 3.0], 0.9)
    state = ema.model.state_dict()
    assert torch.equal(state["table"], torch.arange(100))
    assert int(state["norm.num_batches_tracked"]) == 3


def test_the_model_itself_is_not_touched_and_the_average_takes_no_gradient() -> None:
    model, ema = after([1.0, 2.0], 0.9)
    assert torch.equal(model.weight, torch.full((2,), 2.0))
    assert model.weight.requires_grad
    assert not any(p.requires_grad for p in ema.model.parameters())


def test_a_resumed_average_has_the_same_bits() -> None:
    values = [float(v) for v in range(9)]
    _, straight = after(values, 0.95)
    model, first = after(values[:4], 0.95)
    state = copy.deepcopy(first.state_dict())
    second = Ema(Model(), 0.95)
    second.load_state_dict(state)
    for value in values[4:]:
        move(model, value)
        second.update(model)
    for ours, theirs in zip(
        straight.model.state_dict().values(), second.model.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs)
