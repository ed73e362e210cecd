"""What is recorded inside a step: order, hashes, sketches, and that nothing is changed by it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.files import write_csv
from stages.runs.schema import BUCKETS, INSIDE_COLUMNS
from stages.training.sketch import sketch_tensors
from stages.training.step_trace import _distance, hash_of, is_milestone
from tests.training.helpers import params, run


@pytest.fixture(autouse=True)
def _own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def rows(**changes: Any) -> pd.DataFrame:
    recorded = run(params(train={"snapshots": True, **changes})).trained.record.inside
    return pd.DataFrame(recorded, columns=INSIDE_COLUMNS)


def test_a_step_is_recorded_from_the_images_to_the_update() -> None:
    table = rows()
    first = table[(table["step"] == 1) & (table["kind"] != "weights")]
    assert list(dict.fromkeys(first["kind"])) == [
        "input", "module", "target", "loss", "gradient", "update",
    ]  # fmt: skip
    modules = first[first["kind"] == "module"]
    assert modules["name"].iloc[-1] == "(model)"
    assert modules["inputs_hash"].notna().all()
    gradients, updates = (first[first["kind"] == kind]["name"] for kind in ("gradient", "update"))
    assert list(gradients) == list(updates)[::-1]
    assert first["position"].tolist() == list(range(len(first)))


def test_targets_and_loss_are_recorded_with_class_weights_too() -> None:
    kinds = set(rows(class_weights="balanced")["kind"])
    assert {"target", "loss"} <= kinds


def test_the_yardstick_of_rounding_is_measured_at_the_first_step() -> None:
    table = rows()
    first = table[(table["step"] == 1) & table["kind"].isin(["module", "loss", "gradient"])]
    assert (first["rounding"].astype(float) >= 0).all()
    # At the layer itself one ULP is told as such: a few, for its sums are of either sign.
    layer = float(first[first["name"] == "conv1"]["rounding"].iloc[0])
    assert 0 < layer < 32 * torch.finfo(torch.float32).eps
    assert table[table["step"] != 1]["rounding"].isna().all()


def test_the_yardstick_leaves_weights_and_running_statistics_alone() -> None:
    chosen = params("timm/test_resnet", input_size=32, train={"snapshots": True, "epochs": 1})
    watched = run(chosen)
    plain = run(params("timm/test_resnet", input_size=32, train={"snapshots": False, "epochs": 1}))
    ours, theirs = watched.trained.weights, plain.trained.weights
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_snapshots_off_records_nothing_inside() -> None:
    assert rows(snapshots=False).empty


def test_sums_over_micro_batches_are_told_apart_by_position() -> None:
    table = rows(accumulate=2)
    assert (table[table["step"] == 1]["kind"] == "loss").sum() == 2


def test_the_same_run_records_the_same() -> None:
    pd.testing.assert_frame_equal(rows(), rows())


def test_a_step_that_overflows_is_written_as_it_is_and_leaves_the_weights_whole(
    tmp_path: Path,
) -> None:
    """The first steps at fp16 overflow while the scale of the loss is found."""
    recipe = {"precision": "fp16", "optimizer": "sgd", "snapshots": True, "epochs": 1}
    done = run(params("timm/test_efficientnet", train=recipe), images=64)
    write_csv(tmp_path / "inside.csv", pd.DataFrame(done.trained.record.inside))
    cells = pd.read_csv(tmp_path / "inside.csv", dtype=str, keep_default_na=False)
    assert (cells["norm"] != "").all()
    table = pd.read_csv(tmp_path / "inside.csv")
    assert table["norm"].dtype == np.float64
    first = table[(table["step"] == 1) & (table["kind"] == "gradient")]
    assert not np.isfinite(first["norm"]).all()
    assert np.isfinite(table[table["kind"] == "update"]["norm"]).all()
    assert all(torch.isfinite(weight).all() for weight in done.trained.weights.values())


def test_the_distance_of_what_is_not_finite_is_unknown() -> None:
    finite, overflowed = ({"sketch": " ".join([text] * BUCKETS)} for text in ("1", "inf"))
    assert _distance(finite, finite) == 0
    assert _distance(finite, overflowed) is None
    assert _distance(overflowed, overflowed) is None


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5000), st.integers(0, 1000))
def test_sketches_are_linear_and_keep_distances(count: int, seed: int) -> None:
    drawn = np.random.default_rng(seed).standard_normal((2, count))
    one, other = torch.from_numpy(drawn[0]), torch.from_numpy(drawn[1])
    between = sketch_tensors([one]) - sketch_tensors([other])
    torch.testing.assert_close(between, sketch_tensors([one - other]), rtol=0, atol=1e-9)
    ratio = float(between.norm() / (one - other).norm())
    assert 0.1 < ratio < 4


def test_a_sketch_sees_what_a_norm_does_not() -> None:
    images = torch.rand(4, 3, 8, 8)
    swapped = images.flip(1)
    distance = (sketch_tensors([images]) - sketch_tensors([swapped])).norm()
    assert distance > 0.1 * images.norm()
    assert hash_of([images]) != hash_of([swapped])


def test_layout_leaves_hash_and_sketch() -> None:
    images = torch.rand(4, 3, 8, 8)
    laid = images.contiguous(memory_format=torch.channels_last)
    assert hash_of([images]) == hash_of([laid])
    assert torch.equal(sketch_tensors([images]), sketch_tensors([laid]))


def test_equal_tensors_do_not_add_up_in_a_sketch() -> None:
    ones = torch.ones(1000)
    both = float(sketch_tensors([ones, ones]).norm())
    assert both < 1.8 * float(sketch_tensors([ones]).norm())


def test_milestones_thin_out() -> None:
    steps = [step for step in range(1, 200) if is_milestone(step)]
    assert steps[:12] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert len(steps) < 48
    assert 192 in steps
