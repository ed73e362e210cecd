"""A run computed again on the present machine from its own states, so that no drift is in between.

For every kept state of the run: the step that followed, held against what the run recorded of every
module, gradient and update; then the stretch towards the next state, held against the run's weights
on the way and that state itself; at last the kept weights, put to the test images. The yardstick is
the same once more with the weights of the first layer moved by one ULP: rounding stays within a few
times of it, faults lie orders above.
"""

import io
import pickle
import re
import time
from copy import deepcopy
from dataclasses import replace

import pandas as pd
import torch

from stages.comparison.analysis.findings import Fault, Kind
from stages.comparison.analysis.growth import weight_growth
from stages.comparison.analysis.limits import limits_for
from stages.comparison.analysis.rounding import first_beyond
from stages.comparison.analysis.setup import effective_precision
from stages.comparison.analysis.step_trace import (
    OF_A_RUN,
    Place,
)
from stages.comparison.rerun.answers import answer_here
from stages.comparison.rerun.found import Followed, Replay, Replayed
from stages.comparison.rerun.judge import stretch_fault
from stages.comparison.rerun.near_tie import made_by_rounding, of_a_poorer_norm, places_beside
from stages.comparison.rerun.rebuilt_engine import (
    MEMORY_ADVICE,
    build_engine,
    on_device_of,
    params_of,
)
from stages.comparison.rerun.replay_step import replay_step
from stages.comparison.rerun.settings import settings_fault, settings_of
from stages.comparison.rerun.stretch import State, Stretch, compute_stretch
from stages.core import paths
from stages.core.device import memory_advice
from stages.core.errors import RunError
from stages.runs.run import Run
from stages.runs.sources import Source
from stages.training.engine import Engine

SECONDS = 40.0
"""Time for all stretches together; each has its share of it, and ends early where that is over."""

_SNAPSHOT = re.compile(r"snapshot-(\d+)\.pt$")


def replay(
    source: Source, record: Run, seconds: float = SECONDS, other: Run | None = None
) -> Replay:
    """Compute the run again from each of its kept states, and evaluate its kept weights.

    The first step of an `other` run, which begins at the same state, is held against it as well;
    where that ran on another device, this run is computed on it too if it is here.
    Raises RunError when neither is at hand, or the kept weights are not those recorded.
    """
    found = {
        int(match[1]): name
        for name in source.names(paths.SNAPSHOTS)
        if (match := _SNAPSHOT.search(name))
    }
    if not (found and recorded_within(record)) and source.read(paths.WEIGHTS) is None:
        raise _nothing_to_replay(source, record)
    params = on_device_of(other, record, params_of(source))
    engine = build_engine(source, params)
    with memory_advice(engine.device, MEMORY_ADVICE):
        made = _Replaying(engine, record, time.monotonic() + seconds, other)
        for after, name in sorted(found.items()) if recorded_within(record) else ():
            # A name may be known although the cache has lost the file.
            if (state := source.read(paths.SNAPSHOTS / name)) is not None:
                what = f"{record.name}'s snapshot after step {after}"
                made.take(after, _loaded(state, what), what)
        made.finish()
        answered = answer_here(source, record, params, engine.device, made.limits)
    if not (made.stretches or made.faults or answered):
        raise _nothing_to_replay(source, record)
    faults = sorted(made.faults, key=lambda fault: fault.where.last or 0)
    faults += [answered.fault] if answered and answered.fault else []
    return Replay(
        made.total, made.after_states, made.stretches, answered,
        [replace(fault, here=True) for fault in faults], made.tied, engine.device.type,
    )  # fmt: skip


