"""How much memory is free for a batch, and how much it will want, before anything is allocated.

Linux grants memory that it does not have and kills whoever uses it, so a batch that will not fit
must not be tried. The forecast is linear in the batch size, through the measured peak of one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil
import torch

from stages.core.device import free_bytes
from stages.measures.profiling.memory import KILLED, Peak
from stages.measures.profiling.try_measure import Unmeasured

CGROUP, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
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


def free_mb(device: torch.device, cgroup: Path = CGROUP, own_groups: Path = OWN_GROUPS) -> float:
    """Memory that can still be allocated for the device, in MB of 10⁶ bytes."""
    own = free_bytes(device)
    if own is not None:
        return own / 1e6
    free = psutil.virtual_memory().available
    for folder, limit_of, used_of, files in _groups(cgroup, own_groups):
        limit, used = _number(folder / limit_of), _number(folder / used_of)
        if limit is not None and used is not None:
            free = min(free, limit - used + _reclaimable(folder, files))
    return free / 1e6


def _groups(cgroup: Path, own_groups: Path) -> Iterator[tuple[Path, str, str, str]]:
    """Every control group that this process is in, up to the root, with the names of its files.

    A container sees its own as the root; a job of Slurm or systemd is further below, and its limit
    may be any of those on the way.
    """
    try:
        lines = own_groups.read_text().splitlines()
    except OSError:
        lines = []
    own = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    v2 = [path for _, controllers, path in own if not controllers]
    v1 = [path for _, controllers, path in own if "memory" in controllers.split(",")]
    for root, paths, names in (
        (cgroup, v2, ("memory.max", "memory.current", "inactive_file ")),
        (cgroup / "memory", v1,
         ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")),
    ):  # fmt: skip
        folders = dict.fromkeys([root])
        for path in paths:
            below = PurePosixPath(path.lstrip("/"))
            folders |= dict.fromkeys(root / part for part in (below, *below.parents))
        yield from ((folder, *names) for folder in folders)


def _reclaimable(folder: Path, files: str) -> int:
    """Bytes of files that a group's memory caches, and gives up when it needs room."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(files))


def _number(path: Path) -> int | None:
    """A container's limit; None where there is none or it cannot be read."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
