"""What the same work costs on two machines, as ratios: the '4.5× faster' table."""

import math
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
ABOUT = 0.05  # what a last, smaller batch may make of the number of images
_PROFILED = ("model", "input_px", "precision", "latency_batch_size", "throughput_batch_size")


def compare_cost(a: Run, b: Run) -> list[Cost]:
    """Every figure that both runs have and that is above zero.

    Of profiles none unless the same was profiled: a `profile.json` may be of another model. No time
    of work on another number of images.
    """
    found = []
    works = _images_of(a), _images_of(b)
    alike = all(a.profile.get(key) == b.profile.get(key) for key in _PROFILED)
    for section, name, better in _FIGURES:
        if section == "profile" and not alike:
            continue
        if not _alike(*(work.get(name) for work in works)):
            continue
        one, other = getattr(a, section).get(name), getattr(b, section).get(name)
        if _measured(one) and _measured(other):
            found.append(Cost(name, one, other, one / other if better == "less" else other / one))
    return found


def _images_of(run: Run) -> dict[str, float]:
    """How many images each time is of, as far as the run tells."""
    steps, epochs = run.train.get("steps"), run.train.get("epochs_run")
    batch = (run.params or {}).get("train", {}).get("batch_size")
    if batch and (images := run.subset.get("train_images")):
        batch = min(batch, images)  # a batch of all there are is as large as they are
    tested = run.evaluate.get("test_images")
    found = {"evaluate_seconds": tested} if tested else {}
    if steps and batch:
        found["train_seconds"] = steps * batch
        if epochs:
            found["epoch_seconds_p50"] = steps * batch / epochs
    return found


def _alike(images: float | None, others: float | None) -> bool:
    """Whether two numbers of images are about equal, or one is not known."""
    return images is None or others is None or math.isclose(images, others, rel_tol=ABOUT)


def _measured(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
