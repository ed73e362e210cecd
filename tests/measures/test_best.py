"""The verdict in one line: faster only beyond the noise, failed cells never."""

from typing import Any

from stages.measures.best import best_line, best_variant


def row(
    variant: str, batch: int, milliseconds: float | None, spread: float = 0.02
) -> dict[str, Any]:
    return {
        "variant": variant, "mode": "inference", "batch_size": batch, "spread": spread,
        "latency_ms_p50": milliseconds,
        "images_per_second": milliseconds and batch * 1000 / milliseconds,
    }  # fmt: skip


def test_the_fastest_beyond_the_noise_is_named_for_both_ends() -> None:
    rows = [
        row("eager", 1, 2.0), row("bf16", 1, 1.0), row("onnx", 1, None),
        row("eager", 64, 100.0), row("bf16", 64, 90.0, spread=0.3), row("onnx", 64, None),
    ]  # fmt: skip
    assert best_line(rows, [1, 64]) == (
        "At batch 1 bf16 is fastest (1 ms, 1,000 images/s, 2.00 times as fast as eager); "
        "at batch 64 no variant is faster than eager beyond the noise (100 ms, 640 images/s)"
    )


def test_training_steps_are_no_variant() -> None:
    training = row("eager", 1, 0.1) | {"mode": "training"}
    assert best_variant([row("eager", 1, 5.0), training], 1) == row("eager", 1, 5.0)


def test_when_eager_failed_the_fastest_that_ran_is_named() -> None:
    rows = [row("eager", 1, None), row("onnx", 1, 3.0), row("bf16", 1, 4.0)]
    assert best_line(rows, [1]) == "At batch 1 onnx is fastest (3 ms, 333 images/s)"


def test_nothing_timed_is_said() -> None:
    assert best_line([row("eager", 1, None)], [1]) == "Nothing could be timed"
