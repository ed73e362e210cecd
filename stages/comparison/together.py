"""Two records and every answer about them, in one value. Showing it is left to `text`, `page`."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from stages.comparison.causes import Numerics, compare_numerics, explain
from stages.comparison.cost import Cost, compare_cost
from stages.comparison.fault import first_step_apart
from stages.comparison.groups import inputs_between
from stages.comparison.growth import Growth, weight_growth
from stages.comparison.outcome import Evidence, Verdict, worst_of
from stages.comparison.parting import Parting, find_parting
from stages.comparison.record import Record
from stages.comparison.seeds import Seeds, compare_seeds
from stages.comparison.setup import Difference, setup_differences
from stages.comparison.statistics import (
    Paired,
    compare_answers,
    compare_classes,
    paired_difference,
)
from stages.comparison.verdict import reach_verdict

DEFAULT_MARGIN = 0.005


@dataclass(frozen=True)
class Comparison:
    """Run B held against run A. What could not be answered is None, and `missing` says why."""

    a: Record
    b: Record
    verdict: Verdict
    differences: list[Difference]
    numerics: Numerics | None
    causes: list[str]
    parting: Parting | None
    first_step_apart: float | None
    growth: Growth | None
    twin_growth: Growth | None
    twin_churn: float | None
    answers: Paired | None
    classes: pd.DataFrame | None
    costs: list[Cost]
    seeds: Seeds | None

    @property
    def missing(self) -> dict[str, tuple[str, ...]]:
        """Files that a run lacks, by run."""
        return {run.name: run.missing for run in (self.a, self.b) if run.missing}


def compare_records(
    a: Record,
    b: Record,
    margin: float = DEFAULT_MARGIN,
    twin: Record | None = None,
    more_seeds: Sequence[tuple[Record, Record]] = (),
) -> Comparison:
    """Answer every question about two runs.

    `twin` is A again with one weight one ULP away; `more_seeds` are pairs of runs on the machines
    of A and B with other seeds. The verdict is no better than that of any pair.
    """
    pairs = [(a, b), *more_seeds]
    seeds = _over_seeds(pairs, margin)
    evidence = [
        _evidence(one, other, margin, seeds, twin if index == 0 else None)
        for index, (one, other) in enumerate(pairs)
    ]
    verdicts = [reach_verdict(*pair, told) for pair, told in zip(pairs, evidence, strict=True)]
    first = evidence[0]
    classes = None
    if a.predictions is not None and b.predictions is not None and first.answers:
        classes = compare_classes(a.predictions, b.predictions)
    return Comparison(
        a=a,
        b=b,
        verdict=worst_of(verdicts, pairs),
        differences=first.differences,
        numerics=first.numerics,
        causes=explain(a, b, first.numerics),
        parting=find_parting(a, b),
        first_step_apart=first_step_apart(a, b),
        growth=first.growth,
        twin_growth=first.twin_growth,
        twin_churn=first.twin_churn,
        answers=first.answers,
        classes=classes,
        costs=compare_cost(a, b),
        seeds=seeds,
    )


def _evidence(
    a: Record, b: Record, margin: float, seeds: Seeds | None, twin: Record | None
) -> Evidence:
    beside_twin = _answers(a, twin, margin) if twin else None
    return Evidence(
        differences=setup_differences(a, b),
        numerics=compare_numerics(a, b),
        answers=_answers(a, b, margin),
        seeds=seeds,
        growth=weight_growth(a, b),
        twin_churn=beside_twin.churn if beside_twin else None,
        twin_growth=weight_growth(a, twin) if twin else None,
    )


def _over_seeds(pairs: Sequence[tuple[Record, Record]], margin: float) -> Seeds | None:
    """Accuracies of all pairs of one experiment, by the first accuracy of the task."""
    found = [
        (one, other, _image_error(a, b, other - one))
        for a, b in pairs
        if not inputs_between(a, b)
        and other_question(a, b) is None
        and (one := test_accuracy(a)) is not None
        and (other := test_accuracy(b)) is not None
    ]
    errors = [error for _, _, error in found if error is not None]
    mine, theirs = [one for one, _, _ in found], [other for _, other, _ in found]
    return compare_seeds(mine, theirs, margin, errors)


def _image_error(a: Record, b: Record, difference: float) -> float | None:
    """The standard error that the choice of test images makes; None when nothing tells it.

    Without the answers as many images are discordant as the difference takes at least.
    """
    answers = _answers(a, b, DEFAULT_MARGIN)
    if answers is not None:
        return answers.error
    images = a.evaluate.get("test_images")
    if not isinstance(images, int) or images < 1:
        return None
    return paired_difference(0, round(abs(difference) * images), images)[1]


def test_accuracy(record: Record) -> float | None:
    """The first accuracy on the test images, a share; None without an evaluation."""
    for name, value in record.evaluate.items():
        if name.startswith("test_") and name.endswith("top1") and value is not None:
            return float(value)
    return None


def _answers(a: Record, b: Record, margin: float) -> Paired | None:
    if a.predictions is None or b.predictions is None or other_question(a, b):
        return None
    return compare_answers(a.predictions, b.predictions, margin)


def other_question(a: Record, b: Record) -> str | None:
    """In words, why answers of one run cannot be held against the other's; None when they can.

    Images of two data sets may have the same names, and so may the labels of two tasks.
    """
    asked = [
        {
            "task": run.params.get("task"),
            "data set": run.params.get("dataset", {}).get("name"),
            "number of classes": _classes(run),
        }
        for run in (a, b)
    ]
    for what, one in asked[0].items():
        other = asked[1][what]
        if one is not None and other is not None and one != other:
            return f"the {what} is {one} against {other}"
    return None


def _classes(record: Record) -> int | None:
    """How many classes the test images have, which are all of the data set's."""
    return None if record.predictions is None else record.predictions["label"].nunique()
