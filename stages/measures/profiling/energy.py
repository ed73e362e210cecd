"""Energy per image, where the hardware has a counter that may be read.

NVIDIA GPUs since Volta count the joules of the whole board (NVML); Intel and recent AMD
processors those of the processor package (RAPL, through Linux's powercap). Both count everything
that runs there, idle power included, so the figure is what the device draws while it does this
work alone. Apple silicon tells its power only to the superuser. Elsewhere: null, and why.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from stages.measures.profiling.timing import Call, Clock
from stages.measures.profiling.try_measure import Unmeasured

POWERCAP = Path("/sys/class/powercap")
# Counters move every 1 ms (RAPL) to 100 ms (NVML); a second keeps the error at a few per cent.
LEAST_SECONDS = 1.0


@dataclass(frozen=True)
class Counter:
    """An energy counter: `read()` in joules; `wraps_at` joules it starts again from zero."""

    name: str
    read: Callable[[], float]
    wraps_at: float = float("inf")


def counters_of(device: torch.device, powercap: Path = POWERCAP) -> list[Counter]:
    """The counters that together cover a device; raises Unmeasured with the reason for none."""
    if device.type == "cuda":
        return [_nvml(device)]
    if device.type == "mps":
        raise Unmeasured("macOS tells energy to the superuser alone (powermetrics)")
    return _rapl(powercap)


def joules_per_image(
    counters: list[Counter], call: Call, batch_size: int, clock: Clock, seconds: float
) -> float:
    """Joules per image of calls that follow one another for at least `seconds`.

    Raises Unmeasured when the counters do not move.
    """
    start, before = clock(), [counter.read() for counter in counters]
    images = 0
    while True:
        call()
        images += batch_size
        if clock() - start >= seconds:
            break
    used = sum(
        _used(counter, first, counter.read())
        for counter, first in zip(counters, before, strict=True)
    )
    if used <= 0:
        raise Unmeasured(f"the counter {counters[0].name} did not move in {seconds:g} s")
    return used / images


def _used(counter: Counter, before: float, after: float) -> float:
    return after - before if after >= before else after - before + counter.wraps_at


def _nvml(device: torch.device) -> Counter:
    import pynvml

    try:
        pynvml.nvmlInit()
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError as error:
        raise Unmeasured(f"NVML gives no energy counter: {error}") from None

    def joules() -> float:
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3

    return Counter("NVML", joules)


def _rapl(powercap: Path) -> list[Counter]:
    packages = [
        zone
        for zone in sorted(powercap.glob("*-rapl:*"))
        if zone.name.count(":") == 1 and _text(zone / "name").startswith("package")
    ]
    if not packages:
        raise Unmeasured("this processor shows no energy counter (RAPL) to the system")
    counters = [_rapl_counter(zone) for zone in packages]
    try:
        for counter in counters:
            counter.read()
    except PermissionError:
        raise Unmeasured(
            f"the energy counter {packages[0] / 'energy_uj'} is readable by the superuser alone"
        ) from None
    return counters


def _rapl_counter(zone: Path) -> Counter:
    def joules() -> float:
        return int((zone / "energy_uj").read_text()) / 1e6

    return Counter("RAPL", joules, int(_text(zone / "max_energy_range_uj") or 0) / 1e6)


def _text(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""
