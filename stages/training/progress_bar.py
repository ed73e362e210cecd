"""What a waiting person sees: a bar with an ETA in a terminal, a line per epoch everywhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm


class ProgressBar:
    """Counts steps of a whole training, resumed ones included, and says how long is left."""

    def __init__(self, steps: int, log: Callable[[str], None]) -> None:
        self._steps, self._log = steps, log
        self._skipped = self._done = 0
        self._started = time.perf_counter()

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        # disable=None: silent when the output is not a terminal.
        self._bar = tqdm(
            total=self._steps, initial=self._skipped, unit="step", desc="train", disable=None,
            dynamic_ncols=True,
        )  # fmt: skip
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def skip(self, steps: int) -> None:
        """Count the steps of an earlier process; call before entering."""
        self._skipped = self._done = steps

    def step(self) -> None:
        """One step is done."""
        self._done += 1
        self._bar.update()

    def epoch(self, row: dict[str, Any], metric: str, epochs: int) -> None:
        """Say what an epoch brought."""
        parts = [f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}"]
        for split in ("train", "val"):
            if row[f"{split}_loss"] is not None:
                parts.append(
                    f"{split} loss {row[f'{split}_loss']:.4f} "
                    f"{metric.replace('_', ' ')} {row[f'{split}_{metric}']:6.2%}"
                )
        fresh = self._done - self._skipped
        left = (time.perf_counter() - self._started) / fresh * (self._steps - self._done)
        parts.append(f"{row['seconds']:.1f} s" + (f", {_duration(left)} left" if left else ""))
        with self._bar.external_write_mode():
            self._log("  ".join(parts))


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "less than 1 s"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    minutes, hours = seconds / 60, seconds / 3600
    return f"about {minutes:.0f} min" if minutes < 90 else f"about {hours:.1f} h"
