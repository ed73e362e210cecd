"""How the intervals of a page are made, and which runs a reader should not trust too far."""

import pandas as pd

from stages.reporting.words import percent
from stages.studies.answers import constant_runs
from stages.studies.table import View, series_of
from stages.studies.traced import Traced, over


def interval_text(view: View) -> str:
    """What stands behind ± in the tables of accuracy."""
    spread = view.scores.spread
    if spread.sd is None:
        told = (
            "One seed per cell: the intervals are those of the test images alone and say nothing "
            "of how another seed would do."
        )
        return over(view.cells, told)
    told = (
        "Mean ± 95 % interval (number of runs), for other seeds and other test images: the error "
        "of both, added in quadrature. The spread of one run over seeds, "
        f"{100 * spread.sd:.2f} points, is the median over all groups of this machine "
        f"({spread.freedom} degrees of freedom, Student's t); a group that spreads wider keeps its "
        "own. Two figures are tied when the interval of their difference, paired image by image, "
        "holds zero, which their own intervals may overlap without."
    )
    return over(view.cells, told)


def cautions(view: View) -> list[str]:
    """Groups whose seeds disagree widely, and runs that give one answer to nearly all images."""
    return [*_erratic(view), *_constant(view)]


def _erratic(view: View) -> list[str]:
    said: list[str] = []
    for group in view.scores.spread.erratic:
        cells = view.scores.groups[group]
        shares = ", ".join(percent(share) for share in sorted(cells[view.results.main]))
        told = (
            f"{_named(view, cells)}: its seeds disagree far more than those of the others "
            f"({shares}); so few runs cannot say how far, and its interval may still be too narrow"
        )
        said.append(over(cells, told))
    return said


def _constant(view: View) -> list[str]:
    found = constant_runs(view.predictions)
    said: list[str] = []
    for runs in view.scores.groups.values():
        shares = {
            str(row["cell"]): found[view.machine, str(row["cell"])]
            for row in runs.to_dict("records")
            if (view.machine, str(row["cell"])) in found
        }
        if shares:
            which = f"{len(shares)} of {len(runs)} runs" if len(runs) > 1 else "its run"
            ends = dict.fromkeys(
                percent(end) for end in (min(shares.values()), max(shares.values()))
            )
            gives = "gives" if len(shares) == 1 else "give"
            told = f"{which} {gives} one answer for {' to '.join(ends)} of images"
            said.append(Traced(f"{_named(view, runs)}: {told}", list(shares)))
    if said:
        said.append(f"One answer for all images would score up to {percent(view.chance)}")
    return said


def _named(view: View, cells: pd.DataFrame) -> str:
    row = cells.iloc[0].to_dict()
    return f"{series_of(row, view.form)} at {int(row['train_images']):,} images"
