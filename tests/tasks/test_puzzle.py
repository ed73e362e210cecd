"""The puzzle task: pieces are what they say they are, and any backbone can learn from them."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from stages.core.errors import ModelError
from stages.core.params import Params, parse_params
from stages.models.groups import parameter_groups
from stages.tasks import task_of


def params(model: str = "lenet_small", **more: Any) -> Params:
    return parse_params({"model": model, "task": "puzzle", **more}, "test")


TASK = task_of(params())


def drawn(quadrant: int, turn: int, count: int = 1) -> dict[str, Tensor]:
    return {"quadrant": torch.full((count,), quadrant), "turn": torch.full((count,), turn)}


@given(
    quadrant=st.integers(0, 3),
    turn=st.integers(0, 3),
    half=st.integers(2, 9),
    odd=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_piece_turned_back_and_shrunk_is_its_quadrant(
    quadrant: int, turn: int, half: int, odd: bool, seed: int
) -> None:
    side = 2 * half + odd
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(seed))
    labels = torch.zeros(2, dtype=torch.int64)
    (whole, piece), targets = TASK.prepare(images, labels, drawn(quadrant, turn, 2))
    assert whole is images
    assert targets.tolist() == [[quadrant, turn]] * 2
    top, left = (0 if quadrant < 2 else side - half), (0 if quadrant % 2 == 0 else side - half)
    cut = images[..., top : top + half, left : left + half]
    enlarged = nn.functional.interpolate(cut, (side, side), mode="bilinear")
    torch.testing.assert_close(torch.rot90(piece, -turn, (2, 3)), enlarged)


def test_every_image_has_its_own_draw() -> None:
    images = torch.randn(4, 3, 8, 8)
    draws = {"quadrant": torch.arange(4), "turn": torch.tensor([3, 2, 1, 0])}
    (_, pieces), _ = TASK.prepare(images, torch.zeros(4), draws)
    for row in range(4):
        alone = {name: draw[row : row + 1] for name, draw in draws.items()}
        (_, piece), _ = TASK.prepare(images[row : row + 1], torch.zeros(1), alone)
        torch.testing.assert_close(piece[0], pieces[row])


def test_draws_are_even_and_follow_seed_purpose_and_epoch() -> None:
    first = TASK.draw(0, "train", 1, 8000)
    for name, values in first.items():
        shares = torch.bincount(values, minlength=4) / len(values)
        assert shares.tolist() == pytest.approx([0.25] * 4, abs=0.03)
        assert torch.equal(values, TASK.draw(0, "train", 1, 8000)[name])
        for other in ((1, "train", 1), (0, "val", 1), (0, "train", 2)):
            assert not torch.equal(values, TASK.draw(*other, 8000)[name])
    together = torch.bincount(first["quadrant"] * 4 + first["turn"]) / 8000
    assert together.tolist() == pytest.approx([1 / 16] * 16, abs=0.015)


@pytest.mark.parametrize(
    "model",
    ["lenet_small", "shufflenet_v2_x0_5", "mobilenet_v3_small", "vit_2l_2h_128", "mobileone_s0",
     "timm/test_convnext", "timm/pit_ti_224", "torchvision/squeezenet1_1"],
)  # fmt: skip
def test_any_backbone_answers_twice(model: str) -> None:
    chosen = params(model)
    if "squeezenet" in model:  # its classes are the channels of a convolution
        with pytest.raises(ModelError, match="no single linear layer"):
            task_of(chosen).build(chosen, 10)
        return
    built = task_of(chosen).build(chosen, 10)
    px = built.model_px
    inputs, targets = TASK.prepare(torch.randn(2, 3, px, px), torch.zeros(2), drawn(1, 2, 2))
    outputs = built.model(*inputs)
    assert [logits.shape for logits in outputs] == [(2, 4), (2, 4)]
    TASK.loss(outputs, targets, 0.1).backward()
    assert all(p.grad is not None for p in built.model.parameters())
    assert TASK.correct(outputs, targets).shape == (2, 2)


def test_heads_start_the_same_from_a_seed() -> None:
    def heads(seed: int) -> Tensor:
        model = task_of(params()).build(params(seed=seed), 10).model
        return model.get_submodule("image_projection").weight.detach()

    assert torch.equal(heads(1), heads(1))
    assert not torch.equal(heads(1), heads(2))


def test_answers_have_names() -> None:
    heads = TASK.heads(["cat", "dog"])
    assert tuple(heads) == TASK.metrics
    assert [len(names) for names in heads.values()] == [4, 4]


def test_it_is_learnt_from_real_pictures(real_pictures: Path) -> None:
    """The turn of a piece, within seconds; the README's recipe learns the quadrant as well."""
    with zipfile.ZipFile(real_pictures) as opened:
        members = [f"train/{name}/{n:04d}.jpg" for name in ("frog", "ship") for n in range(600)]
        images = torch.from_numpy(
            np.stack([np.asarray(Image.open(io.BytesIO(opened.read(m)))) for m in members])
        ).permute(0, 3, 1, 2) / 127.5 - 1  # fmt: skip
    chosen = params(train={"lr": 0.002})
    built = TASK.build(chosen, 10)
    optimizer = torch.optim.AdamW(parameter_groups(built, chosen))
    for epoch in range(6):
        draws = TASK.draw(0, "train", epoch, 1000)
        for rows in torch.randperm(1000, generator=torch.Generator().manual_seed(epoch)).split(50):
            part = {name: values[rows] for name, values in draws.items()}
            inputs, targets = TASK.prepare(images[rows], rows, part)
            loss = TASK.loss(built.model.train()(*inputs), targets, 0.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    inputs, targets = TASK.prepare(images[1000:], torch.zeros(200), TASK.draw(0, "test", 0, 200))
    with torch.no_grad():
        turns = TASK.correct(built.model.eval()(*inputs), targets)[:, 1]
    assert float(turns.double().mean()) > 0.38
