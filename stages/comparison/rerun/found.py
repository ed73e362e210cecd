"""What a replay found, as data: of single steps, stretches between states, and answers."""

from dataclasses import dataclass, replace

from stages.comparison.analysis.findings import Fault
from stages.comparison.analysis.step_trace import Place
from stages.comparison.page.terms import where_in_words
from stages.comparison.rerun.answers import Answered


@dataclass(frozen=True)
class Replayed:
    """One replayed step, counted from 1.

    `distance` is that of this machine's gradients from A's, `perturbed_distance` what one ULP does
    to them here, both relative to the norm; None where gradients overflowed, as they do in the
    first steps at fp16, or were not recorded. `bits` is the first place with other bits, `beyond`
    the first that is apart by more than rounding, whose limit is `limit`. `tie` is a gradient that
    would be it, were it not that the same comes out here by another rounding.
    """

    step: int
    distance: float | None
    perturbed_distance: float | None
    bits: Place | None
    beyond: Place | None
    limit: float | None = None
    tie: Place | None = None


@dataclass(frozen=True)
class Followed:
    """A stretch that was computed here: steps `after` + 1 to `until`, of those up to `end`.

    `distance` is how far the run's weights are from those here at the last milestone within it,
    `by_one_ulp` how far one ULP drives them; None where it has none. `same` says that all bits of
    the weights are those of the run there, and all of its next kept state.
    """

    after: int
    until: int
    end: int
    distance: float | None
    by_one_ulp: float | None
    same: bool
    fault: Fault | None


@dataclass(frozen=True)
class Replay:
    """All that was computed here of a run of `steps` steps.

    `tied` says that the first step was made here as the run has it and as another run has it, by
    another rounding. `device` is the kind of device that computed all this: "cpu", "cuda" or "mps".
    """

    steps: int
    after_states: list[Replayed]
    stretches: list[Followed]
    answered: Answered | None
    faults: list[Fault]
    tied: bool = False
    device: str = "cpu"

    @property
    def fault(self) -> Fault | None:
        """The first proof that the run was computed otherwise than here, in order of its steps."""
        return self.faults[0] if self.faults else None

    @property
    def all_steps(self) -> bool:
        """Whether every step was computed here."""
        return sum(stretch.until - stretch.after for stretch in self.stretches) == self.steps

    @property
    def covers_all(self) -> bool:
        """Whether every step and the answers were computed here."""
        return self.all_steps and self.answered is not None


def place_in_words(place: Place) -> str:
    """The place without its step, which the line begins with."""
    return where_in_words(replace(place.at(0), first=None, last=None))
