"""One step of a run, computed again on the present machine from the run's own state.

For every snapshot of A: load it, compute the step that followed, hold every module, gradient and
update against what A recorded. The yardstick is the same step once more with the weights of the
first layer moved by one ULP: rounding stays within a few times of it, faults lie orders above.
"""

import io
import pickle
import re
from dataclasses import dataclass, replace

import pandas as pd
import torch

from stages.comparison.analysis.rounding import LIMITS, Limits, first_beyond
from stages.comparison.analysis.setup import effective_precision
from stages.comparison.analysis.step_trace import Place, first_bits, gradient_distance, places_at
from stages.comparison.page.terms import where_in_words
from stages.comparison.rerun.rebuilt_engine import MEMORY_ADVICE, build_engine, epoch_of, params_of
from stages.core import paths
from stages.core.device import memory_advice
from stages.core.errors import RunError
from stages.runs.run import Run
from stages.runs.schema import INSIDE_COLUMNS
from stages.runs.sources import Source
from stages.training.engine import Engine
from stages.training.step_trace import perturbed_rows, watching

_SNAPSHOT = re.compile(r"snapshot-(\d+)\.pt$")


@dataclass(frozen=True)
class Replayed:
    """One replayed step, counted from 1.

    `distance` is that of this machine's gradients from A's, `perturbed_distance` what one ULP does
    to them here, both relative to the norm; None where gradients overflowed, as they do in the
    first steps at fp16, or were not recorded. `bits` is the first place with other bits, `beyond`
    the first that is apart by more than rounding.
    """

    step: int
    distance: float | None
    perturbed_distance: float | None
    bits: Place | None
    beyond: Place | None

    def describe(self) -> str:
        """One line about the step."""
        start = f"step {self.step}: "
        if self.bits is None:
            return start + "the same bits"
        if self.distance is None:
            words = "gradients are not finite, so their distance is not known"
        else:
            words = f"relative distance of the gradients {self.distance:.1e}"
        if self.distance is not None and self.perturbed_distance:
            words += f", {self.distance / self.perturbed_distance:.2g} times what one ULP does"
        if self.beyond is None:
            return start + f"{words}; first divergence {place_in_words(self.bits)}"
        return start + f"{words}; more than rounding {place_in_words(self.beyond)}"


def place_in_words(place: Place) -> str:
    """The place without its step, which the line begins with."""
    return where_in_words(replace(place.at(0), first=None, last=None))


def replay(source: Source, record: Run) -> list[Replayed]:
    """Replay the step after every snapshot that the run kept and recorded.

    Raises RunError when the run kept none.
    """
    recorded = set() if record.inside is None else set(record.inside["step"])
    found = [
        (int(match[1]), name)
        for name in source.names(paths.SNAPSHOTS)
        if (match := _SNAPSHOT.search(name)) and int(match[1]) + 1 in recorded
    ]
    if not found:
        raise _nothing_to_replay(source, record)
    engine = build_engine(source, params_of(source))
    limits = LIMITS[effective_precision(record)]
    with memory_advice(engine.device, MEMORY_ADVICE):
        replayed = [
            _replay_one(engine, record, step, state, limits)
            for step, name in found
            # A name may be known although the cache has lost the file.
            if (state := source.read(paths.SNAPSHOTS / name)) is not None
        ]
    if not replayed:
        raise _nothing_to_replay(source, record)
    return replayed


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


def _replay_one(engine: Engine, record: Run, after: int, state: bytes, limits: Limits) -> Replayed:
    _load(engine, state, f"{record.name}'s snapshot after step {after}")
    rows, perturbed = _inside(engine, after + 1)
    mine = replace(record, name="here", inside=rows)
    beside = replace(record, name="perturbed", inside=perturbed)
    places = places_at(record, mine, after + 1)
    beyond = first_beyond(places, limits)
    return Replayed(
        step=after + 1,
        distance=gradient_distance(places),
        perturbed_distance=gradient_distance(places_at(mine, beside, after + 1)),
        bits=first_bits(places),
        beyond=beyond[0] if beyond else None,
    )


def _load(engine: Engine, state: bytes, what: str) -> None:
    try:
        engine.load_state_dict(torch.load(io.BytesIO(state), map_location="cpu", weights_only=True))
    except (RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise RunError(
            f"{what} cannot be used ({str(error).partition(chr(10))[0]}): the file is damaged, or "
            "another version of the code made it. Fetch it again with `dvc fetch`, or train anew."
        ) from None


def _inside(engine: Engine, step: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of one step from the engine's state, as training records them, and perturbed."""
    engine.model.train()
    epoch, index = epoch_of(engine, step)
    perturbed = perturbed_rows(engine, epoch, index)
    with watching(engine, step) as inside:
        engine.gradients(epoch, index)
    engine.update()
    rows = pd.DataFrame(inside.after_update(perturbed), columns=INSIDE_COLUMNS)
    return rows, pd.DataFrame(perturbed, columns=INSIDE_COLUMNS).assign(step=step)
