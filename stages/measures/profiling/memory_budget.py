"""How much memory is free for a batch, and how much it will want, before anything is allocated.

Linux grants memory that it does not have and kills whoever uses it, so a batch that will not fit
must not be tried. The forecast is linear in the batch size, through the measured peak of one.
"""

from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from stages.core.device import free_bytes
from stages.measures.profiling.memory import KILLED, Peak
from stages.measures.profiling.try_measure import Unmeasured

CGROUP = Path("/sys/fs/cgroup")
# The forecast leaves out what libraries keep for themselves.
SAFETY = 1.2


@dataclass(frozen=True)
class Forecast:
    """Memory of a batch: `fixed_mb` for the weights and so much per image.

    A process that tried `killed_at` images was ended by the system.
    """

    fixed_mb: float
    per_image_mb: float
    killed_at: int | None = None

    def need_mb(self, batch_size: int) -> float:
        """MB that a batch will take beyond what is allocated already, with a margin."""
        return SAFETY * (self.fixed_mb + self.per_image_mb * batch_size)

    def check(self, batch_size: int, device: torch.device) -> None:
        """Raise Unmeasured when the batch will not fit; a batch of 0 is a copy of the weights."""
        if self.killed_at is not None and batch_size >= self.killed_at:
            raise Unmeasured(f"too large for memory: {KILLED} at batch {self.killed_at}")
        need, free = self.need_mb(batch_size), free_mb(device)
        if need > free:
            raise Unmeasured(f"too large for memory: needs {need:,.0f} MB, {free:,.0f} MB are free")


def forecast_of(peak: Peak, weights_mb: float, killed_at: int | None = None) -> Forecast:
    """The forecast through one measured peak, which includes the weights.

    Without a figure there is no slope, and the weights alone are forecast.
    """
    above = max((peak.peak_memory_mb or 0.0) - weights_mb, 0.0)
    return Forecast(weights_mb, above / peak.batch_size, killed_at)


def free_mb(device: torch.device, cgroup: Path = CGROUP) -> float:
    """Memory that can still be allocated for the device, in MB of 10⁶ bytes."""
    own = free_bytes(device)
    if own is not None:
        return own / 1e6
    free = psutil.virtual_memory().available
    limit, used = _number(cgroup / "memory.max"), _number(cgroup / "memory.current")
    if limit is not None and used is not None:
        free = min(free, limit - used + _reclaimable(cgroup))
    return free / 1e6


def _reclaimable(cgroup: Path) -> int:
    """Bytes of files that a container's memory caches, and gives up when it needs room."""
    try:
        lines = (cgroup / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))


def _number(path: Path) -> int | None:
    """A container's limit; None where there is none or it cannot be read."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
