"""Settings of a run's optimiser as its kept states have them, against those that it has here.

They are equal on any machine, so a difference needs no limit; it would also be carried into every
step that is computed from the state.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from stages.comparison.analysis.findings import Fault, Kind, Where
from stages.training.schedule import share_of_rate

if TYPE_CHECKING:
    from stages.training.engine import Engine

VARYING = ("params", "lr", "initial_lr")
SAME = 1e-9
"""Relative difference of two rates that are the same but for the order of a product."""


def settings_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of every group of parameters of an engine's state, and what the group holds."""
    return dict(_groups(state["optimizer"], ""))


def _groups(value: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    for place, group in enumerate(value.get("param_groups", ())):
        yield f"parameters of group {place}{name}", len(group["params"])
        for key, setting in group.items():
            if key not in VARYING:
                yield f"{key} of group {place}{name}", setting
    for key, item in value.items():
        if isinstance(item, Mapping) and "param_groups" in item:  # two optimisers as one
            yield from _groups(item, f" of {key}")


def _steps_of(value: Mapping[str, Any]) -> Iterator[int]:
    """How many steps Adam and its kin count for a parameter, by which they correct their bias."""
    for kept in value.get("state", {}).values():
        if "step" in kept:
            yield int(kept["step"])
    for item in value.values():
        if isinstance(item, Mapping) and "param_groups" in item:
            yield from _steps_of(item)


def settings_fault(
    engine: "Engine", own: Mapping[str, Any], state: Mapping[str, Any], after: int, known: int
) -> Fault | None:
    """The first setting that is another in B's state `after` a step than `own`, as made here.

    `known` is the last step after a state that was found in order. Settings that one version of
    PyTorch alone has are passed over.
    """
    last = max(after, 1)

    def fault(name: str, one: Any, other: Any) -> Fault:
        where = Where("optimizer", name, min(known + 1, last), last)
        return Fault(Kind.OPTIMIZER, where, a=one, b=other)

    theirs = settings_of(state)
    for key in (key for key in own if key in theirs):
        if own[key] != theirs[key]:
            return fault(key, own[key], theirs[key])
    counted = max(_steps_of(state["optimizer"]), default=0)
    if counted > after:  # fewer may be: an overflow or a gradient that is not finite is passed over
        return fault("the count of its steps", after, counted)
    share = share_of_rate(after, engine.params.train, engine.steps_per_epoch)
    rates = [rate * share for rate in engine.schedule.base_lrs]
    for one, other in zip(rates, state["schedule"].get("_last_lr", ()), strict=False):
        if abs(one - other) > SAME * max(abs(one), abs(other)):
            return fault("the learning rate", one, other)
    return None
