"""How far the weights of two runs are apart as both go on.

Reads the sketches of all weights that training keeps at milestones.
"""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from stages.comparison.analysis.step_trace import read_sketch
from stages.runs.run import Run


@dataclass(frozen=True)
class Growth:
    """How far the weights are apart after each step, relative to the norm of the weights.

    `moved` is how far A's own moved since the step before, or where they stood still B's, `equal`
    whether all bits agree, `norm` that of A's weights.
    """

    steps: tuple[int, ...]
    distance: tuple[float, ...]
    moved: tuple[float, ...]
    equal: tuple[bool, ...]
    norm: tuple[float, ...]

    def before(self, step: int) -> tuple[float, float] | None:
        """Distance and norm of the weights that entered a step, the larger of those around it.

        None for the first step and after the last milestone.
        """
        after = bisect_left(self.steps, step - 1)
        if step == 1 or after == len(self.steps):
            return None
        around = [after] if self.steps[after] == step - 1 or after == 0 else [after - 1, after]
        return max(self.distance[i] for i in around), self.norm[after]

    def until(self, step: int) -> float:
        """The largest distance after any step up to this one, its next milestone included."""
        return max(self.distance[: bisect_left(self.steps, step) + 1])


def weight_growth(a: Run, b: Run, kind: str = "weights", name: str = "(all)") -> Growth | None:
    """The distance of the weights as both runs go on; None when they share no such record.

    Of those that are trained, where both runs tell them apart from frozen ones, beside which they
    may be small. `kind` may be "average", the moving average, or "kept", what was kept at the end;
    of the latter `name` may be "(buffers)".
    """
    trained = _growth(a, b, kind, "(trained)") if name == "(all)" else None
    return trained or _growth(a, b, kind, name)


def _growth(a: Run, b: Run, kind: str, name: str) -> Growth | None:
    if a.inside is None or b.inside is None:
        return None
    one, other = (run[run["kind"].eq(kind) & run["name"].eq(name)] for run in (a.inside, b.inside))
    both = one.merge(other, on="step", suffixes=("_a", "_b"))
    if both.empty:
        return None
    mine, theirs = (np.stack([*map(read_sketch, both[f"sketch_{side}"])]) for side in "ab")
    # Of large tensors a part alone is sketched, so a distance is relative to A's own sketch.
    sizes = np.linalg.norm(mine, axis=1).clip(min=np.finfo(float).tiny)
    ways = [np.linalg.norm(np.diff(own, axis=0), axis=1) / sizes[1:] for own in (mine, theirs)]
    moved = np.where(ways[0] > 0, *ways)
    return Growth(
        steps=tuple(int(step) for step in both["step"]),
        distance=tuple(map(float, np.linalg.norm(mine - theirs, axis=1) / sizes)),
        moved=(0.0, *map(float, moved)),
        equal=tuple(map(bool, both["hash_a"] == both["hash_b"])),
        norm=tuple(map(float, both["norm_a"])),
    )
