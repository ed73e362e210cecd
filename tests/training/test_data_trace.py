"""What a step was fed with: every fault of the data shows, at its place, and nothing else does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.runs.schema import DATA_COLUMNS
from stages.training.data_trace import checksums, hash_integers
from stages.training.engine import Engine
from tests.training.helpers import params, run

RECIPE = {"augment": ["crop", "flip"], "ema": 0.9}


@pytest.fixture(autouse=True)
def _own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def test_checksums_are_the_same_on_every_machine() -> None:
    pixels = torch.arange(6 * 3 * 9 * 9).mul(2654435761).bitwise_right_shift(7).byte()
    found = checksums(pixels.view(6, 3, 9, 9))
    assert hash_integers(found.numpy()) == "8f7a729a"
    laid = pixels.view(6, 3, 9, 9).contiguous(memory_format=torch.channels_last)
    assert torch.equal(checksums(laid), found)


def test_one_pixel_is_seen_and_only_in_its_image() -> None:
    pixels = torch.zeros(4, 3, 10, 10, dtype=torch.uint8)
    for place in range(300):
        other = pixels.clone()
        other.view(4, -1)[2, place] = 128
        differs = checksums(other) != checksums(pixels)
        assert differs.tolist() == [False, False, True, False]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("plain")))
        return run(params(train=RECIPE)).trained


def test_steps_and_epochs_are_told_with_rate_and_decay(plain: Any) -> None:
    assert [row["ema_decay"] for row in plain.record.trace[:2]] == [1 / 10, 2 / 11]
    assert plain.record.trace[5]["lr"] == plain.progress.history[0]["lr"]
    for column in DATA_COLUMNS:
        assert len({row[column] for row in plain.record.trace}) == 12
        assert len({row[column] for row in plain.progress.history}) == 2


def _labels(engine: Engine) -> None:
    engine._labels[5] += 1


def _pixels(engine: Engine) -> None:
    engine._pixels[5, 0, 4, 4] ^= 1


def _draws(engine: Engine) -> None:
    draw = engine.augmenter.draw
    engine.augmenter.draw = lambda epoch, device: draw(1, device)  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("plant", "columns", "epochs"),
    [
        (_labels, ["labels_hash"], [1, 2]),
        (_pixels, ["images_hash"], [1, 2]),
        (_draws, ["draws_hash", "images_hash"], [2]),
    ],
)
def test_a_fault_of_the_data_is_seen_at_its_place(
    plain: Any,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[Engine], None],
    columns: list[str],
    epochs: list[int],
) -> None:
    create = Engine.__init__

    def altered(self: Engine, *arguments: Any) -> None:
        create(self, *arguments)
        plant(self)

    monkeypatch.setattr(Engine, "__init__", altered)
    faulty = run(params(train=RECIPE)).trained.progress.history
    for mine, theirs in zip(plain.progress.history, faulty, strict=True):
        differ = [name for name in DATA_COLUMNS if mine[name] != theirs[name]]
        assert differ == (columns if mine["epoch"] in epochs else [])
