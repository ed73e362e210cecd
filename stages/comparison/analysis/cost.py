"""What the same work costs on two machines, as ratios: the '4.5× faster' table."""

from dataclasses import dataclass
from typing import Literal

from stages.runs.run import Run


@dataclass(frozen=True)
class Cost:
    """One figure on both machines. `times_better` is above 1 where B is the better."""

    name: str
    a: float
    b: float
    times_better: float


_FIGURES: tuple[tuple[str, str, Literal["less", "more"]], ...] = (
    ("train", "epoch_seconds_p50", "less"),
    ("train", "train_seconds", "less"),
    ("train", "images_per_second", "more"),
    ("evaluate", "evaluate_seconds", "less"),
    ("profile", "latency_ms_p50", "less"),
    ("profile", "latency_ms_p99", "less"),
    ("profile", "throughput_images_per_second", "more"),
    ("profile", "peak_memory_mb", "less"),
)
_PROFILED = ("model", "input_px", "precision", "latency_batch_size", "throughput_batch_size")


def compare_cost(a: Run, b: Run) -> list[Cost]:
    """Every figure that both runs have and that is above zero.

    Of profiles none unless the same was profiled: a `profile.json` may be of another model.
    """
    found = []
    alike = all(a.profile.get(key) == b.profile.get(key) for key in _PROFILED)
    for section, name, better in _FIGURES:
        if section == "profile" and not alike:
            continue
        one, other = getattr(a, section).get(name), getattr(b, section).get(name)
        if _measured(one) and _measured(other):
            found.append(Cost(name, one, other, one / other if better == "less" else other / one))
    return found


def _measured(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
