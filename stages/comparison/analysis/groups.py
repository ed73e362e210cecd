"""Which runs belong together: the seeds of two machines in pairs, a run and itself perturbed.

Refuses what does not fit, for a run that is silently left out, or is another experiment, would
decide the verdict all the same.
"""

from collections.abc import Sequence

from stages.comparison.analysis.setup import setup_differences
from stages.core.errors import RunError
from stages.runs.run import Run

FOLLOW_THE_SEED = (
    "seed", "subset.seed", "images (hash of the subset)", "initial weights (hash)",
)  # fmt: skip
"""Inputs in which the runs of one group may differ."""


def pair_by_seed(ours: Sequence[Run], theirs: Sequence[Run]) -> list[tuple[Run, Run]]:
    """Runs of two machines with the same seed; a single pair is taken as it is.

    Raises RunError when a run finds no partner, or a group holds more than one experiment.
    """
    if len(ours) == len(theirs) == 1:
        return [(ours[0], theirs[0])]
    mine, others = _by_seed(ours), _by_seed(theirs)
    alone = [
        f"{run.name} (seed {seed})"
        for seed, run in [*mine.items(), *others.items()]
        if (seed in mine) != (seed in others)
    ]
    if alone:
        raise RunError(
            f"The two groups cannot be paired by seed: {', '.join(alone)} has no counterpart. Name "
            "runs that were trained with the same seeds on both machines."
        )
    return [(run, others[seed]) for seed, run in mine.items()]


def _by_seed(runs: Sequence[Run]) -> dict[object, Run]:
    """Runs by seed. Raises RunError when two have the same, or differ in more than the seed."""
    found: dict[object, Run] = {}
    for run in runs:
        seed = run.params.get("seed")
        if seed in found:
            raise RunError(
                f"{found[seed].name} and {run.name} have the same seed ({seed}), so they are not "
                "two seeds of one machine. Name each seed once."
            )
        if differing := [key for key in inputs_between(runs[0], run) if key not in FOLLOW_THE_SEED]:
            raise RunError(
                f"{runs[0].name} and {run.name} are not two seeds of one experiment: they differ "
                f"in {', '.join(differing)}. Join only runs by commas that differ in the seed."
            )
        found[seed] = run
    return found


def inputs_between(a: Run, b: Run) -> list[str]:
    """The inputs that make two runs two experiments; empty when they are one."""
    return [difference.key for difference in setup_differences(a, b) if difference.kind == "input"]


def require_perturbed(a: Run, perturbed: Run) -> None:
    """Raises RunError unless `perturbed` is `a` again with one weight one ULP away."""
    if not perturbed.is_perturbed:
        raise RunError(
            f"{perturbed.name} is no run perturbed by one ULP: its `train.perturb_one_ulp` "
            f"is not true. Make one of {a.name} with `dvc exp run -S train.perturb_one_ulp=true`."
        )
    if differing := inputs_between(a, perturbed):
        raise RunError(
            f"{perturbed.name} is not {a.name} perturbed by one ULP: they differ in "
            f"{', '.join(differing)}. Make one from the same parameters and images."
        )
