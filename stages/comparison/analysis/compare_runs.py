"""Two records and every answer about them, in one value. Showing it is left to `page/`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from stages.comparison.analysis.causes import Numerics, compare_numerics
from stages.comparison.analysis.cost import Cost, compare_cost
from stages.comparison.analysis.findings import Evidence, Verdict
from stages.comparison.analysis.first_divergence import FirstDivergence, find_first_divergence
from stages.comparison.analysis.groups import inputs_between
from stages.comparison.analysis.growth import Growth, weight_growth
from stages.comparison.analysis.outcome import worst_of
from stages.comparison.analysis.seeds import Seeds, compare_seeds
from stages.comparison.analysis.setup import Difference, setup_differences
from stages.comparison.analysis.statistics import (
    Paired,
    align,
    compare_answers,
    compare_classes,
    paired_error,
    shared_error,
)
from stages.comparison.analysis.verdict import reach_verdict
from stages.runs.run import Run

DEFAULT_MARGIN = 0.005


@dataclass(frozen=True)
class Comparison:
    """Run B held against run A. What could not be answered is None, and `missing` says why.

    `verdict` is that over all pairs of seeds, `own` that of A and B, as is all that follows.
    """

    a: Run
    b: Run
    verdict: Verdict
    own: Verdict
    differences: list[Difference]
    numerics: Numerics | None
    divergence: FirstDivergence | None
    growth: Growth | None
    perturbed_growth: Growth | None
    perturbed_answers: Paired | None
    answers: Paired | None
    classes: pd.DataFrame | None
    costs: list[Cost]
    seeds: Seeds | None

    @property
    def missing(self) -> dict[str, tuple[str, ...]]:
        """Files that a run lacks, by run."""
        return {run.name: run.missing for run in (self.a, self.b) if run.missing}


def compare_runs(
    a: Run,
    b: Run,
    margin: float = DEFAULT_MARGIN,
    perturbed: Run | None = None,
    more_seeds: Sequence[tuple[Run, Run]] = (),
    tied: bool = False,
) -> Comparison:
    """Answer every question about two runs.

    `perturbed` is A again with one weight one ULP away; `more_seeds` are pairs of runs on the
    machines of A and B with other seeds. The verdict is no better than that of any pair. `tied` is
    what a replay of B found of the first step of both.
    """
    pairs = [(a, b), *more_seeds]
    seeds = _over_seeds(pairs, margin)
    evidence = [
        _evidence(one, other, margin, seeds, perturbed if index == 0 else None)
        for index, (one, other) in enumerate(pairs)
    ]
    evidence[0] = replace(evidence[0], tied=tied)
    verdicts = [reach_verdict(*pair, told) for pair, told in zip(pairs, evidence, strict=True)]
    first = evidence[0]
    classes = None
    if a.predictions is not None and b.predictions is not None and first.answers:
        classes = compare_classes(a.predictions, b.predictions)
    return Comparison(
        a=a,
        b=b,
        verdict=worst_of(verdicts),
        own=verdicts[0],
        differences=first.differences,
        numerics=first.numerics,
        divergence=find_first_divergence(a, b),
        growth=first.growth,
        perturbed_growth=first.perturbed_growth,
        perturbed_answers=first.perturbed_answers,
        answers=first.answers,
        classes=classes,
        costs=compare_cost(a, b),
        seeds=seeds,
    )


def _evidence(
    a: Run, b: Run, margin: float, seeds: Seeds | None, perturbed: Run | None
) -> Evidence:
    return Evidence(
        differences=setup_differences(a, b),
        numerics=compare_numerics(a, b),
        answers=_answers(a, b, margin),
        seeds=seeds,
        growth=weight_growth(a, b),
        perturbed_answers=_answers(a, perturbed, margin) if perturbed else None,
        perturbed_growth=weight_growth(a, perturbed) if perturbed else None,
    )


def _over_seeds(pairs: Sequence[tuple[Run, Run]], margin: float) -> Seeds | None:
    """Accuracies of all pairs of one experiment, or of two on the same test images, by the first
    accuracy of the task.
    """
    found = [
        (a, b)
        for a, b in pairs
        if other_question(a, b) is None
        and tested_accuracy(a) is not None
        and tested_accuracy(b) is not None
    ]
    one_experiment = [pair for pair in found if not inputs_between(*pair)]
    found = one_experiment or [pair for pair in found if _same_test(*pair)]
    mine, theirs = ([tested_accuracy(pair[side]) or 0.0 for pair in found] for side in (0, 1))
    errors = [
        error
        for (a, b), one, other in zip(found, mine, theirs, strict=True)
        if (error := _image_error(a, b, other - one)) is not None
    ]
    return compare_seeds(mine, theirs, margin, errors, _shared_error(found, errors))


def _same_test(a: Run, b: Run) -> bool:
    """Whether both are known to have answered the same images."""
    if a.predictions is None or b.predictions is None:
        return False
    return set(a.predictions["name"]) == set(b.predictions["name"])


def _shared_error(pairs: Sequence[tuple[Run, Run]], errors: Sequence[float]) -> float:
    """What test images leave uncertain however many seeds there are; without the answers, all."""
    answered = [
        align(a.predictions, b.predictions)
        for a, b in pairs
        if a.predictions is not None and b.predictions is not None
    ]
    if len(answered) > 1 and len(answered) == len(pairs) and all(map(len, answered)):
        return shared_error(answered)
    return math.sqrt(sum(error**2 for error in errors) / len(errors)) if errors else 0.0


def _image_error(a: Run, b: Run, difference: float) -> float | None:
    """The standard error that the choice of test images makes; None when nothing tells it.

    Without the answers as many images are discordant as the difference takes at least.
    """
    answers = _answers(a, b, DEFAULT_MARGIN)
    if answers is not None:
        return answers.error
    images = a.evaluate.get("test_images")
    if not isinstance(images, int) or images < 1:
        return None
    return paired_error(0, round(abs(difference) * images), images)


def tested_accuracy(run: Run) -> float | None:
    """The first accuracy on the test images, a share; None without an evaluation."""
    for name, value in run.evaluate.items():
        if name.startswith("test_") and name.endswith("top1") and value is not None:
            return float(value)
    return None


def _answers(a: Run, b: Run, margin: float) -> Paired | None:
    if a.predictions is None or b.predictions is None or other_question(a, b):
        return None
    return compare_answers(a.predictions, b.predictions, margin)


def other_question(a: Run, b: Run) -> str | None:
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


def _classes(run: Run) -> int | None:
    """How many classes the test images have, which are all of the data set's."""
    return None if run.predictions is None else run.predictions["label"].nunique()
