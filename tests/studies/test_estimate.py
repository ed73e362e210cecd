"""The time of a missing cell: from whatever is nearest to it, and always said from what."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stages.core.params import Params, parse_params
from stages.studies.run.estimate import Estimate, Known, estimate, measured_rates
from stages.studies.spec.study_config import Cell

CELL = Cell("main", "good", "full", "plain", 2)


def params(train: int | str = "full", epochs: int = 4) -> Params:
    """A cell's parameters; its pool is what `known` says."""
    subset = {"train": train, "val": 100}
    return parse_params({"subset": subset, "train": {"epochs": epochs}}, "test")


def found(model: str = "good", size: str = "500", **more: Any) -> dict[str, Any]:
    """A cell that trained 500 images for 2 epochs at 100 images per second, and 3 s besides."""
    base: dict[str, Any] = {
        "model": model, "size": size, "recipe": "plain", "train_images": 500, "epochs": 2,
        "train": {"train_seconds": 10.0}, "cell_seconds": 13.0, "profile": {},
    }  # fmt: skip
    return base | more


def known(*here: dict[str, Any], pool: int | None = 2100, **more: Any) -> Known:
    return Known(here=here, elsewhere=more.pop("elsewhere", ()), pool=lambda _: pool, **more)


def test_other_seeds_come_first() -> None:
    cells = [found(size="full", cell_seconds=seconds) for seconds in (80.0, 90.0)]
    answer = estimate(CELL, params(), known(found(), *cells))
    assert answer == Estimate(85.0, "as with its other seeds")


def test_full_is_what_validation_leaves_of_the_listed_pool() -> None:
    answer = estimate(CELL, params(), known(found()))
    assert answer is not None
    assert answer.seconds == pytest.approx(2000 * 4 / 100 + 3)
    assert estimate(CELL, params(), known(found(), pool=None)) is None
    half = estimate(CELL, params("1/2"), known(found(), pool=2000))
    assert half is not None
    assert half.seconds == pytest.approx(1000 * 4 / 100 + 3)


def test_a_profile_tells_where_no_cell_of_the_model_finished() -> None:
    profile = {"input_px": 32, "training_images_per_second": 50.0}
    diverged = found(train=None, profile=profile)
    answer = estimate(CELL, params(1000), known(diverged))
    assert answer is not None
    assert answer.seconds == pytest.approx(80.0)
    assert "profile" in answer.basis
    other = diverged | {"profile": profile | {"input_px": 224}}
    assert estimate(CELL, params(1000), known(other)) is None
    measured = known(found("fair"), rates={("good", 32): 25.0})
    assert estimate(CELL, params(1000), measured) == Estimate(
        160.0, "training alone, from its model's profile"
    )


def test_another_machine_is_named_as_such() -> None:
    elsewhere = [found(size="full", cell_seconds=40.0)]
    answer = estimate(CELL, params(), known(elsewhere=elsewhere))
    assert answer == Estimate(40.0, "as on another machine")
    assert estimate(CELL, params(), known(found("fair"))) is None


def test_rates_are_read_from_the_table_of_all_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert measured_rates() == {}
    (tmp_path / "report").mkdir()
    table = pd.DataFrame(
        {"model": ["a", "b"], "input_px": [32, 32], "training_images_per_second": [12.5, None]}
    )
    table.to_csv("report/zoo.csv", index=False)
    assert measured_rates() == {("a", 32): 12.5}
