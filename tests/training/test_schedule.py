"""Schedules against their closed forms and against PyTorch's own."""

from math import cos, pi
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from stages.core.sections import Train
from stages.training.schedule import make_schedule, share_of_rate

NAMES = ["constant", "step", "cosine", "one_cycle"]


def rates(train: Train, steps_per_epoch: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=train.lr)
    schedule = make_schedule(optimizer, train, steps_per_epoch)
    seen = []
    for _ in range(train.epochs * steps_per_epoch):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def recipe(schedule: str, **changes: Any) -> Train:
    return Train(schedule=schedule, **{"epochs": 6, "lr": 0.2, "warmup_epochs": 0, **changes})


def test_constant_stays() -> None:
    assert rates(recipe("constant"), 5) == [0.2] * 30


def test_cosine_is_half_a_wave() -> None:
    expected = [0.1 * (1 + cos(pi * step / 30)) for step in range(30)]
    assert rates(recipe("cosine"), 5) == pytest.approx(expected)


def test_step_falls_every_so_many_epochs() -> None:
    seen = rates(recipe("step", step_epochs=2, step_gamma=0.5), 5)
    assert seen == pytest.approx([0.2] * 10 + [0.1] * 10 + [0.05] * 10)


def test_warm_up_rises_by_equal_amounts_to_the_full_rate() -> None:
    seen = rates(recipe("cosine", warmup_epochs=1.5), 4)
    assert seen[:6] == pytest.approx([0.2 * (step + 1) / 6 for step in range(6)])
    assert seen[6] == pytest.approx(0.2)
    assert seen[6:] == sorted(seen[6:], reverse=True)


@pytest.mark.parametrize("pct_start", [0.05, 0.3, 0.9])
def test_one_cycle_is_that_of_pytorch(pct_start: float) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.2)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.2, total_steps=60, pct_start=pct_start, cycle_momentum=False
    )
    expected = []
    for _ in range(60):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    assert rates(recipe("one_cycle", pct_start=pct_start), 10) == pytest.approx(expected)


def test_a_single_step_of_one_cycle_trains() -> None:
    assert rates(recipe("one_cycle", epochs=1), 1) == [0.2]


@given(
    st.sampled_from(NAMES),
    st.integers(1, 5),
    st.integers(1, 20),
    st.floats(0, 0.9),
    st.floats(0.01, 0.99),
)
def test_the_share_is_always_in_0_to_1(
    schedule: str, epochs: int, steps_per_epoch: int, warmup: float, pct_start: float
) -> None:
    own_rise = schedule == "one_cycle"
    changes = {"epochs": epochs, "pct_start": pct_start, "warmup_epochs": 0 if own_rise else warmup}
    train = recipe(schedule, **changes)
    for step in range(epochs * steps_per_epoch + 1):  # one more: the scheduler looks ahead
        assert 0 <= share_of_rate(step, train, steps_per_epoch) <= 1


def test_groups_keep_the_ratio_of_their_rates() -> None:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.1, 0.001)]
    optimizer = torch.optim.SGD(groups)
    schedule = make_schedule(optimizer, recipe("cosine"), 5)
    for _ in range(17):
        optimizer.step()
        schedule.step()
    fast, slow = (group["lr"] for group in optimizer.param_groups)
    assert fast == pytest.approx(100 * slow)


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_schedule_goes_on(name: str) -> None:
    train = recipe(name, warmup_epochs=0 if name == "one_cycle" else 1)
    expected = rates(train, 5)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=train.lr)
    schedule = make_schedule(optimizer, train, 5)
    for _ in range(12):
        optimizer.step()
        schedule.step()
    state, optimizer_state = schedule.state_dict(), optimizer.state_dict()
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=train.lr)
    schedule = make_schedule(optimizer, train, 5)
    optimizer.load_state_dict(optimizer_state)
    schedule.load_state_dict(state)
    for step in range(12, 30):
        assert optimizer.param_groups[0]["lr"] == expected[step]
        optimizer.step()
        schedule.step()
