"""What a study's page says of data size: gain per doubling, images to a target, who leads beyond.

Curves are fitted to runs that are surely above one answer to every image, and to those alone.
"""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from stages.pages.blocks import Table
from stages.pages.formatting import NONE, percent, rounded
from stages.studies.analysis.fitted_curves import Fitted
from stages.studies.analysis.machine_results import MachineResults
from stages.studies.analysis.scaling import Check, Curve
from stages.studies.analysis.traced import over, points_text, range_text


def sample_table(
    view: MachineResults, curves: Mapping[str, Fitted], target: float | None
) -> Table | None:
    """Points per doubling of the data at the last step, measured; then what its curve tells: the
    exponent, the accuracy at twice the largest size, images until the target, and the check.

    Of a curve for which nothing speaks, nothing is told beyond its sizes.
    """
    if len(view.sizes) < 2:
        return None
    aim = target if target is not None else _next_ten(float(view.main["mean"].max()))
    high = view.sizes[-1]
    rows = []
    for name, found in curves.items():
        curve, cells = found.curve, found.cells
        beyond = curve.accuracy(2 * high)
        ahead = f"{percent(beyond[0], 0)} ({range_text(*beyond[1:], digits=0)})"
        until = images_told(curve, aim, int(cells["train_images"].min()))
        rows.append((
            name,
            over(cells, _gained(view, cells)),
            NONE if found.of_two else over(cells, _exponent(curve)),
            NONE if found.doubted or not found.reaches(2 * high) else over(cells, ahead),
            NONE if found.doubted else over(cells, until),
            NONE if found.check is None else over(cells, _checked(found.check, view.chance, high)),
        ))  # fmt: skip
    head = ("backbone", "points per doubling, last step", "exponent b", f"at {2 * high:,} images",
            f"images until {percent(aim, 0)}", f"check: {high:,} images from fewer")  # fmt: skip
    return Table(head, tuple(rows), numeric=(1, 2, 3)).without_empty() if rows else None


def winner_beyond(view: MachineResults, curves: Mapping[str, Fitted]) -> str | None:
    """Which series the curves expect to lead at twice the largest size, and how surely.

    Nothing is expected of a curve for which nothing speaks, nor where its interval holds one answer
    to every image.
    """
    images = 2 * view.sizes[-1]
    if len(curves) < 2:
        return None
    sound = {
        name: found for name, found in curves.items() if not found.doubted and found.reaches(images)
    }
    expected = {name: found.curve.accuracy(images) for name, found in sound.items()}
    doubts = _doubts(curves, view.chance)
    sure = {name: ends for name, ends in expected.items() if ends[1] > view.chance}
    unchecked = [
        name
        for name, found in curves.items()
        if found.vague and not (found.missed or found.of_two or found.leaning)
    ]
    vague = [*unchecked, *(name for name in expected if name not in sure)]
    if not sure:
        why = f": {_vague(vague)}" if vague else ""
        if all(found.of_two for found in curves.values()):
            why = ": any curve fits two sizes"
        return f"Nothing can be said beyond the sizes that were run{why}.{doubts}"
    best = max(sure, key=lambda name: sure[name][0])
    rivals = [name for name, ends in sure.items() if name != best and ends[2] >= sure[best][1]]
    mean = percent(sure[best][0], 0)
    if rivals:
        told = f"no leader can be told: {best} is expected at {mean}, tied with {', '.join(rivals)}"
    else:
        told = f"{best} is expected to lead with {mean}, ahead of all others"
        known = {*curves, *view.at(view.main_size)["series"]}
        told += " that can be told" if known - set(sure) else ""
    unsaid = f"; {_vague(vague)}" if vague else ""
    return f"At {images:,} images, which were not run, {told}{unsaid}.{doubts}"


def _gained(view: MachineResults, cells: pd.DataFrame) -> str:
    """Points of accuracy that a doubling brought from the last size but one to the largest."""
    before, last = (
        cells[cells["train_images"] == size] for size in sorted(set(cells["train_images"]))[-2:]
    )
    doublings = math.log2(last["train_images"].iloc[0] / before["train_images"].iloc[0])
    gain = view.scores.difference(last, before)
    half_width = None if gain.half_width is None else gain.half_width / doublings
    return points_text(gain.value / doublings, half_width)


def _vague(names: Sequence[str]) -> str:
    """That these curves reach down to what one answer to every image scores."""
    whose = "the curve" if len(names) == 1 else "the curves"
    return (
        f"{whose} of {', '.join(names)} {'is' if len(names) == 1 else 'are'} too uncertain to say"
    )


def _exponent(curve: Curve) -> str:
    return f"{curve.exponent:.2f} ± {curve.exponent_half_width:.2f}"


def _doubts(every: Mapping[str, Fitted], chance: float) -> str:
    """Sentences on the curves that missed the largest size, or erred with all others of a kind."""
    missed = [
        f"{name} ({_checked(found.check, chance, found.check.images)})"
        for name, found in every.items()
        if found.check and found.missed
    ]
    whose, used = ("The curves", "they are") if len(missed) > 1 else ("The curve", "it is")
    told = f" {whose} of the smaller sizes missed {', '.join(missed)}: {used} not used."
    return told * bool(missed) + _leaning_told(every)


def _leaning_told(every: Mapping[str, Fitted]) -> str:
    """A sentence per kind: curves of frozen trunks and of whole trainings are judged apart."""
    told = ""
    for frozen in (True, False):
        checks = {
            name: found.check
            for name, found in every.items()
            if found.leaning and found.check and found.frozen == frozen
        }
        high = sum(check.measured < check.predicted for check in checks.values())
        below = 2 * high <= len(checks)
        count = len(checks) - high if below else high
        way = f"{count} of them too {'low' if below else 'high'}"
        if checks:
            told += (
                f" Of {', '.join(checks)} the smaller sizes predicted {way}, more than chance "
                "would: their curves are not used."
            )
    return told


def _checked(check: Check, chance: float, high: int) -> str:
    """Predicted and measured, and whether the one's interval holds the other and says anything.

    Of a series that has not run with as many images as `high` the number is said.
    """
    at = f"{check.images:,} images: " if check.images != high else ""
    digits = 0 if check.inside else 1  # or what lies just outside would seem to be its end
    predicted, measured = (percent(share, digits) for share in (check.predicted, check.measured))
    told = f"{at}{predicted} predicted, {measured} measured"
    interval = range_text(check.low, check.high, digits)
    if not check.inside:
        return f"{told}, outside {interval}"
    if check.low <= chance:
        return f"{told}; no check, since {interval} holds even one answer to every image"
    return f"{told}, inside {interval}"


def images_told(curve: Curve, target: float, smallest: int) -> str:
    """Images until the target with the range in which the band reaches it.

    No further than the sizes that were run and ten times the largest.
    """
    if curve.accuracy(smallest)[0] >= target:
        return f"already at {smallest:,}"
    beyond = f"more than {curve.farthest:,.0f}"
    expected, fewest, most = curve.images_for(target)
    if expected is None:
        return f"{beyond}: too far to say"
    low = f"under {smallest:,}" if fewest is None or fewest < smallest else rounded(fewest)
    high = beyond if most is None else rounded(most)
    return f"{rounded(expected)} ({low} to {high})"


def _next_ten(share: float) -> float:
    return min(0.95, (int(10 * share) + 1) / 10)
