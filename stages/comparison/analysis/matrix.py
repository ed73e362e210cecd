"""Many machines: every run against every other, one verdict each."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from stages.comparison.analysis.compare_runs import compare_runs
from stages.comparison.analysis.outcome import Rung
from stages.runs.run import Run


@dataclass(frozen=True)
class Pair:
    """One cell of the matrix; churn and difference are None without predictions."""

    a: str
    b: str
    rung: Rung
    sentence: str
    churn: float | None
    difference: float | None


def compare_all(records: Sequence[Run], margin: float, perturbed: Run | None = None) -> list[Pair]:
    """Every pair in the order given; the perturbed run belongs to the first run."""
    pairs = []
    for a, b in combinations(records, 2):
        found = compare_runs(a, b, margin, perturbed if a is records[0] else None)
        answers = found.answers
        pairs.append(
            Pair(
                a=a.name,
                b=b.name,
                rung=found.verdict.rung,
                sentence=found.verdict.sentence,
                churn=answers.churn if answers else None,
                difference=answers.difference if answers else None,
            )
        )
    return pairs


def worst_status(rungs: Sequence[Rung]) -> int:
    """One exit status for many verdicts: 1 when any differ, else 2 when any is undecided."""
    statuses = {rung.exit_status for rung in rungs}
    return 1 if 1 in statuses else max(statuses, default=0)
