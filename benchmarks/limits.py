"""How near honest machines come to each limit of `compare`, and how often they would pass it.

`python benchmarks/limits.py FOLDER [--honest 1-34]` reads the honest runs that `across_machines.py`
trained in FOLDER: other instruction sets, libraries, layouts and numbers of threads, over seeds,
three families, two optimisers. For every pair and every limit it takes the largest share of the
limit that the pair uses up, the yardstick that goes with the limit included. Writes per limit the
number of pairs, the largest and the middle share, how many pairs pass it with the 95 % upper bound
of that rate, and the least factor on the limit that would have alarmed one pair in a hundred, to
`benchmarks/limits.json`; ends in 1 when a limit is passed. `rounding.py` measures single steps of
larger models.
"""

import argparse
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.across_machines import SHOWN_OF_DNA, seeds_of  # noqa: E402
from benchmarks.machine_judge import Judge  # noqa: E402
from benchmarks.machine_trials import HERE, STAND_INS, Trial, honest  # noqa: E402
from stages.comparison.analysis.drift import loss_gaps, weight_gaps  # noqa: E402
from stages.comparison.analysis.evaluation import answers_gap  # noqa: E402
from stages.comparison.analysis.limits import limits_for  # noqa: E402
from stages.comparison.analysis.rounding import (  # noqa: E402
    forward_limits,
    gradient_limit,
    near_tie,
    without_children,
)
from stages.comparison.analysis.setup import effective_precision  # noqa: E402
from stages.comparison.analysis.step_trace import gradient_distance, places_at  # noqa: E402
from stages.runs.run import Run  # noqa: E402


def shares(a: Run, b: Run) -> Iterator[tuple[str, float]]:
    """Limit by limit, which share of it the two runs use up; several of one kind."""
    limits, places = limits_for(effective_precision(a), a.params), places_at(a, b, 1)
    alone = without_children(places)
    for place, limit in forward_limits(places, limits):
        fed = {True: "equal bits", False: "other bits", None: "unknown bits"}[place.fed_alike]
        kind = "operation" if place.name in alone else place.kind
        yield f"{kind} fed with {fed}, step 1", place.distance / limit
    whole = gradient_distance(places)
    if whole is not None and near_tie(places, limits):
        yield "all gradients, step 1, below a choice that fell the other way", whole / limits.tie
    elif whole is not None:
        yield "all gradients, step 1", whole / gradient_limit(places, limits)
    losses = loss_gaps(a, b) if limits.follows else None
    if losses is not None:
        yield from (("loss of a step", share) for share in losses["gap"] / losses["limit"])
    for stretch in weight_gaps(a, b, limits):
        yield "weights that part", max(stretch.grown, 0.0) / stretch.limit
    answers = answers_gap(a, b, limits)
    if answers is not None:
        yield "confidence of the answers", answers[0] / answers[1]


def table(pairs: list[dict[str, float]]) -> dict[str, dict[str, Any]]:
    """What the pairs show of each limit."""
    found = {}
    for kind in sorted({kind for pair in pairs for kind in pair}):
        used = np.array([pair[kind] for pair in pairs if kind in pair])
        passed = int((used > 1).sum())
        bound = binomtest(passed, len(used)).proportion_ci(0.90, "exact").high  # one-sided 95 %
        found[kind] = {
            "pairs": len(used),
            "share_most": float(f"{used.max():.3g}"),
            "share_median": float(f"{np.median(used):.3g}"),
            "passed": passed,
            "rate_at_most": float(f"{bound:.3g}"),
            "factor_for_one_in_a_hundred": float(f"{np.quantile(used, 0.99):.3g}"),
        }
    return found


def main() -> int:
    """Read, write, print; 1 when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--honest", type=seeds_of, default=range(1, 35), metavar="FIRST-LAST")
    parser.add_argument("--to", type=Path, default=ROOT / "benchmarks/limits.json")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    os.environ["DVC_ROOT"] = str(folder)
    judge, pairs = Judge(folder), []
    trials = [trial for trial in honest(arguments.honest) if judge.has(trial)]
    for trial in trials:
        if trial.machine == HERE:
            continue
        most: dict[str, float] = defaultdict(float)
        first = judge.run(Trial(HERE, trial.family, trial.seed))
        for kind, share in shares(first, judge.run(trial)):
            most[kind] = max(most[kind], share)
        pairs.append(dict(most))
    hardware = judge.run(trials[0]).hardware
    found = {
        "machine": {key: hardware.get(key) for key in SHOWN_OF_DNA},
        "stand_ins": [name for name in STAND_INS if name != HERE],
        "pairs": len(pairs),
        "limits": table(pairs),
    }
    arguments.to.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found["limits"], indent=1))
    return int(any(each["passed"] for each in found["limits"].values()))


if __name__ == "__main__":
    sys.exit(main())
