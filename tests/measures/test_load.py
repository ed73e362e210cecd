"""The neighbours' share of the processor: theirs counts, ours does not."""

from collections.abc import Sequence
from types import SimpleNamespace

import psutil
import pytest

from stages.measures.profiling import load


def readings(
    monkeypatch: pytest.MonkeyPatch,
    *seconds: tuple[float, float, float],
    running: Sequence[float] = (0.0, 0.0),
    ended: Sequence[float] = (0.0, 0.0),
) -> None:
    """Each reading: user seconds and idle seconds of each of two cores, own seconds.

    At each, our child that runs has taken so many seconds, and those that ended so many.
    """
    values = iter(seconds)
    now: list[tuple[float, float, float]] = []

    class Times(tuple[float, ...]):
        user = property(lambda self: self[0])
        idle = property(lambda self: self[1])

    def cpu_times(percpu: bool) -> list[Times]:
        now[:] = [next(values)]
        return [Times(now[0][:2])] * 2

    def times(user: float, children: float) -> SimpleNamespace:
        return SimpleNamespace(user=user, system=0.0, children_user=children, children_system=0.0)

    at = iter(zip(running, ended, strict=True))
    state = [(0.0, 0.0)]

    def children(recursive: bool) -> list[SimpleNamespace]:
        return [SimpleNamespace(cpu_times=lambda: times(state[0][0], 0.0))]

    def cpu_times_of_own() -> SimpleNamespace:
        state[0] = next(at)
        return times(now[0][2], state[0][1])

    own = SimpleNamespace(cpu_times=cpu_times_of_own, children=children)
    monkeypatch.setattr(psutil, "cpu_times", cpu_times)
    monkeypatch.setattr(psutil, "Process", lambda: own)
    monkeypatch.setattr(load, "_our_cores", lambda: [0, 1])


def test_what_others_took_is_what_was_busy_less_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    readings(monkeypatch, (0.0, 0.0, 0.0), (8.0, 2.0, 10.0))
    assert load.OtherLoad().busy_cores() == pytest.approx((16 - 10) / 20 * 2)


def test_what_our_children_took_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that began before and ended within counts from where it was."""
    readings(
        monkeypatch, (0.0, 0.0, 0.0), (8.0, 2.0, 6.0), running=(100.0, 0.0), ended=(7.0, 111.0)
    )
    assert load.OtherLoad().busy_cores() == pytest.approx((16 - 6 - 4) / 20 * 2)


def test_an_idle_machine_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    readings(monkeypatch, (0.0, 0.0, 0.0), (5.0, 5.0, 10.01))
    assert load.OtherLoad().busy_cores() == 0.0


def test_no_more_than_all_cores_are_ever_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt may set back the time that a core was idle, by a tick."""
    readings(monkeypatch, (0.0, 0.01, 0.0), (8.0, 0.0, 0.0))
    assert load.OtherLoad().busy_cores() == 2.0


def test_the_real_machine_can_be_read() -> None:
    other = load.OtherLoad()
    sum(range(100_000))
    assert 0.0 <= other.busy_cores() <= len(other.cores)


def test_a_busy_machine_is_called_noisy() -> None:
    assert load.load_note(0.05, 2) is None
    assert load.load_note(1.3, 2) == "noisy: other processes kept 1.3 of 2 cores busy"
