"""Optimisers: one step against its closed form, layouts, groups, and resuming."""

import io
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.utils.deterministic as filling
from torch import nn

from stages.core.sections import Train
from stages.training.optimizer import Groups, MuonWithAdamW, make_optimizer

NAMES = ["sgd", "adam", "adamw", "muon"]


def network(
    seed: int = 0, memory_format: torch.memory_format = torch.contiguous_format
) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),  # before a norm its gradient is noise
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 4),
    )
    return model.to(memory_format=memory_format)


def groups_of(model: nn.Module) -> Groups:
    named = dict(model.named_parameters())
    head = [named.pop("6.weight")]
    return [
        {"params": [p for p in named.values() if p.ndim > 1], "name": "backbone"},
        {
            "params": [p for p in named.values() if p.ndim == 1],
            "name": "rest, no decay",
            "weight_decay": 0.0,
        },
        {"params": head, "name": "head", "lr": 0.05},
    ]


def learn(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> list[float]:
    losses = []
    for step in steps:
        source = torch.Generator().manual_seed(step)
        images = torch.randn(16, 3, 8, 8, generator=source).to(next(model.parameters()).dtype)
        labels = (images.mean((1, 2, 3)) * 30).long().clamp(-1, 2) + 1
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def one_step(name: str, **changes: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    weight = nn.Parameter(torch.tensor([[0.5, -2.0], [1.0, 4.0]]))
    before, gradient = weight.detach().clone(), torch.tensor([[0.1, 0.2], [-0.3, 0.4]])
    optimizer = make_optimizer([{"params": [weight]}], Train(optimizer=name, lr=0.1, **changes))
    weight.grad = gradient.clone()
    optimizer.step()
    return before, gradient, weight.detach()


def test_sgd_is_nesterov_with_coupled_decay() -> None:
    before, gradient, after = one_step("sgd", momentum=0.9, weight_decay=0.01)
    decayed = gradient + 0.01 * before
    torch.testing.assert_close(after, before - 0.1 * (decayed + 0.9 * decayed))


def test_sgd_without_momentum_is_plain() -> None:
    before, gradient, after = one_step("sgd", momentum=0.0, weight_decay=0.0)
    torch.testing.assert_close(after, before - 0.1 * gradient)


def test_adamw_decays_apart_from_its_first_step_of_size_lr() -> None:
    before, gradient, after = one_step("adamw", weight_decay=0.01)
    torch.testing.assert_close(after, before * (1 - 0.1 * 0.01) - 0.1 * gradient.sign())


def test_adam_couples_decay_with_the_gradient() -> None:
    before, gradient, after = one_step("adam", weight_decay=1.0)
    torch.testing.assert_close(after, before - 0.1 * (gradient + before).sign())


def test_muon_makes_a_step_with_equal_singular_values() -> None:
    before, gradient, after = one_step("muon", weight_decay=0.0)
    """Five Newton-Schulz steps bring them to 0.68 to 1.13; bfloat16 adds a hundredth or two."""
    step = (before - after) / (0.1 * 0.2 * 2**0.5)
    left, _, right = torch.linalg.svd(gradient)
    assert torch.linalg.matrix_norm(step - left @ right, 2) < 0.5
    torch.testing.assert_close(torch.linalg.svdvals(step), torch.ones(2), atol=0.35, rtol=0)


@pytest.fixture
def poisoned_memory() -> Iterator[None]:
    """Whatever is read before it was written is NaN."""
    before = torch.get_deterministic_debug_mode(), filling.fill_uninitialized_memory
    torch.set_deterministic_debug_mode("error")
    filling.fill_uninitialized_memory = True
    yield
    torch.set_deterministic_debug_mode(before[0])
    filling.fill_uninitialized_memory = before[1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("poisoned_memory")
def test_a_first_step_that_overflows_leaves_no_trace(name: str) -> None:
    weight = nn.Parameter(torch.tensor([[0.5, -2.0], [1.0, 4.0]]))
    train = Train(optimizer=name, lr=0.1, precision="fp16")
    optimizer = make_optimizer([{"params": [weight]}], train)
    scaler = torch.amp.GradScaler("cpu")
    gradient = torch.tensor([[0.1, 0.2], [-0.3, 0.4]])
    for overflowing in (True, True, False):
        weight.grad = scaler.scale(gradient.clone())
        if overflowing:
            weight.grad[0, 0] = torch.inf
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    assert torch.equal(weight, one_step(name)[2])


@pytest.mark.parametrize("name", NAMES)
def test_groups_keep_their_own_rate_and_decay(name: str) -> None:
    model = network()
    optimizer = make_optimizer(groups_of(model), Train(optimizer=name, lr=0.01, weight_decay=0.1))
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.01, 0.05]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0, 0.1]
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = {key: value.clone() for key, value in model.named_parameters()}
    optimizer.step()
    moved = {key for key, value in model.named_parameters() if not torch.equal(value, before[key])}
    assert moved == {"0.weight", "3.weight", "6.weight"}  # by decay alone


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_learns(name: str) -> None:
    model = network()
    train = Train(optimizer=name, lr=0.2 if name == "sgd" else 0.02)
    losses = learn(model, make_optimizer(groups_of(model), train), range(80))
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


@pytest.mark.parametrize("name", NAMES)
def test_the_layout_in_memory_does_not_matter(name: str) -> None:
    """The fused kernels walk through memory: gradients must lie as their weights do.

    In float64, in which rounding is out of sight; also of what Muon rounds to bfloat16.
    """
    plain, last = network().double(), network(memory_format=torch.channels_last).double()
    for model in (plain, last):
        optimizer = make_optimizer(groups_of(model), Train(optimizer=name, lr=0.01))
        learn(model, optimizer, range(5))
    for ours, theirs in zip(plain.parameters(), last.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("own", [torch.optim.Adam, torch.optim.AdamW])
def test_adams_step_copies_no_kernel_and_has_pytorchs_bits(own: type) -> None:
    ours, theirs = (network(memory_format=torch.channels_last) for _ in range(2))
    train = Train(optimizer=own.__name__.lower(), lr=0.01, weight_decay=0.1)
    optimizer = make_optimizer(groups_of(ours), train)
    learn(ours, optimizer, range(3))
    groups = [{"lr": 0.01, "weight_decay": 0.1, **group} for group in groups_of(theirs)]
    reference = own(groups, fused=True)
    learn(theirs, reference, range(3))
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(optimizer.state[one]["exp_avg"], reference.state[other]["exp_avg"])
    with torch.profiler.profile() as profile:
        optimizer.step()
    assert not [event for event in profile.events() or [] if event.name == "aten::clone"]


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_run_has_the_same_bits(name: str) -> None:
    straight, resumed = network(), network()
    train = Train(optimizer=name, lr=0.01)
    learn(straight, make_optimizer(groups_of(straight), train), range(8))
    first = make_optimizer(groups_of(resumed), train)
    learn(resumed, first, range(4))
    weights, state = resumed.state_dict(), first.state_dict()
    again = network(seed=1)
    second = make_optimizer(groups_of(again), train)
    again.load_state_dict(weights)
    second.load_state_dict(state)
    learn(again, second, range(4, 8))
    for ours, theirs in zip(straight.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_muon_takes_kernels_and_leaves_the_rest_to_adamw() -> None:
    model = network()
    optimizer = make_optimizer(groups_of(model), Train(optimizer="muon"))
    assert isinstance(optimizer, MuonWithAdamW)
    shapes = [tuple(p.shape) for group in optimizer.muon.param_groups for p in group["params"]]
    assert shapes == [(8, 27), (16, 8)]
    others = [p for group in optimizer.adamw.param_groups for p in group["params"]]
    assert len(others) == len(list(model.parameters())) - 2
    assert optimizer.step(lambda: 1.5) == 1.5


def test_muon_follows_a_schedule_and_remembers_it() -> None:
    model = network()
    optimizer = make_optimizer(groups_of(model), Train(optimizer="muon"))
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    learn(model, optimizer, range(1))
    schedule.step()
    learn(model, optimizer, range(1))
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.0005, 0.0005, 0.025])
    other = make_optimizer(groups_of(network()), Train(optimizer="muon"))
    other.load_state_dict(optimizer.state_dict())
    assert [group["lr"] for group in other.param_groups] == rates


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_the_plain_form_makes_the_librarys_steps(name: str) -> None:
    """What of the library is passed over serves `torch.compile` alone."""
    of_the_library = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    ours, theirs = network(), network()
    train = Train(optimizer=name)  # type: ignore[arg-type]
    optimizer = make_optimizer(groups_of(ours), train)
    groups = [{"lr": train.lr, "weight_decay": train.weight_decay, **g} for g in groups_of(theirs)]
    momentum = {"momentum": train.momentum, "nesterov": True} if name == "sgd" else {}
    learn(ours, optimizer, range(4))
    learn(theirs, of_the_library[name](groups, fused=True, **momentum), range(4))  # type: ignore[operator]
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_a_state_that_was_taken_up_is_written_as_before(name: str) -> None:
    """Or DVC would tell snapshots of a resumed run from those of one that nothing interrupted."""

    def written(optimizer: torch.optim.Optimizer) -> bytes:
        torch.save(optimizer.state_dict(), buffer := io.BytesIO())
        return buffer.getvalue()

    model = network()
    first = make_optimizer(groups_of(model), Train(optimizer=name))
    learn(model, first, range(2))
    second = make_optimizer(groups_of(network()), Train(optimizer=name))
    second.load_state_dict(torch.load(io.BytesIO(written(first)), weights_only=True))
    assert written(second) == written(first)


def test_neither_training_nor_the_profile_imports_the_compiler() -> None:
    """It takes a second, at every start."""
    code = """if True:
        import sys, torch
        from stages.core.sections import Train
        from stages.measures.profiling.sheet import count
        from stages.measures.profiling.training_step import training_step
        from stages.training import engine, optimizer
        from tests.measures.subjects import linear
        for name in sys.argv[1:]:
            model = torch.nn.Linear(2, 2)
            groups = [{"params": list(model.parameters()), "name": "backbone"}]
            first = optimizer.make_optimizer(groups, Train(optimizer=name))
            model(torch.ones(1, 2)).sum().backward()
            first.step(), first.zero_grad(), first.load_state_dict(first.state_dict())
        training_step(linear(), 2, torch.device("cpu"))()
        count(linear())
        assert "torch._dynamo" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code, *NAMES], check=True)
