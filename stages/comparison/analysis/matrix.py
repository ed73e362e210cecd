"""Many machines: every run against every other, one verdict each."""

from collections.abc import Sequence
from itertools import combinations

from stages.comparison.analysis.compare_runs import compare_runs
from stages.comparison.analysis.findings import Verdict
from stages.runs.run import Run


def compare_all(
    records: Sequence[Run], margin: float, perturbed: Run | None = None
) -> list[Verdict]:
    """Every pair in the order given; the perturbed run belongs to the first run."""
    return [
        compare_runs(a, b, margin, perturbed if a is records[0] else None).verdict
        for a, b in combinations(records, 2)
    ]


def worst_status(statuses: Sequence[int]) -> int:
    """One exit status for many verdicts: 1 when any differ, else 2 when any is undecided."""
    return 1 if 1 in statuses else max(statuses, default=0)
