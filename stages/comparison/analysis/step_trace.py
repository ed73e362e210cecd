"""The inside of a step on two machines: its places side by side, and the first with other bits.

Reads the rows that training records (`stages/training/step_trace.py`): hashes for equality,
sketches for distance. What counts as rounding is decided by `rounding`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.comparison.analysis.findings import Where
from stages.runs.run import Run
from stages.runs.schema import INSIDE_COLUMNS

OF_A_RUN = ("weights", "average", "kept")
"""Kinds of rows that are no place within a step."""


LOST = 4
"""ULPs of the weights below which an update may be lost on one machine alone, as at the end of a
falling rate."""


@dataclass(frozen=True)
class Place:
    """One place of a step on both machines.

    `bits_differ`, with `fed_alike` when what went in had equal bits (None when unknown).
    `gap` is the estimated norm of the difference, `distance` the same relative to A's norm (for
    an update: relative to the length of A's update), `size_b` that of B. `rounding` is what one ULP
    can do here, relative as well: on the way forward and back measured by the runs themselves, the
    smaller of the two, so that a noisy run does not excuse itself, and 0 when they did not; for an
    update, one ULP of the weights that it moves; `ulp` is that in the units of `size`. `errors` is
    how far either is from the exact output of a norm, or of one that this is a part of; 0 where
    that was not measured.
    """

    kind: str
    name: str
    bits_differ: bool
    fed_alike: bool | None
    gap: float
    size: float
    size_b: float
    rounding: float
    dtypes: tuple[str, str]
    ulp: float = 0.0
    errors: tuple[float, float] = (0.0, 0.0)

    @property
    def error(self) -> float:
        """How far apart a norm's outputs of equal inputs may be by the machines' own errors."""
        return sum(self.errors)

    @property
    def is_finite(self) -> bool:
        """Whether numbers can be held side by side here; not where gradients overflowed."""
        return math.isfinite(self.gap) and math.isfinite(self.size)

    @property
    def distance(self) -> float:
        """The distance relative to the size; means nothing where it is not finite."""
        return self.gap / self.size if self.size > 0 else float(self.gap > 0)

    @property
    def is_of_forward(self) -> bool:
        """Whether the place comes before the gradients; runs on many devices record none such."""
        return self.kind in ("input", "module", "target", "loss")

    @property
    def stands_still(self) -> bool:
        """Whether B alone, or A alone, does not move what the other moves by more than rounding."""
        one_alone = self.kind == "update" and (self.size == 0) != (self.size_b == 0)
        return one_alone and max(self.size, self.size_b) > LOST * self.ulp

    def at(self, step: int) -> Where:
        """The place as that of a difference."""
        dtypes = self.dtypes if self.dtypes[0] != self.dtypes[1] else None
        return Where(self.kind, self.name, step, step, dtypes=dtypes)


def recorded_steps(a: Run, b: Run) -> list[int]:
    """Steps whose inside both runs recorded, in order."""
    if a.inside is None or b.inside is None:
        return []
    steps = [set(run["step"][~run["kind"].isin(OF_A_RUN)]) for run in (a.inside, b.inside)]
    return sorted(int(step) for step in steps[0] & steps[1])


def places_at(a: Run, b: Run, step: int) -> list[Place]:
    """All places of a step that both runs recorded, in the order A computed them."""
    one, other = (_rows(run.inside, step) for run in (a, b))
    both = one.merge(other, on=["kind", "name", "turn"], suffixes=("_a", "_b"))
    rows = both.sort_values("position_a").to_dict(orient="records")
    gradients = {
        row["name"]: row["hash_a"] == row["hash_b"] for row in rows if row["kind"] == "gradient"
    }
    errors = {
        row["name"]: (_known(row["error_a"]), _known(row["error_b"]))
        for row in rows
        if row["kind"] == "module"
    }
    return [
        _place({str(key): value for key, value in row.items()}, gradients, errors) for row in rows
    ]


def _rows(table: pd.DataFrame | None, step: int) -> pd.DataFrame:
    """A step's rows; `turn` counts a place that is met more than once, as in micro-batches."""
    columns = [*INSIDE_COLUMNS, "turn"]
    if table is None:
        return pd.DataFrame(columns=columns)
    within = (table["step"] == step) & ~table["kind"].isin(OF_A_RUN)
    rows = table[within].sort_values("position")
    return rows.assign(turn=rows.groupby(["kind", "name"]).cumcount()).reindex(columns=columns)


def _place(
    row: dict[str, Any], gradients: dict[str, bool], errors: dict[str, tuple[float, float]]
) -> Place:
    kind, name, norm = row["kind"], row["name"], float(row["norm_a"])
    mine, theirs = read_sketch(row["sketch_a"]), read_sketch(row["sketch_b"])
    with np.errstate(invalid="ignore"):  # of infinities, which are no distance
        gap = float(np.linalg.norm(mine - theirs))
    sketched = float(np.linalg.norm(mine))
    fed_alike: bool | None = None
    if kind == "update":
        fed_alike = gradients.get(name)
    elif isinstance(row["inputs_hash_a"], str) and isinstance(row["inputs_hash_b"], str):
        fed_alike = row["inputs_hash_a"] == row["inputs_hash_b"]
    size, size_b = norm, float(row["norm_b"])
    if kind == "update":
        size, size_b = sketched, float(np.linalg.norm(theirs))
    elif sketched > 0:  # a part alone of a large tensor is sketched, and the norm is of the whole
        gap *= norm / sketched
    measured = [float(row[f"rounding_{side}"] or 0) for side in "ab"]
    rounding = min((value for value in measured if 0 < value < math.inf), default=0.0)
    if kind == "update" and size > 0:
        # Weights are float32: half a unit in the last place each, on either machine.
        rounding = 2.0**-23 * norm / size
    return Place(
        kind=kind,
        name=name,
        bits_differ=row["hash_a"] != row["hash_b"],
        fed_alike=fed_alike,
        gap=gap,
        size=size,
        size_b=size_b,
        rounding=rounding,
        dtypes=(str(row["dtype_a"]), str(row["dtype_b"])),
        ulp=2.0**-23 * norm,
        errors=max((errors.get(of, (0.0, 0.0)) for of in (name, name.rpartition(".")[0])), key=sum),
    )


def _known(error: float | None) -> float:
    return float(error) if error is not None and math.isfinite(error) else 0.0


def read_sketch(text: str) -> NDArray[np.float64]:
    """The numbers of a sketch as training wrote them."""
    return np.array(text.split(), dtype=np.float64)


def first_bits(places: list[Place]) -> Place | None:
    """The first place whose bits differ."""
    return next((place for place in places if place.bits_differ), None)


def gradient_distance(places: list[Place]) -> float | None:
    """Distance of all gradients together, relative to their norm.

    None without gradients, or when one of them is not finite.
    """
    gradients = [place for place in places if place.kind == "gradient"]
    if not all(place.is_finite for place in gradients):
        return None
    size = np.hypot.reduce([place.size for place in gradients]) if gradients else 0.0
    if size == 0:
        return None
    return float(np.hypot.reduce([place.gap for place in gradients]) / size)
