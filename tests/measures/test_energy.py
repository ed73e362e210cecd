"""Energy counters: RAPL's wrap and rights, NVML through a stand-in, and reasons for none."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from stages.measures.profiling.energy import Counter, counters_of, joules_per_image
from stages.measures.profiling.try_measure import Unmeasured

CPU = torch.device("cpu")


def package(powercap: Path, index: int, microjoules: int, name: str = "package") -> Path:
    zone = powercap / f"intel-rapl:{index}"
    zone.mkdir(parents=True)
    (zone / "name").write_text(f"{name}-{index}\n")
    (zone / "energy_uj").write_text(f"{microjoules}\n")
    (zone / "max_energy_range_uj").write_text("100000000\n")
    return zone


def clock(step: float) -> Callable[[], float]:
    now = iter(step * count for count in range(1_000_000))
    return lambda: next(now)


def test_packages_are_added_and_may_wrap(tmp_path: Path) -> None:
    first, second = package(tmp_path, 0, 99_000_000), package(tmp_path, 1, 10_000_000)
    package(tmp_path, 2, 5, name="psys")
    counters = counters_of(CPU, tmp_path)
    assert [counter.name for counter in counters] == ["RAPL", "RAPL"]

    def call() -> None:
        (first / "energy_uj").write_text("2000000")  # 3 J on, over the wrap at 100 J
        (second / "energy_uj").write_text("15000000")  # 5 J on

    assert joules_per_image(counters, call, 4, clock(1.0), 0.5) == pytest.approx(8 / 4)


def test_no_counter_and_an_unreadable_one_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unmeasured, match="no energy counter"):
        counters_of(CPU, tmp_path)
    package(tmp_path, 0, 1)
    read = Path.read_text

    def refuse(path: Path, *args: object, **options: object) -> str:
        if path.name == "energy_uj":
            raise PermissionError
        return read(path)

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(Unmeasured, match="superuser alone"):
        counters_of(CPU, tmp_path)


def test_a_counter_that_stands_still_is_no_zero() -> None:
    with pytest.raises(Unmeasured, match="did not move"):
        joules_per_image([Counter("NVML", lambda: 7.0)], lambda: None, 1, clock(0.1), 1.0)


def test_mps_has_none() -> None:
    with pytest.raises(Unmeasured, match="powermetrics"):
        counters_of(torch.device("mps"))


class NVMLError(Exception):
    pass


def stand_in(monkeypatch: pytest.MonkeyPatch, energy: Callable[[str], int]) -> None:
    nvml = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=energy,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="ab"))


def test_nvml_counts_millijoules_of_the_right_board(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([1_000, 1_000, 3_500])

    def energy(handle: str) -> int:
        assert handle == "GPU-ab"
        return next(readings)

    stand_in(monkeypatch, energy)
    counters = counters_of(torch.device("cuda", 0))
    assert joules_per_image(counters, lambda: None, 5, clock(1.0), 0.5) == pytest.approx(0.5)


def test_an_old_board_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def energy(handle: str) -> int:
        raise NVMLError("Not Supported")

    stand_in(monkeypatch, energy)
    with pytest.raises(Unmeasured, match="Not Supported"):
        counters_of(torch.device("cuda", 0))
