"""How the intervals of a page are made, and which runs a reader should not trust too far."""

import pandas as pd

from stages.core.counts import counted
from stages.pages.formatting import percent
from stages.studies.analysis.advice import even_text
from stages.studies.analysis.machine_results import MachineResults, series_of
from stages.studies.analysis.spread import FITTED, HEAD, KINDS, NETWORK, Pool
from stages.studies.analysis.traced import Traced, over

RUN = {
    NETWORK: "of networks ",
    HEAD: "of heads on a frozen trunk ",
    FITTED: "of heads that are fitted at once ",
}


def interval_text(view: MachineResults) -> str:
    """What stands behind ± in the tables of accuracy."""
    spread = view.scores.spread
    here = {spread.kind_of(group) for group in view.scores.groups}
    kinds = [kind for kind in KINDS if kind in here]
    pools = {kind: spread.pools.get(kind) for kind in kinds}
    if all(pool is None or pool.sd is None for pool in pools.values()):
        told = (
            "No two runs that differ in the seed alone tell images apart: the intervals are those "
            "of the test images and say nothing of how another seed would do."
        )
        return over(view.cells, told)
    left_out = ", runs with one answer to all images left out" if view.results.constant else ""
    differ = ", ".join(
        (RUN[kind] if len(kinds) > 1 else "") + _differ(view, pool) for kind, pool in pools.items()
    )
    told = (
        "Mean ± 95 % interval (number of runs), by its ends where one is beyond 0 or 100 %, for "
        "other seeds and other test images: the error of both, added in quadrature. The training "
        "images of a size are the same for all: what others would change is not in it. Standard "
        "deviation of one run over the seeds of its "
        f"backbone and size, the median over all of them{left_out}, freed of its bias, and no "
        f"less than the images make on which seeds differ: {differ}. With it goes "
        "Student's t; a seed that several machines have counts once, and where seeds differ more, "
        "their own spread counts. Two figures are tied when the interval of their difference, "
        "paired image by image, holds zero; their own intervals may overlap all the same."
    )
    return over(view.cells, told)


def _differ(view: MachineResults, pool: Pool | None) -> str:
    """How far runs of one kind differ, and what that rests on."""
    if pool is None or pool.sd is None:
        return "not known, for none was repeated, so that test images alone count"
    repeated = {group[0] for group in pool.groups}
    where = ", on all machines" if repeated > {view.machine} else ""
    if view.machine not in repeated:
        where = ", on other machines, for here none was repeated"
    freedom = counted(pool.dof, "degree of freedom", "degrees of freedom")
    return f"{100 * pool.sd:.2f} points ({freedom}{where})"


def cautions(view: MachineResults) -> list[str]:
    """Sizes that few ran, runs that are those of another series, seeds that disagree widely, runs
    that give one answer to all images, and runs at chance.
    """
    found = (_few_at(view), _repeats(view), _erratic(view), _constant(view), _unlearned(view))
    return [told for kind in found for told in kind]


def _few_at(view: MachineResults) -> list[str]:
    """Sizes that are too sparse for a ranking to be of them."""
    larger = [images for images in view.sizes if images > view.main_size]
    ran = "".join(f", at {images:,} {len(view.at(images))}" for images in larger)
    main = f"{view.main_size:,} images, at which {len(view.at(view.main_size))} series ran"
    return [f"Places, costs and advice are of {main}{ran}"] if larger else []


def _repeats(view: MachineResults) -> list[str]:
    return [
        over(
            view.cells_of(name),
            f"{name} gives the bits of {other} again: it is shown in the results, and is no "
            "further backbone to place or compare",
        )
        for name, other in view.repeated.items()
    ]


def _erratic(view: MachineResults) -> list[str]:
    groups = view.scores.groups
    cells = [groups[group] for group in view.scores.spread.erratic]
    if not cells:
        return []
    told = "; ".join(
        f"{_named(view, runs)} "
        f"({', '.join(percent(share) for share in sorted(runs[view.results.main]))})"
        for runs in cells
    )
    end = (
        "its seeds disagree far more than those of the others; so few runs cannot say how far, and "
        "its interval may still be too narrow"
        if len(cells) == 1
        else "their seeds disagree far more than those of the others; so few runs cannot say how "
        "far, and their intervals may still be too narrow"
    )
    return [over(pd.concat(cells), f"{told}: {end}")]


def _constant(view: MachineResults) -> list[str]:
    said: list[str] = []
    for runs in view.scores.groups.values():
        shares = {
            str(cell): view.constant[str(cell)]
            for cell in runs["cell"]
            if str(cell) in view.constant
        }
        if shares:
            which = f"{len(shares)} of {len(runs)} runs" if len(runs) > 1 else "its run"
            ends = dict.fromkeys(
                percent(end, 0) for end in (min(shares.values()), max(shares.values()))
            )
            gives = "gives" if len(shares) == 1 else "give"
            told = f"{which} {gives} one answer for {' to '.join(ends)} of images"
            said.append(Traced(f"{_named(view, runs)}: {told}", list(shares)))
    return said


def _unlearned(view: MachineResults) -> list[str]:
    """Series whose interval reaches down to what one answer to every image scores."""
    rows = view.main[~view.main["learned"]]
    if rows.empty:
        return []
    names = "; ".join(
        f"{row['series']} at {int(row['train_images']):,} images" for row in rows.to_dict("records")
    )
    cells = pd.concat([
        view.cells_of(row["series"], row["train_images"]) for row in rows.to_dict("records")
    ])  # fmt: skip
    told = (
        f"Not surely above {percent(view.chance)}, the score of one answer to every image: "
        f"{names}. They may have learned nothing yet: they are shown, but neither ranked nor "
        "advised, and claims about them are not judged. More images or epochs would help, or "
        f"more seeds where they differ widely{even_text(view, cells)}"
    )
    return [over(cells, told)]


def _named(view: MachineResults, cells: pd.DataFrame) -> str:
    row = cells.iloc[0].to_dict()
    return f"{series_of(row, view.form)} at {int(row['train_images']):,} images"
