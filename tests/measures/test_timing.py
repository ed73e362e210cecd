"""The stopwatch and what is made of its readings, against a clock that the tests wind."""

from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.measures.profiling.latency import latency, noise_note
from stages.measures.profiling.throughput import best_batch, images_per_second
from stages.measures.profiling.timing import Repeats, clock_of, timed_calls, warm_up


class Bench:
    """A clock that only moves while the work is done, by the seconds it is told."""

    def __init__(self, seconds: Iterator[float]) -> None:
        self.now, self.seconds, self.calls = 0.0, seconds, 0

    def clock(self) -> float:
        return self.now

    def work(self) -> None:
        self.calls += 1
        self.now += next(self.seconds)


def forever(value: float) -> Iterator[float]:
    while True:
        yield value


def test_warm_up_goes_on_until_the_calls_are_even() -> None:
    slow_start = iter([9.0, 4.0, 4.0, 4.0, 2.0, 2.0, 2.0, *[1.0] * 50])
    bench = Bench(slow_start)
    assert warm_up(bench.work, bench.clock, 1000)
    assert bench.calls == 1 + 3 + 3 + 3 + 3


def test_warm_up_says_when_time_ran_out() -> None:
    bench = Bench(iter([100.0 / call for call in range(1, 200)]))
    assert not warm_up(bench.work, bench.clock, 150)
    assert bench.calls == 2


def test_every_call_is_timed_alone_until_the_time_is_used() -> None:
    bench = Bench(iter([0.5, 0.25, 0.25, 3.0, *[1.0] * 50]))
    assert timed_calls(bench.work, bench.clock, 1.0) == [0.5, 0.25, 0.25]


def test_a_call_longer_than_the_time_is_made_once() -> None:
    bench = Bench(forever(60.0))
    assert timed_calls(bench.work, bench.clock, 1.0) == [60.0]


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=300))
def test_percentiles_are_ordered_and_need_enough_calls(calls: list[float]) -> None:
    figures = latency(calls)
    assert figures["calls"] == len(calls)
    assert (figures["latency_ms_p95"] is None) == (len(calls) < 20)
    assert (figures["latency_ms_p99"] is None) == (len(calls) < 100)
    known = [value for name, value in figures.items() if name != "calls" and value is not None]
    assert known == sorted(known)
    assert all(min(calls) * 999 <= value <= max(calls) * 1001 for value in known)


def test_percentiles_of_known_calls() -> None:
    figures = latency([milliseconds / 1e3 for milliseconds in range(1, 102)])
    assert figures["latency_ms_p50"] == pytest.approx(51)
    assert figures["latency_ms_p95"] == pytest.approx(96)
    assert figures["latency_ms_p99"] == pytest.approx(100)


def test_spread_is_that_of_the_medians_and_decides_on_noise() -> None:
    repeats = Repeats([[1.0, 1.0, 50.0], [1.02, 1.0, 1.02], [1.04]])
    assert repeats.spread == pytest.approx(0.04 / 1.02)
    assert noise_note(repeats.spread, 3, stable=True) is None
    assert noise_note(0.2, 3, stable=True) == "noisy: the medians of 3 repeats span 20%"
    assert "warm-up" in str(noise_note(0.01, 3, stable=False))
    assert Repeats([[1.0]]).spread is None
    assert "unknown" in str(noise_note(None, 1, stable=True))


@pytest.mark.parametrize("seconds_per_call", [0.001, 2.0])
def test_throughput_of_short_calls_in_blocks_and_of_long_ones_from_their_own_times(
    seconds_per_call: float,
) -> None:
    bench = Bench(forever(seconds_per_call))
    rate = images_per_second(bench.work, [seconds_per_call], 32, bench.clock, 1.0, threads=1)
    assert rate == pytest.approx(32 / seconds_per_call)
    assert (bench.calls == 0) == (seconds_per_call == 2.0)


def test_the_best_batch_has_the_highest_throughput() -> None:
    assert best_batch({1: 10.0, 8: 50.0, 64: 40.0}) == (8, 50.0)


@pytest.mark.parametrize(("backend", "waits"), [("cuda", "cuda"), ("mps", "mps"), ("cpu", None)])
def test_the_clock_waits_for_the_device(
    backend: str, waits: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[str] = []

    def remember(name: str) -> Callable[..., None]:
        return lambda *_: waited.append(name)

    monkeypatch.setattr(torch.cuda, "synchronize", remember("cuda"))
    monkeypatch.setattr(torch.mps, "synchronize", remember("mps"))
    clock = clock_of(torch.device(backend))
    assert clock() <= clock()
    assert waited == ([waits, waits] if waits else [])
