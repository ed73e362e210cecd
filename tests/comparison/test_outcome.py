"""Several pairs of runs make one verdict, no better than that of any; what is not known is said."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages.comparison.analysis.compare_runs import Comparison, compare_runs
from stages.comparison.analysis.findings import Fault, Kind, Part, Rung, Where
from stages.comparison.analysis.groups import pair_by_seed, require_perturbed
from stages.comparison.analysis.outcome import SURE, chance_of, with_replay
from stages.comparison.analysis.statistics import Paired, compare_answers
from stages.comparison.page.page import as_html
from stages.comparison.page.sections import sections_of, title_of
from stages.comparison.page.wording import sentence_of
from stages.core import paths
from stages.core.errors import RunError
from stages.runs.run import Run
from stages.runs.tables import Lack
from tests.comparison.made import PARAMS, made, markdown_of, predictions, trace
from tests.comparison.test_gaps import run

OTHER = {"weights_sha256": "v" * 64}
BF16: dict[str, Any] = {"train": {**PARAMS["train"], "precision": "bf16"}}


def pair(folder: Path, seed: int, **b: Any) -> tuple[Run, Run]:
    """A run on two machines; `b` are the pieces of the second."""
    params = b.pop("params", {})
    return (
        made(folder / f"a{seed}", params={"seed": seed}, predictions=b.pop("mine", predictions())),
        made(folder / f"b{seed}", params={"seed": seed} | params, **b),
    )


def answers_of(only_a: int, only_b: int, images: int) -> Paired:
    """Two runs of which each has so many images right alone, and both all others."""
    label = pd.Series(["cat"] * images)
    wrong = pd.Series(np.arange(images))
    tables = [
        pd.DataFrame({
            "name": wrong.astype(str), "label": label, "confidence": 0.7,
            "predicted": label.mask(missed, "dog"),
        })
        for missed in (wrong.between(only_a, only_a + only_b - 1), wrong < only_a)
    ]  # fmt: skip
    found = compare_answers(*tables, 0.005)
    assert found is not None
    return found


def compared(pairs: list[tuple[Run, Run]], margin: float = 0.005) -> Comparison:
    return compare_runs(*pairs[0], margin, None, pairs[1:])


@pytest.mark.parametrize("first", [0, 1])
def test_another_model_in_one_pair_makes_the_inputs_differ(tmp_path: Path, first: int) -> None:
    worse = {"evaluate": {"test_top1": 0.6}, "params": {"model": "resnet18"}, "train": OTHER}
    pairs = [pair(tmp_path, seed, **(worse if seed == first else {})) for seed in (0, 1)]
    found = compared(pairs)
    assert found.verdict.rung is Rung.INPUTS_DIFFER
    assert (found.verdict.b[-2:], found.verdict.pairs) == (f"b{first}", 2)
    assert f"b{first}, and that pair decides." in sentence_of(found.verdict)
    assert found.seeds is None


def test_a_fault_in_the_second_pair_is_a_fault(tmp_path: Path) -> None:
    faulty = {"train": OTHER, "trace": trace(parted=7, distance=0.05)}
    found = compared([pair(tmp_path, 0), pair(tmp_path, 1, **faulty)])
    assert found.verdict.rung is Rung.DIFFERENT
    assert not found.verdict.unanimous
    assert found.verdict.b.endswith("b1")


def test_the_first_divergence_is_told_of_the_first_pair_whichever_decides(tmp_path: Path) -> None:
    """As all figures beside it are."""
    honest = {"train": OTHER, "trace": trace(parted=3)}
    faulty = {"train": OTHER, "trace": trace(parted=7, distance=0.05)}
    found = compared([pair(tmp_path, 0, **honest), pair(tmp_path, 1, **faulty)])
    assert found.verdict.b.endswith("b1")
    assert found.divergence is not None
    assert found.divergence.step == 3
    section = next(one for one in sections_of(found) if one.anchor == "divergence")
    assert section.sentences[0].endswith("at step 3.")


def test_damaged_records_of_any_pair_prove_nothing(tmp_path: Path) -> None:
    ours, theirs = pair(tmp_path, 1)
    pairs = [
        pair(tmp_path, 0),
        (ours, replace(theirs, lacks=(Lack(paths.PREDICTIONS, damaged=True),))),
    ]
    verdict = compared(pairs).verdict
    assert (verdict.rung, verdict.exit_status) == (Rung.BIT_IDENTICAL, 2)


def test_pairs_that_are_all_alike_are_said_to_be(tmp_path: Path) -> None:
    found = compared([pair(tmp_path, seed) for seed in (0, 1)])
    assert found.verdict.rung is Rung.BIT_IDENTICAL
    assert found.verdict.unanimous
    assert sentence_of(found.verdict).endswith("All 2 pairs of seeds have this verdict.")
    assert title_of(found).endswith(", and 1 more pair of seeds")


def test_seeds_of_two_experiments_are_averaged_not_told_by_one_pair(tmp_path: Path) -> None:
    """Of the first pair 30 points, of the others 10: none of them goes for all."""
    pairs = []
    for seed, right in enumerate((600, 800, 800)):
        made_of = {"params": {"model": "resnet18"}, "evaluate": {"test_top1": right / 1000}}
        one, other = predictions(900, 1000), predictions(right, 1000)
        pairs.append(pair(tmp_path, seed, mine=one, predictions=other, **made_of))
    found = compared(pairs)
    told = sentence_of(found.verdict)
    assert found.verdict.rung is Rung.INPUTS_DIFFER
    assert "Accuracy over 3 seeds of each, second minus first: -16.67 points" in told
    assert "-30.00" not in told
    page = as_html(found)
    assert "accuracy, points over 3 seeds" in page
    assert "n = 1,000, first pair" in page
    assert compared([(replace(a, predictions=None), b) for a, b in pairs]).seeds is None


def by_seeds(tmp_path: Path, lower: tuple[float, ...], images: int = 10_000) -> Comparison:
    """Four seeds at another precision; the answers of the first pair agree within the margin."""
    answers = predictions(int(0.9 * images), images)
    made_of: dict[str, Any] = {"params": BF16, "train": OTHER | {"precision": "bf16"}}
    pairs = []
    for seed, less in enumerate(lower):
        right = int((0.9 - (less if seed else 0)) * images)
        pairs.append(
            pair(tmp_path, seed, mine=answers, predictions=predictions(right, images),
                 evaluate={"test_top1": 0.9 - less}, **made_of)
        )  # fmt: skip
    return compared(pairs)


def test_seeds_that_differ_outweigh_a_first_pair_that_does_not(tmp_path: Path) -> None:
    found = by_seeds(tmp_path, (0.0200, 0.0206, 0.0202, 0.0204))
    assert found.answers is not None
    assert found.answers.equivalent
    assert found.seeds is not None
    assert found.seeds.beyond_margin
    assert found.verdict.rung is Rung.DIFFERENT
    assert found.verdict.fault is not None
    assert found.verdict.fault.kind is Kind.ACCURACY
    assert "over 4 seeds on each machine, second minus first: -2.03" in sentence_of(found.verdict)


def test_seeds_that_agree_are_equivalent(tmp_path: Path) -> None:
    found = by_seeds(tmp_path, (0.0002, -0.0001, 0.0003, 0.0001))
    assert found.verdict.rung is Rung.STATISTICAL
    assert found.verdict.evidence.seeds is not None
    assert "To show equivalence" not in markdown_of(found)


def test_too_few_seeds_say_how_many_would_do(tmp_path: Path) -> None:
    found = by_seeds(tmp_path, (0.004, -0.004))
    assert found.verdict.rung is Rung.UNDECIDED
    assert found.seeds is not None
    assert found.seeds.needed is not None
    assert f"takes about {found.seeds.needed} seeds per machine" in sentence_of(found.verdict)
    assert f"takes about {found.seeds.needed} seeds per machine." in markdown_of(found)


def test_rounding_in_all_steps_does_not_outweigh_the_seeds(tmp_path: Path) -> None:
    near: dict[str, Any] = {"train": OTHER, "trace": trace(parted=1)}
    pairs = [
        pair(tmp_path, seed, evaluate={"test_top1": 0.87 - 0.0002 * seed}, **near)
        for seed in range(3)
    ]
    sharp = [(a, replace(b, predictions=predictions(9000, 10_000))) for a, b in pairs]
    sharp = [(replace(a, predictions=predictions(9000, 10_000)), b) for a, b in sharp]
    found = compared(sharp)
    assert found.verdict.rung is Rung.DIFFERENT
    assert "the interval over the seeds lies beyond the margin" in sentence_of(found.verdict)


def test_seeds_that_differ_within_the_margin_prove_no_more_than_rounding(tmp_path: Path) -> None:
    """Whole steps agree but for rounding, which may move the mean of a few seeds by some tenths."""
    near: dict[str, Any] = {"train": OTHER, "trace": trace(parted=1)}
    pairs = []
    for seed, less in enumerate((0.0045, 0.0046, 0.0044, 0.0045)):
        a, b = pair(tmp_path, seed, evaluate={"test_top1": 0.9 - less}, **near)
        right = (predictions(9000, 10_000), predictions(round(10_000 * (0.9 - less)), 10_000))
        pairs.append((replace(a, predictions=right[0]), replace(b, predictions=right[1])))
    found = compared(pairs)
    assert found.seeds is not None
    assert found.seeds.differ
    assert found.verdict.rung is not Rung.DIFFERENT


@pytest.mark.parametrize(("moved", "rung"), [(40, Rung.UNDECIDED), (0, Rung.DIFFERENT)])
def test_one_pair_is_called_different_beyond_doubt_only(
    tmp_path: Path, moved: int, rung: Rung
) -> None:
    """64 images that B alone has right are beyond doubt, but p is 0.02 where A alone has 40."""
    made_of: dict[str, Any] = {"params": BF16, "train": OTHER | {"precision": "bf16"}}
    a, b = pair(tmp_path, 0, predictions=predictions(1864, 2000, moved), **made_of)
    found = compared([(replace(a, predictions=predictions(1800, 2000)), b)])
    assert found.answers is not None
    assert found.answers.differ
    assert found.verdict.rung is rung


def test_one_pair_is_told_how_many_seeds_by_an_assumed_spread(tmp_path: Path) -> None:
    made_of: dict[str, Any] = {"params": BF16, "train": OTHER | {"precision": "bf16"}}
    a, b = pair(tmp_path, 0, predictions=predictions(1820, 2000, moved=20), **made_of)
    found = compared([(replace(a, predictions=predictions(1800, 2000)), b)])
    assert found.verdict.rung is Rung.UNDECIDED
    told = "8 seeds on each machine if accuracy spreads over seeds by 0.20 points, which is assumed"
    assert told in sentence_of(found.verdict)


def test_what_it_takes_is_told_only_where_it_is_not_here(tmp_path: Path) -> None:
    """Of 100 images no number of seeds shows it; and 5,000 are more than would do on average."""
    made_of: dict[str, Any] = {"params": BF16, "train": OTHER | {"precision": "bf16"}}
    few = compared([pair(tmp_path, 0, predictions=predictions(moved=1), **made_of)])
    assert "takes about 6,938 test images." in sentence_of(few.verdict)
    a, b = pair(tmp_path, 1, **made_of)
    right = predictions(4500, 5000), predictions(4532, 5000, moved=18)
    many = compared([(replace(a, predictions=right[0]), replace(b, predictions=right[1]))])
    assert many.verdict.rung is Rung.UNDECIDED
    assert "test images" not in sentence_of(many.verdict)


def near(name: str, **more: Any) -> Run:
    """A run of 256 steps that agrees but for rounding as far as anything was recorded."""
    return replace(run(name, 1 if name != "a" else None), **more)


def test_without_answers_the_recorded_steps_are_not_the_whole_run() -> None:
    """Weights multiplied by 1.5 at a step that nothing recorded, and no evaluation."""
    a, b = (replace(near(name), inside=None) for name in "ab")
    verdict = compare_runs(a, b).verdict
    assert verdict.rung is Rung.UNDECIDED
    assert verdict.rounding_until == 100
    assert sentence_of(verdict).startswith("Rounding-equivalent up to step 100 (")


def test_without_answers_weights_that_stay_together_are_not_the_whole() -> None:
    verdict = compare_runs(near("a"), near("b")).verdict
    assert (verdict.rung, verdict.rounding_until) == (Rung.UNDECIDED, 256)
    assert verdict.uncovered == (Part.SCHEDULE, Part.KEPT, Part.EVALUATION)
    assert "in all 256 steps, but not shown of" in sentence_of(verdict)
    stopped = compare_runs(near("a", train={"steps": 300}), near("b")).verdict
    assert stopped.uncovered[:2] == (Part.DATA, Part.STEPS)


@pytest.mark.parametrize("parted", [1, 150])
def test_weights_that_jump_are_different_between_two_milestones(parted: int) -> None:
    a, b, jumped = run("a"), run("b", parted), run("b", 150, by=0.5)
    assert b.inside is not None and jumped.inside is not None  # noqa: PT018
    late = b.inside["step"] >= 150
    b = replace(b, inside=b.inside.where(~late, jumped.inside))
    verdict = compare_runs(a, b).verdict
    assert verdict.rung is Rung.DIFFERENT
    assert verdict.where is not None
    assert (verdict.where.part, verdict.where.first, verdict.where.last) == ("weights", 145, 160)


def test_answers_of_one_pair_beyond_the_margin_are_no_proof_of_more_than_rounding(
    tmp_path: Path,
) -> None:
    """Trainings that rounding drove apart may differ by more than the choice of images tells."""
    a = made(tmp_path / "a", predictions=predictions(900, 1000))
    b = made(tmp_path / "b", train=OTHER, trace=trace(parted=1), predictions=predictions(890, 1000))
    found = compare_runs(a, b, 0.001)
    assert found.answers is not None
    assert found.answers.high < -found.answers.margin
    assert found.answers.mcnemar_p > 0.001
    assert found.verdict.rung is Rung.ROUNDING  # every step is shown
    assert "second run minus first: -1.00 points (95 % interval" in sentence_of(found.verdict)
    longer = {"steps": 10**6}  # than the records reach
    a = made(tmp_path / "c", train=longer, predictions=a.predictions)
    b = made(tmp_path / "d", train=OTHER | longer, trace=trace(parted=1), predictions=b.predictions)
    partly = compare_runs(a, b, 0.001).verdict
    assert partly.rung is Rung.UNDECIDED
    assert "differ in accuracy, and rounding alone may drive them apart" in sentence_of(partly)


def test_more_images_do_not_make_equal_trainings_different() -> None:
    """Their accuracy spreads as over seeds, and 7 % of the answers are right in one alone."""
    draws, images = np.random.default_rng(0), 10_000
    by_images, by_chance = 0, 0
    for _ in range(400):
        shift = draws.normal(0, math.sqrt(2) * 0.002)
        only_a, only_b = draws.binomial(images, [(0.07 - shift) / 2, (0.07 + shift) / 2])
        answers = answers_of(int(only_a), int(only_b), images)
        by_images += answers.mcnemar_p < SURE
        by_chance += chance_of(answers) < SURE
    assert by_images > 4
    assert by_chance <= 1


def test_accuracy_that_is_shown_to_agree_is_not_called_different(tmp_path: Path) -> None:
    """Five images against thirty of ten thousand: McNemar is sure, and it does not matter."""
    a = made(tmp_path / "a", predictions=predictions(9030, 10_000))
    b = made(
        tmp_path / "b", train=OTHER, trace=trace(parted=1), predictions=predictions(9000, 10_000, 5)
    )
    found = compare_runs(a, b)
    assert found.answers is not None
    assert (found.answers.only_a, found.answers.only_b) == (35, 0)
    assert found.answers.mcnemar_p < SURE
    assert found.answers.equivalent
    assert found.verdict.rung is Rung.ROUNDING


def test_a_whole_replay_leaves_equivalence_where_answers_changed(tmp_path: Path) -> None:
    """More answers changed than one ULP changes, and all of the run came out again here."""
    fault, answers = Fault(Kind.CHURN, Where("later"), 0.03, 0.001), predictions(18_000, 20_000)
    b = made(tmp_path / "b", train=OTHER, trace=trace(parted=1), predictions=answers)
    found = compare_runs(made(tmp_path / "a", predictions=answers), b).verdict
    churned = replace(found, rung=Rung.DIFFERENT, fault=fault)
    again = with_replay(churned, None, whole=True)
    assert (again.rung, again.fault, again.replayed) == (Rung.STATISTICAL, None, True)
    assert "statistically equivalent" in sentence_of(again).lower()


def test_a_whole_replay_takes_back_what_answers_of_one_pair_say(tmp_path: Path) -> None:
    """Rounding alone may drive a training to answers that differ beyond doubt."""
    worse = {"train": OTHER, "hardware": {"numeric_id": "other"}, "trace": trace(parted=3)}
    answers = predictions(images=400, right=360), predictions(images=400, right=320)
    found = compared([pair(tmp_path, 0, **worse, mine=answers[0], predictions=answers[1])]).verdict
    assert (found.rung, found.fault and found.fault.kind) == (Rung.DIFFERENT, Kind.MCNEMAR)
    assert with_replay(found, None, whole=False).rung is Rung.DIFFERENT
    again = with_replay(found, None, whole=True)
    assert (again.rung, again.fault) == (Rung.UNDECIDED, None)
    assert "differ in accuracy, and rounding alone drove them apart" in sentence_of(again)
    assert with_replay(found, FAULT, whole=True).rung is Rung.DIFFERENT


FAULT = Fault(Kind.REPLAYED, Where("weights", last=3), 0.1, 0.01, here=True, state=1)


def test_churn_is_held_against_that_of_one_ulp(tmp_path: Path) -> None:
    """16 of 300 answers changed where one ULP changes 1: the same accuracy, and no rounding."""
    right = predictions(270, 300)
    changed = right.assign(predicted=right["predicted"].where(right.index < 284, "bird"))
    a = made(tmp_path / "a", predictions=right)
    b = made(tmp_path / "b", train=OTHER, trace=trace(parted=1), predictions=changed)
    twin = made(tmp_path / "t", train=OTHER, predictions=predictions(270, 300, moved=1))
    verdict = compare_runs(a, b, 0.05, twin).verdict
    assert verdict.rung is Rung.DIFFERENT
    assert verdict.fault is not None
    assert verdict.fault.kind == Kind.CHURN
    alike = replace(twin, predictions=changed)
    assert compare_runs(a, b, 0.05, alike).verdict.rung is Rung.ROUNDING


def test_weights_far_beyond_the_twins_are_not_called_rounding() -> None:
    answers = predictions(9000, 10_000)
    a, far = (replace(run(*of), predictions=answers) for of in (("a",), ("b", 1, True, 2e-2)))
    twin = replace(run("twin", 1, by=2e-4), params={"train": {"perturb_one_ulp": True}})
    verdict = compare_runs(a, far, 0.005, twin).verdict
    assert verdict.rung is Rung.STATISTICAL
    assert verdict.rounding_until == 1
    swallowed = replace(twin, inside=run("twin", 1, by=1e-9).inside)
    for beside in (swallowed, replace(twin, inside=None)):  # which tell nothing
        told = compare_runs(a, far, 0.005, beside).verdict
        assert (told.rung, told.rounding_until) == (Rung.STATISTICAL, 1)
    history = pd.DataFrame({"epoch": [1], "lr": [0.1], "train_loss": [1.0]})
    a, b = (replace(run, history=history) for run in (a, near("b", predictions=answers)))
    assert compare_runs(a, b, 0.005, twin).verdict.rung is Rung.ROUNDING


def of(name: str, seed: int, **params: Any) -> Run:
    return Run(name, params={"model": "lenet_small", "seed": seed, "train": {}} | params)


def test_groups_are_paired_by_seed() -> None:
    pairs = pair_by_seed([of("a1", 1), of("a2", 2)], [of("b2", 2), of("b1", 1)])
    assert [(a.name, b.name) for a, b in pairs] == [("a1", "b1"), ("a2", "b2")]
    ((a, b),) = pair_by_seed([of("a", 1)], [of("b", 2)])
    assert (a.name, b.name) == ("a", "b")


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ([of("a1", 1), of("a2", 2)], [of("b1", 1)], r"a2 \(seed 2\) has no counterpart"),
        ([of("a1", 1), of("a", 1)], [of("b1", 1)], r"a1 and a have the same seed \(1\)"),
        ([of("a1", 1), of("a2", 2, model="resnet18")], [of("b1", 1), of("b2", 2)], "in model"),
    ],
)
def test_groups_that_do_not_fit_are_refused(ours: list[Run], theirs: list[Run], words: str) -> None:
    with pytest.raises(RunError, match=words):
        pair_by_seed(ours, theirs)


def test_a_twin_is_the_same_run_but_for_one_weight() -> None:
    a = of("a", 1)
    require_perturbed(a, of("t", 1, train={"perturb_one_ulp": True}))
    with pytest.raises(RunError, match="t is no run perturbed by one ULP: its"):
        require_perturbed(a, of("t", 1))
    with pytest.raises(RunError, match="t is not a perturbed by one ULP: they differ in seed"):
        require_perturbed(a, of("t", 2, train={"perturb_one_ulp": True}))
