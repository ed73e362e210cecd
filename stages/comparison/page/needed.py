"""What it would take to show equivalence, in words: test images, or seeds on each machine.

How many is computed in `analysis`; both hold if there is no difference.
"""

from stages.comparison.analysis.outcome import images_needed, seeds_needed_by_assumption
from stages.comparison.analysis.seeds import ASSUMED_SD, Seeds
from stages.comparison.analysis.statistics import Paired, points

TAKES = "to show equivalence, if there is no difference, takes about "


def needed_of_seeds(seeds: Seeds) -> str:
    """For a sentence about several seeds; nothing where there are as many."""
    if seeds.equivalent or seeds.differ:
        return ""
    if seeds.out_of_reach:
        return "on these test images no number of seeds shows equivalence"
    return f"{TAKES}{seeds.needed:,} seeds per machine" if seeds.needed else ""


def needed_of_one_pair(answers: Paired) -> str:
    """For a sentence about two runs; nothing where there are as many images and seeds do not do."""
    images, seeds = images_needed(answers), seeds_needed_by_assumption(answers)
    ways = [f"{images:,} test images"] if images > answers.images else []
    if seeds:
        spread = f"accuracy spreads over seeds by {points(ASSUMED_SD)} points, which is assumed"
        ways.append(f"{seeds:,} seeds on each machine if {spread}")
    return TAKES + ", or ".join(ways) if ways else ""
