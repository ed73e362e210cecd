"""The verdict in one line: faster only in every repeat, failed cells never."""

from typing import Any

import pytest

from stages.measures.profiling.best import best_line, best_variant
from stages.measures.profiling.latency import noise_note
from stages.measures.profiling.timing import Repeats


def row(
    variant: str, batch: int, milliseconds: float | None, speedup: float | None = None,
    low: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    return {
        "variant": variant, "mode": "inference", "batch_size": batch, "speedup": speedup,
        "speedup_low": low, "latency_ms_p50": milliseconds,
        "note": None if milliseconds else "out of memory",
        "precision": "int8" if variant == "int8" else "fp32",
        "images_per_second": milliseconds and batch * 1000 / milliseconds,
    }  # fmt: skip


def test_the_fastest_in_all_repeats_is_named_for_both_ends() -> None:
    rows = [
        row("eager", 1, 2.0), row("bf16", 1, 1.0, 2.0, 1.6), row("onnx", 1, None),
        row("eager", 64, 100.0), row("bf16", 64, 80.0, 1.2, 0.99), row("onnx", 64, None),
    ]  # fmt: skip
    assert best_line(rows, [1, 64]) == (
        "At batch 1 bf16 is fastest (1 ms, 2.00 times as fast as eager); "
        "at batch 64 no variant is faster than eager in all repeats (100 ms). "
        "Not timed: onnx (out of memory)"
    )


def test_speed_is_compared_turn_by_turn_so_drift_cancels_out() -> None:
    slow_down = [1.0, 2.0, 4.0]
    eager = Repeats([[2.0 * factor] * 3 for factor in slow_down])
    variant = Repeats([[1.0 * factor] * 3 for factor in slow_down])
    assert variant.times_as_fast_as(eager) == pytest.approx([2.0] * 3)


def test_what_answers_otherwise_is_not_called_best() -> None:
    rows = [row("eager", 1, 2.0), row("int8", 1, 0.5, 4.0, 3.9)]
    assert best_line(rows, [1]) == (
        "Leaving aside int8, which answers otherwise: at batch 1 eager alone was timed (2 ms)"
    )
    rows += [row("onnx", 1, 1.0, 2.0, 1.9)]
    assert "otherwise: at batch 1 onnx is fastest (1 ms" in best_line(rows, [1])


def test_training_steps_are_no_variant() -> None:
    training = row("eager", 1, 0.1, 9.0, 9.0) | {"mode": "training"}
    assert best_variant([row("eager", 1, 5.0), training], 1) == row("eager", 1, 5.0)


def test_when_eager_failed_the_fastest_that_ran_is_named() -> None:
    rows = [row("eager", 1, None), row("onnx", 1, 3.0), row("bf16", 1, 4.0)]
    assert best_line(rows, [1]) == (
        "At batch 1 onnx is fastest (3 ms). Not timed: eager (out of memory)"
    )


def test_without_variants_eager_is_not_held_against_any() -> None:
    assert best_line([row("eager", 1, 2.0)], [1]) == "At batch 1 eager alone was timed (2 ms)"


def test_a_median_of_repeats_that_differ_is_called_noisy() -> None:
    rows = [row("eager", 1, 2.0) | {"note": noise_note(0.3, 5, stable=True)}]
    assert best_line(rows, [1]) == "At batch 1 eager alone was timed (2 ms, noisy)"


def test_nothing_timed_is_said() -> None:
    assert best_line([row("eager", 1, None)], [1]) == "Nothing could be timed"
