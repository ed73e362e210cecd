"""What a comparison finds, as data: the rung, the place and kind of a difference, likely causes,
and how far the agreement was shown. `page/wording.py` puts them into sentences.
"""

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stages.comparison.analysis.causes import Numerics
    from stages.comparison.analysis.growth import Growth
    from stages.comparison.analysis.seeds import Seeds
    from stages.comparison.analysis.setup import Difference
    from stages.comparison.analysis.statistics import Paired


class Rung(Enum):
    """The outcomes, with the exit status of each; in the order in which one outweighs another."""

    INPUTS_DIFFER = ("inputs differ", 2)
    DIFFERENT = ("different", 1)
    UNDECIDED = ("not decided", 2)
    STATISTICAL = ("statistically equivalent", 0)
    ROUNDING = ("rounding-equivalent", 0)
    BIT_IDENTICAL = ("bit-identical", 0)

    @property
    def words(self) -> str:
        """The rung as it is printed."""
        return self.value[0]

    @property
    def exit_status(self) -> int:
        """0 equivalent, 1 different, 2 not comparable or not decided."""
        return self.value[1]


class Kind(StrEnum):
    """What shows that two runs did not compute the same."""

    STEP_COUNT = "step count"
    DATA = "data"
    RATE = "learning rate"
    CLIPPING = "clipping"
    TYPE = "number type"
    DISTANCE = "distance"
    JUMP = "jump of loss or gradient norm"
    STANDSTILL = "weights that stand still"
    WEIGHTS = "distance of weights"
    KEPT = "kept weights"
    TEST_LABELS = "test labels"
    TEST_IMAGES = "test images"
    PROBABILITIES = "probabilities"
    VALIDATION = "validation"
    MCNEMAR = "McNemar's test of the answers"
    CHURN = "churn of the answers"
    SEEDS = "accuracy over the seeds"
    ACCURACY = "accuracy"
    OPTIMIZER = "setting of the optimiser"
    SAME_MACHINE = "other bits on the same machine"
    REPLAYED = "distance from what was computed here"


class Part(StrEnum):
    """What must be shown to agree before a whole run is called rounding-equivalent."""

    DATA = "data"
    STEPS = "gradients and updates"
    SCHEDULE = "learning rates"
    KEPT = "kept weights"
    EVALUATION = "evaluation"


@dataclass(frozen=True)
class Where:
    """A place in a run: `part` is what differs (input, module, target, loss, gradient, update,
    forward, backward, weights, average, kept, state, optimizer, data, steps, rates, evaluation,
    later, accuracy),
    `name` the module, parameter or kind of data.

    `first` and `last` are the steps between which it begins, from 1, None where steps have no
    part in it. Of `of` parameter tensors `tensors` differ there.
    """

    part: str
    name: str = ""
    first: int | None = None
    last: int | None = None
    epoch: int | None = None
    tensors: tuple[str, ...] = ()
    of: int = 0
    dtypes: tuple[str, str] | None = None


@dataclass(frozen=True)
class Fault:
    """Proof that two runs did not compute the same: what shows it, and where.

    `value` was found where `limit` is the most that rounding explains, both relative unless
    `kind` says otherwise; `a` and `b` are what the two runs have, and `run` is the name of the one
    that does what no run should. Of a replay `here` is true: B was held against the present
    machine, from B's own state after step `state`.
    """

    kind: Kind
    where: Where
    value: float | None = None
    limit: float | None = None
    a: Any = None
    b: Any = None
    run: str = ""
    here: bool = False
    state: int | None = None


@dataclass(frozen=True)
class Cause:
    """A likely cause of other bits: a setting with its two values, or probes of one kind of
    operation, of which `probes` differ.
    """

    code: str
    a: Any = None
    b: Any = None
    probes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """What a verdict is reached from.

    `perturbed_answers` and `perturbed_growth` are those of A against itself perturbed by one ULP.
    `tied` says that a replay made the first gradients of both, by one rounding or another.
    """

    differences: "list[Difference]"
    numerics: "Numerics | None"
    answers: "Paired | None"
    seeds: "Seeds | None"
    growth: "Growth | None"
    perturbed_answers: "Paired | None"
    perturbed_growth: "Growth | None"
    tied: bool = False


@dataclass(frozen=True)
class Verdict:
    """What was proved of runs `a` and `b`, the pair that decided.

    `rounding_until` is the last step up to which they are shown to differ by rounding alone, of
    `steps`; the rung of a run that was not followed to its end is that of its outcome.
    `no_predictions` names runs that were evaluated and whose answers are not there or damaged.
    `uncovered` are the parts that nothing shows to agree. `replayed` says that all of B was
    computed again on the present machine and differed by rounding alone. `pairs` counts the pairs
    of seeds, and `unanimous` says whether all have this rung.
    """

    rung: Rung
    a: str
    b: str
    evidence: Evidence
    fault: Fault | None = None
    rounding_until: int | None = None
    steps: int | None = None
    uncovered: tuple[Part, ...] = ()
    shared: tuple[str, ...] = ()
    divergence: Where | None = None
    gradient_distance: float | None = None
    probability_gap: float | None = None
    causes: tuple[Cause, ...] = ()
    missing: dict[str, tuple[str, ...]] = field(default_factory=dict)
    damaged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    not_evaluated: tuple[str, ...] = ()
    no_predictions: tuple[str, ...] = ()
    replayed: bool = False
    pairs: int = 1
    unanimous: bool = True

    @property
    def exit_status(self) -> int:
        """That of the rung; but nothing is proved equivalent by records that are damaged."""
        return self.rung.exit_status or (2 if self.damaged else 0)

    @property
    def where(self) -> Where | None:
        """The place of a difference."""
        return self.fault.where if self.fault else None
