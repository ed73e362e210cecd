"""Initial weights: the same on every instruction set, distributed as the libraries draw them."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from stages.core.errors import ModelError
from stages.core.params import parse_params
from stages.models import MODELS, build, initialization
from stages.models.initialization import initialized, portable_randomness, to_be_filled
from stages.models.spec import ModelConfig
from tests.models.portable_hashes import hashes


@pytest.fixture(scope="module")
def hashes_here() -> dict[str, str]:
    return hashes()


@pytest.mark.parametrize(("capability", "threads"), [("default", 1), ("avx2", 2)])
def test_weights_and_masks_are_the_same_on_every_instruction_set(
    root: Path, hashes_here: dict[str, str], capability: str, threads: int
) -> None:
    """The third set, AVX-512, is this process's own where the processor has it."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.portable_hashes", str(threads)],
        cwd=root,
        env=dict(os.environ) | {"ATEN_CPU_CAPABILITY": capability},
        capture_output=True,
        text=True,
        check=True,
    )
    assert dict(line.split() for line in done.stdout.splitlines()) == hashes_here


def built(seed: int, model: str = "vit_2l_2h_128", classes: int = 10) -> nn.Module:
    return build(parse_params({"model": model, "seed": seed}, "test"), classes).model


def test_a_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, again, other = (list(built(seed).parameters()) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    differing = [not torch.equal(a, b) for a, b in zip(first, other, strict=True) if a.ndim > 1]
    assert all(differing)


@pytest.mark.parametrize(
    "model", ["lenet_small", "mobilenet_v3_small", "shufflenet_v2_x0_5", "vit_2l_2h_128",
              "swin_tiny", "repvgg_a0", "convnext_v2_tiny", "timm/regnetx_002"],
)  # fmt: skip
def test_a_model_to_be_filled_is_in_all_else_the_drawn_one(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what no weights file holds: buffers that are made anew with every model."""
    drawn = built(3, model)
    drawn.load_state_dict(weights := built(4, model).state_dict())
    monkeypatch.setattr(initialization, "_fill", lambda *drawn: pytest.fail("something is drawn"))
    with to_be_filled():
        filled = built(3, model)
    filled.load_state_dict(weights)
    for kind in (nn.Module.named_parameters, nn.Module.named_buffers):
        theirs = dict(kind(drawn))
        assert {name for name, tensor in kind(filled) if torch.equal(tensor, theirs[name])} == {
            *theirs
        }


class Noisy(nn.Module):
    """What it draws stands beside its weights, so that loading them brings none of it back."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("noise", torch.empty(9).normal_(), persistent=False)


@dataclass
class Made:
    model: Noisy


def test_what_no_weights_hold_is_drawn_all_the_same() -> None:
    with to_be_filled():
        made = initialized(lambda: Made(Noisy()), 5).model
    drawn = initialized(lambda: Made(Noisy()), 5).model
    assert torch.equal(made.get_buffer("noise"), drawn.get_buffer("noise"))


def test_building_leaves_the_random_generators_alone() -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    built(0)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()


def test_constants_stay_what_they_were() -> None:
    model = built(0, "resnet18")
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all((norm.bias == 0).all() and (norm.running_var == 1).all() for norm in norms)
    ones = sum(bool((norm.weight == 1).all()) for norm in norms)
    zeros = sum(bool((norm.weight == 0).all()) for norm in norms)
    assert (ones, zeros) == (len(norms) - 8, 8)  # timm begins each residual branch at zero


@pytest.mark.parametrize(
    "model", ["resnet18", "vit_2l_2h_128", "mobilenet_v3_small", "lenet_large"]
)
def test_weights_are_distributed_as_the_libraries_draw_them(model: str) -> None:
    """Within six standard errors, for the libraries' draws are others on other processors."""
    ours = built(0, model).state_dict()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = MODELS[model].make(ModelConfig()).model.state_dict()
    for name, weight in ours.items():
        if weight.ndim < 2 or weight.numel() < 5000:
            continue
        flat, other = (w.double().flatten().numpy() for w in (weight, theirs[name]))
        assert flat.std() == pytest.approx(other.std(), rel=6 / len(flat) ** 0.5), name
        assert abs(flat.mean()) < 6 * other.std() / len(flat) ** 0.5, name
        assert stats.ks_2samp(flat[:5000], other[:5000]).pvalue > 1e-9, name


def test_random_operations_have_their_distributions() -> None:
    with portable_randomness(3):
        normal = torch.randn(50_000)
        uniform = torch.empty(50_000).uniform_(-1, 3)
        truncated = nn.init.trunc_normal_(torch.empty(50_000), 0.0, 1.0, -1.0, 2.0)
        order = torch.randperm(1000)
        dice = torch.randint(1, 7, (60_000,))
        coins = torch.empty(50_000).bernoulli_(0.3)
    assert stats.kstest(normal.numpy(), "norm").pvalue > 1e-4
    assert stats.kstest(uniform.numpy(), "uniform", args=(-1, 4)).pvalue > 1e-4
    assert stats.kstest(truncated.numpy(), stats.truncnorm(-1, 2).cdf).pvalue > 1e-4
    assert torch.equal(order.sort().values, torch.arange(1000))
    assert stats.chisquare(torch.bincount(dice)[1:].numpy()).pvalue > 1e-4
    assert float(coins.mean()) == pytest.approx(0.3, abs=0.01)


def test_draws_are_rounded_to_the_type_of_the_tensor_and_follow_its_logical_order() -> None:
    with portable_randomness(0):
        plain = torch.empty(4, 3, 5, 5).normal_()
    with portable_randomness(0):
        other = torch.empty(4, 3, 5, 5).to(memory_format=torch.channels_last).normal_()
    with portable_randomness(0):
        half = torch.empty(4, 3, 5, 5, dtype=torch.float16).normal_()
    assert torch.equal(plain, other)
    assert torch.allclose(plain, half.float(), rtol=1e-3, atol=1e-7)


def test_an_unknown_random_operation_is_an_error_and_not_a_silent_draw() -> None:
    with portable_randomness(0), pytest.raises(ModelError, match="multinomial"):
        torch.multinomial(torch.ones(4), 2)
