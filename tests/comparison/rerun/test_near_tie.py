"""A choice that rounding makes is told from a fault of the way back."""

import io
from copy import deepcopy
from dataclasses import replace

import pandas as pd
import torch

from benchmarks.held_out_faults import HELD_OUT
from benchmarks.planting import planted
from stages.comparison.analysis.fault import find_fault
from stages.comparison.analysis.limits import LIMITS
from stages.comparison.analysis.rounding import first_beyond
from stages.comparison.analysis.step_trace import OF_A_RUN, places_at
from stages.comparison.rerun import local_rerun as here
from stages.comparison.rerun import rebuilt_engine as rerun
from stages.comparison.rerun.replay import replay
from stages.comparison.rerun.replay_step import step_rows
from stages.core import paths
from stages.runs.run import Run
from stages.runs.sources import Source
from tests.comparison.made import as_bytes


def at_zero(source: Source, record: Run, after: int) -> tuple[Source, Run, Run]:
    """The run with one state alone, at which ReLU has a value at zero, and its next step both ways.

    As it is computed here, where nothing is passed on, and as elsewhere, where the value is.
    """
    name = f"snapshot-{after:08}.pt"
    state = torch.load(io.BytesIO(source.read(paths.SNAPSHOTS / name) or b""), weights_only=True)
    engine, bias = rerun.build_engine(source, rerun.params_of(source)), state["model"]["fc1.bias"]

    def entering() -> torch.Tensor:
        """What enters the ReLU below `fc1`, [16, 120]."""
        seen: list[torch.Tensor] = []
        engine.load_state_dict(deepcopy(state))
        handle = engine.model.fc1.register_forward_hook(  # type: ignore[union-attr, operator]
            lambda _, __, output: seen.append(output.detach().clone())
        )
        engine.gradients(*rerun.epoch_of(engine, after + 1))
        handle.remove()
        return seen[0]

    def recorded() -> Run:
        engine.load_state_dict(deepcopy(state))
        rows, _ = step_rows(engine, after + 1)
        assert record.inside is not None
        of_step = (record.inside["step"] == after + 1) & ~record.inside["kind"].isin(OF_A_RUN)
        return replace(record, inside=pd.concat([record.inside[~of_step], rows]))

    image, unit = divmod(int(entering().abs().argmin()), bias.numel())
    for _ in range(5):
        bias[unit] -= entering()[image, unit]
    while entering()[image, unit] > 0:
        bias[unit] = torch.nextafter(bias[unit], torch.tensor(-1.0))
    kept, ours = as_bytes(state), recorded()
    while entering()[image, unit] <= 0:
        bias[unit] = torch.nextafter(bias[unit], torch.tensor(1.0))
    alone = replace(
        source,
        names=lambda _: [name],
        read=lambda path: kept if path.name == name else source.read(path),
    )
    return alone, ours, recorded()


def test_a_value_at_zero_that_fell_the_other_way_is_no_fault(source: Source, record: Run) -> None:
    alone, _, theirs = at_zero(source, record, 11)
    section, found = here.local_replay(alone, theirs)
    (step,) = found.after_states
    assert (step.distance or 0.0) > LIMITS["fp32"].gradient
    assert (step.beyond, found.fault) == (None, None)
    assert step.tie is not None
    assert any("fell the other way" in sentence for sentence in section.sentences)


def test_first_steps_that_part_at_zero_are_no_proof(source: Source, record: Run) -> None:
    alone, ours, theirs = at_zero(source, record, 0)
    far = replace(LIMITS["fp32"], tie=0.0)
    assert first_beyond(places_at(theirs, ours, 1), far) is not None
    assert replay(alone, ours, other=theirs).tied
    assert find_fault(theirs, ours, "fp32", tied=True) is None
    assert not replay(alone, ours, other=record).tied


def test_a_fault_of_the_way_back_is_none_that_rounding_makes(source: Source, record: Run) -> None:
    with planted(HELD_OUT["a gradient 3 % larger"], 0):
        found = replay(source, record)
    assert found.fault is not None
    assert (found.fault.where.part, found.fault.where.last) == ("gradient", 1)
    assert not any(step.tie for step in found.after_states)
