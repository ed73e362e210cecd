"""Traces with gaps: every step up to a limit, then the last of every epoch, weights in between."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stages.comparison.analysis.compare_runs import compare_runs
from stages.comparison.analysis.evaluation import evaluation_fault
from stages.comparison.analysis.findings import Kind
from stages.comparison.analysis.first_divergence import FirstDivergence, find_first_divergence
from stages.comparison.analysis.limits import LIMITS
from stages.comparison.page.sections import sections_of
from stages.comparison.page.wording import divergence_in_words
from stages.runs.run import Run
from stages.runs.schema import INSIDE_COLUMNS
from tests.comparison.made import trace

TRACED = (*range(1, 101), 128, 192, 256)
MILESTONES = (*range(1, 8), *range(8, 16), *range(16, 32, 2), *range(32, 64, 4), *range(64, 128, 8),
              *range(128, 257, 16))  # fmt: skip


def weights(parted: int | None = None, by: float = 1e-6) -> pd.DataFrame:
    """Sketches of weights that move by a little between milestones; from `parted` on, also by
    `by` times their norm."""
    rows = []
    for step in MILESTONES:
        distance = parted is not None and step >= parted
        sketch = np.full(16, 1.0) + 1e-3 * step
        sketch[0] += by * 4 * distance
        rows.append((step, 0, "weights", "(all)", None, f"w{step}{'x' * distance}", "float32", 4.0,
                     " ".join(map(str, sketch)), None, None))  # fmt: skip
    return pd.DataFrame(rows, columns=INSIDE_COLUMNS)


def run(name: str, parted: int | None = None, milestones: bool = True, by: float = 1e-6) -> Run:
    """A run of 256 steps, four epochs, whose bits are others from step `parted` on."""
    whole = trace(256, parted, "forward")
    return Run(
        name,
        params={"seed": 0},
        train={"weights_sha256": f"{parted}", "steps": 256},
        trace=whole[whole["step"].isin(TRACED)],
        inside=weights(parted, by) if milestones else None,
    )


def divergence(parted: int | None, milestones: bool = True) -> FirstDivergence:
    found = find_first_divergence(run("a", None, milestones), run("b", parted, milestones))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("parted", "milestones", "after", "step"),
    [
        (3, True, 2, 3),
        (101, True, 100, 104),
        (104, True, 100, 104),
        (129, True, 128, 144),
        (150, True, 144, 160),
        (150, False, 128, 192),
        (256, True, 240, 256),
        (None, True, 256, None),
    ],
)
def test_the_step_is_bracketed(
    parted: int | None, milestones: bool, after: int, step: int | None
) -> None:
    found = divergence(parted, milestones)
    assert (found.after, found.step) == (after, step)
    assert found.is_exact == (parted == 3)
    assert (found.part, found.distance is None) == (
        ("forward", False) if found.is_exact else (None, True)
    )


def test_a_bracket_is_said_in_words() -> None:
    a, b = run("a"), run("b", 150)
    words = divergence_in_words(compare_runs(a, b).verdict)
    assert words == "first divergence between steps 145 and 160"
    (section,) = (s for s in sections_of(compare_runs(a, b)) if s.anchor == "divergence")
    assert section.sentences[0] == "Between steps 145 and 160."


def test_where_all_steps_agree_none_is_left_to_diverge_in() -> None:
    a, b = run("a"), replace(run("b"), train={})
    assert "the bit, up to the last, step 256" in divergence_in_words(compare_runs(a, b).verdict)


def test_agreement_is_told_up_to_its_last_step() -> None:
    a, b = run("a"), replace(run("b"), train={"weights_sha256": "other"})
    assert "the last is step 256; the runs diverge later" in divergence_in_words(
        compare_runs(a, b).verdict
    )
    (section,) = (s for s in sections_of(compare_runs(a, b)) if s.anchor == "divergence")
    assert section.sentences == ("The same bits in 103 traced steps, up to step 256.",)


def test_weights_alone_tell_as_well() -> None:
    a, b = (replace(run(name, parted), trace=None) for name, parted in (("a", None), ("b", 12)))
    found = find_first_divergence(a, b)
    assert found is not None
    assert (found.compared, found.after, found.step, found.part) == (0, 11, 12, None)
    assert divergence_in_words(compare_runs(a, b).verdict) == "first divergence at step 12"


@pytest.mark.parametrize(("parted", "told"), [(3, False), (200, True), (257, True)])
def test_a_validation_loss_is_held_to_how_far_weights_had_parted_by_then(
    parted: int, told: bool
) -> None:
    epochs = pd.DataFrame({"epoch": [1, 2, 3, 4], "train_loss": 0.5, "val_loss": 1.0})
    a, b = (
        replace(one, history=epochs, train=one.train | {"epochs_run": 4})
        for one in (run("a"), run("b", parted, by=1e-3))
    )
    b = replace(b, history=epochs.assign(val_loss=[1.1, 1.0, 1.0, 1.0]))
    fault = evaluation_fault(a, b, LIMITS["fp32"])
    assert (fault is not None and (fault.kind, fault.where.epoch) == (Kind.VALIDATION, 1)) == told
