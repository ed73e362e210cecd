"""Up to which step, and in which parts, the records show two runs to differ by rounding alone.

A rung is claimed for what was shown. Weights hold all that came before them, so while they stay one
model's, at every milestone and traced step, the steps up to there are covered. Beyond that only
what one ULP did to A itself can tell.
"""

from stages.comparison.analysis.drift import shown_until
from stages.comparison.analysis.evaluation import confidence_gap, kept_distance, same_weights
from stages.comparison.analysis.exact import same_data
from stages.comparison.analysis.findings import Evidence, Part
from stages.comparison.analysis.first_divergence import (
    find_first_divergence,
    gradients_known,
    relative_gap,
)
from stages.comparison.analysis.growth import Growth
from stages.comparison.analysis.limits import limits_for
from stages.comparison.analysis.statistics import Paired, more_churn
from stages.runs.run import Run

STILL_ONE = 1e-4
"""Relative distance of the weights up to which two runs have one model; what a slight fault does,
such as twice the weight decay from the middle on, is several times that."""

PERTURBED_FACTOR = 30
"""How many times as far as those of A perturbed by one ULP the weights of B may be at a step."""

PERTURBED_MOST = 3
"""How many times as far as those of A perturbed by one ULP ever are."""

PERTURBED_AWAKE = 1e-4
"""Distance of the perturbed run's weights from which it tells anything: rounding grows by jumps at
chance steps, and at bf16 one ULP of float32 may be swallowed for good."""

ONE_MODEL = 5e-3
"""Mean difference in confidence up to which two runs answer as one model."""


def rounding_until(a: Run, b: Run, evidence: Evidence, precision: str) -> int:
    """The last step up to which both runs are shown to differ by rounding alone; 0 for none."""
    steps = a.train.get("steps") or 0
    if same_weights(a, b):
        return int(steps)
    until = _followed_until(a, b, evidence, precision)
    shown = shown_until(a, b, limits_for(precision, a.params))
    return until if shown is None else min(until, shown)


def _followed_until(a: Run, b: Run, evidence: Evidence, precision: str) -> int:
    until = 0
    divergence = find_first_divergence(a, b)
    if divergence is not None:
        until = divergence.after
        if divergence.step is None or divergence.is_exact:
            until = divergence.after if divergence.step is None else divergence.step
    limit = limits_for(precision, a.params).scalar
    followed = _weights_until(evidence.growth, evidence.perturbed_growth)
    if followed is None:
        return max(until, _traced_until(a, b, limit, 0))
    last = evidence.growth is not None and followed == evidence.growth.steps[-1]
    return max(until, _traced_until(a, b, limit, followed) if last else followed)


def _traced_until(a: Run, b: Run, limit: float, after: int) -> int:
    """The last traced step before loss or gradient norm are apart by more than the limit.

    Steps up to `after` are shown already, and so are untraced ones behind the last milestone, of
    which there are few.
    """
    if a.trace is None or b.trace is None or not gradients_known(a, b):
        return after
    both = a.trace.merge(b.trace, on="step", suffixes=("_a", "_b")).sort_values("step")
    near = relative_gap(both["loss_a"], both["loss_b"]) <= limit
    near &= relative_gap(both["grad_norm_a"], both["grad_norm_b"]) <= limit
    linked = both["step"].diff().fillna(1).eq(1).to_numpy() | (after > 0)
    shown = (near & linked) | (both["step"] <= after).to_numpy()
    steps = both["step"][shown.cumprod().astype(bool)]
    return max(after, 0 if steps.empty else int(steps.iloc[-1]))


def _weights_until(growth: Growth | None, perturbed: Growth | None) -> int | None:
    """The last milestone at which the weights, as at all before, are no further apart than shown.

    None when nothing was recorded.
    """
    if growth is None:
        return None
    beside = dict(zip(perturbed.steps, perturbed.distance, strict=True)) if perturbed else {}
    until = 0
    for step, distance in zip(growth.steps, growth.distance, strict=True):
        if not distance <= max(STILL_ONE, _beside(beside, step)):  # nor is what is no number
            break
        until = step
    return until


def _beside(perturbed: dict[int, float], step: int) -> float:
    """What one ULP explains at a step: several times what it did there, or ever."""
    here, most = perturbed.get(step, 0.0), max(perturbed.values(), default=0.0)
    if most <= PERTURBED_AWAKE:
        return 0.0
    return min(PERTURBED_FACTOR * here, PERTURBED_MOST * most)


def beyond_the_perturbed(evidence: Evidence) -> bool:
    """Whether the weights end further apart than what one ULP does explains."""
    growth, perturbed = evidence.growth, evidence.perturbed_growth
    if growth is None or perturbed is None or growth.steps[-1] not in perturbed.steps:
        return False
    last = perturbed.distance[perturbed.steps.index(growth.steps[-1])]
    return growth.distance[-1] > PERTURBED_FACTOR * last > PERTURBED_FACTOR * PERTURBED_AWAKE


def uncovered_parts(a: Run, b: Run, evidence: Evidence, until: int) -> tuple[Part, ...]:
    """The parts of the runs that nothing shows to agree but for rounding."""
    steps = a.train.get("steps")
    to_the_end = bool(steps) and until == steps
    covered = {
        Part.DATA: to_the_end or same_data(a, b),
        Part.STEPS: to_the_end,
        Part.SCHEDULE: a.history is not None and b.history is not None,
    }
    answers = _answers_agree(a, b, evidence)
    covered[Part.KEPT] = to_the_end and (bool(same_weights(a, b)) or answers)
    covered[Part.EVALUATION] = answers
    return tuple(part for part, known in covered.items() if not known)


def _answers_agree(a: Run, b: Run, evidence: Evidence) -> bool:
    """Whether both answer as one model, or no further apart than A does from itself perturbed."""
    gap = confidence_gap(a, b)
    if gap is None or evidence.answers is None:
        return False
    if same_weights(a, b) or gap <= ONE_MODEL:
        return True
    beside = evidence.perturbed_answers
    if beside is None or kept_distance(a, b, evidence.growth) is None:
        return False
    return gap <= PERTURBED_MOST * beside.gap and not beyond_churn(evidence.answers, beside)


def beyond_churn(answers: Paired, beside: Paired) -> bool:
    """Whether more answers changed than one ULP changes on A, by more than chance."""
    return more_churn(answers, beside) < 0.05