class _Replaying:
    """States of a run, taken one by one in the order of their steps."""

    def __init__(
        self, engine: Engine, record: Run, deadline: float, other: Run | None = None
    ) -> None:
        self.engine, self.record, self.deadline, self.other = engine, record, deadline, other
        self.tied = False
        self.limits = limits_for(effective_precision(record), record.params)
        self.untied = replace(self.limits, tie=0.0)
        self.total = int(
            record.train.get("steps") or engine.params.train.epochs * engine.steps_per_epoch
        )
        self.after_states: list[Replayed] = []
        self.stretches: list[Followed] = []
        self.faults: list[Fault] = []
        self._own = settings_of(engine.state_dict())
        self._known = 0  # the last step that follows a state and is in order
        self._before: tuple[int, State] | None = None

    def take(self, after: int, state: State, what: str) -> None:
        """The stretch that ends with a state, the settings in it, and the step after it.

        From another optimiser's state nothing is computed: it would go on as that one does.
        """
        if self._before is not None:
            self._follow(*self._before, after, state)
        self._before = None
        try:
            fault = settings_fault(self.engine, self._own, state, after, self._known)
            if fault is None:
                self.engine.load_state_dict(deepcopy(state))
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise RunError(_unusable(what, error)) from None
        if fault is not None:
            self._add(fault, after)
            return
        self._before = (after, state)
        if after + 1 in recorded_within(self.record):
            step = self._step_after(after, state)
            self.after_states.append(step)
            if step.beyond is None:
                self._known = after + 1
                return
            where = replace(step.beyond.at(after + 1), first=self._known + 1)
            self._add(Fault(Kind.DISTANCE, where, step.beyond.distance, step.limit), after)

    def _step_after(self, after: int, state: State) -> Replayed:
        """The step after a state; a choice that rounding makes is looked for until a fault stands.

        Where it is looked for, no gradient is passed over because it looks like one.
        """
        step, rows = replay_step(self.engine, self.record, after, self.untied)
        if step.beyond and not self.faults and self._is_tie(self.record, step.beyond, state, rows):
            step = replace(step, beyond=None, limit=None, tie=step.beyond)
        if after == 0 and self.other is not None and step.beyond is None:
            beyond = first_beyond(places_beside(self.other, rows), self.untied)
            tie = self._is_tie(self.other, beyond[0], state, rows) if beyond else step.tie
            self.tied = bool(tie)
        return step

    def _is_tie(self, run: Run, beyond: Place, state: State, rows: pd.DataFrame) -> bool:
        if beyond.kind != "gradient":
            return False
        if of_a_poorer_norm(places_beside(run, rows), self.limits):
            return True
        return made_by_rounding(self.engine, run, state, rows, self.untied)

    def finish(self) -> None:
        """The stretch after the last state, where the run went on."""
        if self._before is not None and self._before[0] < self.total:
            self._follow(*self._before, self.total, None)

    def _follow(self, after: int, state: State, end: int, following: State | None) -> None:
        left = max(0.0, self.deadline - time.monotonic())
        share = left * (end - after) / max(self.total - after, 1)
        states = (state, following)
        span = range(after + 1, end + 1)
        stretch = compute_stretch(self.engine, self.record, states, span, share)
        fault = stretch_fault(stretch, self.record, self.limits)
        self.stretches.append(_followed(stretch, self.record, end, fault))
        if fault is not None and fault.kind is Kind.REPLAYED:  # it may have begun long before
            first = min(self._known + 1, fault.where.last or 1)
            fault = replace(fault, where=replace(fault.where, first=first))
        self._add(fault, after)

    def _add(self, fault: Fault | None, after: int) -> None:
        if fault is not None:
            self.faults.append(replace(fault, state=after))


def _followed(stretch: Stretch, record: Run, end: int, fault: Fault | None) -> Followed:
    def last(other: Run) -> tuple[float, bool] | None:
        growth = weight_growth(stretch.here, other)
        within = growth is not None and growth.steps[-1] > stretch.after
        return (growth.distance[-1], growth.equal[-1]) if growth and within else None

    ours, one_ulp = last(record), last(stretch.beside)
    return Followed(
        stretch.after, stretch.until, end,
        distance=ours[0] if ours else None,
        by_one_ulp=one_ulp[0] if one_ulp else None,
        same=ours is not None and ours[1] and all(gap.gap == 0 for gap in stretch.gaps),
        fault=fault,
    )  # fmt: skip


def _nothing_to_replay(source: Source, record: Run) -> RunError:
    if record.params.get("train", {}).get("compile"):
        return RunError(
            f"{source.name} cannot be replayed: with `train.compile: true` no step is recorded "
            "from within. Train it with `train.compile: false` and `train.snapshots: true`."
        )
    return RunError(
        f"{source.name} has no state to replay from ({paths.SNAPSHOTS} and {paths.STEPS}). "
        "Train it with `train.snapshots: true`; if it is another machine's run, `dvc pull`."
    )


def recorded_within(record: Run) -> set[int]:
    """Steps of which the run recorded the inside."""
    if record.inside is None:
        return set()
    return set(record.inside["step"][~record.inside["kind"].isin(OF_A_RUN)])


def _loaded(state: bytes, what: str) -> State:
    try:
        found: State = torch.load(io.BytesIO(state), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise RunError(_unusable(what, error)) from None
    return found


def _unusable(what: str, error: Exception) -> str:
    return (
        f"{what} cannot be used ({str(error).partition(chr(10))[0]}): the file is damaged, or "
        "another version of the code made it. Fetch it again with `dvc fetch`, or train anew."
    )
