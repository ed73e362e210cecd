"""What a study's page says of data size: gain per doubling, images to a target, who leads beyond.

Leaves fitting to `scaling` and the picture of the curves to `album`.
"""

from collections.abc import Mapping

from stages.reporting.parts import Table
from stages.reporting.words import NONE, percent
from stages.studies.scaling import Check, Curve, fit, leave_out_largest
from stages.studies.table import View
from stages.studies.traced import over, range_text


def sample_table(view: View, target: float | None) -> Table | None:
    """Points per doubling of the data, the exponent, images until the target, and the check."""
    if len(view.sizes) < 2:
        return None
    aim = target if target is not None else _next_ten(float(view.main["mean"].max()))
    high = view.sizes[-1]
    rows = []
    for name, cells in view.cells.groupby("series", sort=False):
        curve = fit(cells, view.results.main)
        check = leave_out_largest(cells, view.results.main)
        if curve is None:
            continue
        gained = curve.accuracy(high)[0] - curve.accuracy(high / 2)[0]
        beyond = curve.accuracy(2 * high)
        rows.append((
            str(name),
            over(cells, f"{100 * gained:+.1f}"),
            over(cells, f"{curve.exponent:.3f}"),
            over(cells, f"{percent(beyond[0])} ({range_text(*beyond[1:])})"),
            over(cells, images_told(curve, aim, int(cells["train_images"].min()))),
            NONE if check is None else over(cells, _checked(check)),
        ))  # fmt: skip
    head = ("backbone", "points at the last doubling", "exponent b", f"at {2 * high:,} images",
            f"images until {percent(aim, 0)}", f"check: {high:,} images from fewer")  # fmt: skip
    return Table(head, tuple(rows), numeric=(1, 2, 3)) if rows else None


def winner_beyond(view: View) -> str | None:
    """Which series the curves expect to lead at twice the largest size, and how surely.

    A curve that missed the largest size when it was left out says so.
    """
    images = 2 * view.sizes[-1]
    curves, checks = {}, {}
    for name, cells in view.cells.groupby("series", sort=False):
        curve = fit(cells, view.results.main)
        if curve is not None:
            curves[str(name)] = curve
            checks[str(name)] = leave_out_largest(cells, view.results.main)
    if len(curves) < 2:
        return None
    expected = {name: curve.accuracy(images) for name, curve in curves.items()}
    best = max(expected, key=lambda name: expected[name][0])
    low = expected[best][1]
    rivals = [name for name, found in expected.items() if name != best and found[2] >= low]
    told = f"statistically tied with {', '.join(rivals)}" if rivals else "ahead of all others"
    mean = percent(expected[best][0])
    return (
        f"At {images:,} images, which were not run, {best} is expected to lead with {mean}, {told}."
        + _doubts({name: checks[name] for name in [best, *rivals]})
    )


def _doubts(checks: Mapping[str, Check | None]) -> str:
    """A sentence on the curves that missed the largest size; nothing where none did."""
    missed = [
        f"{name} ({_checked(check)})"
        for name, check in checks.items()
        if check is not None and not check.inside
    ]
    if not missed:
        return ""
    return f" Do not build on it: the curve of the smaller sizes missed {', '.join(missed)}."


def _checked(check: Check) -> str:
    where = "inside" if check.inside else "outside"
    return (
        f"{percent(check.predicted)} predicted, {percent(check.measured)} measured, "
        f"{where} {range_text(check.low, check.high)}"
    )


def images_told(curve: Curve, target: float, smallest: int) -> str:
    """Images until the target with the range in which the band reaches it."""
    if curve.accuracy(smallest)[0] >= target:
        return f"already at {smallest:,}"
    found = curve.images_for(target)
    expected, fewest, most = ("beyond reach" if n is None else f"{n:,.0f}" for n in found)
    return expected if found[0] is None else f"{expected} ({fewest} to {most})"


def _next_ten(share: float) -> float:
    return min(0.95, (int(10 * share) + 1) / 10)
