"""The ladder: every rung is reached by the evidence that proves it, and by nothing less."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stages.comparison.analysis.compare_runs import Comparison, compare_runs
from stages.comparison.analysis.findings import Kind, Rung, Where
from stages.comparison.analysis.matrix import compare_all, worst_status
from stages.comparison.page.wording import sentence_of
from stages.core import paths
from stages.runs.tables import Lack
from tests.comparison.made import PARAMS, made, markdown_of, predictions, tensors, trace

OTHER = {"weights_sha256": "v" * 64}


def compared(tmp_path: Path, a: dict[str, Any] | None = None, **b: Any) -> Comparison:
    return compare_runs(made(tmp_path / "a", **(a or {})), made(tmp_path / "b", **b))


def test_bit_identical(tmp_path: Path) -> None:
    verdict = compared(tmp_path).verdict
    assert verdict.rung is Rung.BIT_IDENTICAL
    assert sentence_of(verdict) == "Bit-identical: the same weights and predictions on 100 images."
    assert verdict.divergence is None


def test_bit_identical_although_the_environment_differs(tmp_path: Path) -> None:
    verdict = compared(tmp_path, hardware={"cpu_capability": "AVX2"}).verdict
    assert verdict.rung is Rung.BIT_IDENTICAL
    assert [(cause.code, cause.a, cause.b) for cause in verdict.causes] == [
        ("cpu_capability", "AVX512", "AVX2")
    ]
    assert "although the environment differs (instruction set" in sentence_of(verdict)


def test_inputs_differ(tmp_path: Path) -> None:
    verdict = compared(tmp_path, params={"seed": 4}, train=OTHER).verdict
    assert verdict.rung is Rung.INPUTS_DIFFER
    assert verdict.rung.exit_status == 2
    assert [d.key for d in verdict.evidence.differences if d.kind == "input"] == ["seed"]
    assert "seed (0 against 4)" in sentence_of(verdict)


def test_rounding(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        train=OTHER,
        hardware={"threads": 4},
        trace=trace(parted=3),
        trace_tensors=tensors(parted=3, which=("conv.weight",)),
        predictions=predictions(moved=1),
    )
    assert found.verdict.rung is Rung.ROUNDING
    assert found.verdict.rung.exit_status == 0
    assert found.verdict.rounding_until == found.verdict.steps == 12
    assert found.verdict.uncovered == ()
    sentence = sentence_of(found.verdict)
    assert "same data and initial weights" in sentence
    assert "first divergence in the backward pass of `conv.weight`, at step 3" in sentence
    assert "(threads that share a sum: 2 against 4)" in sentence
    assert "1.00% of predictions differ" in sentence


@pytest.mark.parametrize(
    ("changes", "rung"),
    [
        ({}, Rung.DIFFERENT),
        ({"hardware": {"numeric_id": "other"}}, Rung.ROUNDING),
        ({"hardware": {"threads": 4}}, Rung.ROUNDING),
        ({"numerics": {"not_repeatable": ["index_add"]}}, Rung.ROUNDING),
        ({"code": {"train": "other"}}, Rung.ROUNDING),
        ({"code": {}}, Rung.ROUNDING),
    ],
)
def test_the_same_machine_has_no_rounding_of_its_own(
    tmp_path: Path, changes: dict[str, Any], rung: Rung
) -> None:
    """Equal DNA, settings and code make equal bits; else no difference is too small to count."""
    code = {"train": "c" * 8}
    a = replace(made(tmp_path / "a"), code=code)
    b = made(
        tmp_path / "b",
        train=OTHER,
        trace=trace(parted=3),
        trace_tensors=tensors(parted=3, which=("conv.weight",)),
        **{name: value for name, value in changes.items() if name != "code"},
    )
    verdict = compare_runs(a, replace(b, code=changes.get("code", code))).verdict
    assert verdict.rung is rung
    if rung is Rung.DIFFERENT:
        assert verdict.fault is not None
        assert (verdict.fault.kind, verdict.fault.where.first) == (Kind.SAME_MACHINE, 3)
        foreign = replace(b, code=code, lacks=(Lack(paths.PREDICTIONS, damaged=True),))
        assert compare_runs(a, foreign).verdict.fault is None  # it may hold files of another run
        assert "at step 3: other bits, although machine, settings and" in sentence_of(verdict)


def test_the_same_machine_needs_no_evaluation_to_be_held_to_its_bits(tmp_path: Path) -> None:
    code = {"stages/train": "c" * 8}
    a = replace(made(tmp_path / "a"), code=code | {"stages/evaluate": "e" * 8})
    b = made(tmp_path / "b", train=OTHER, trace=trace(parted=3), evaluate=None, predictions=None)
    found = compare_runs(a, replace(b, code=code)).verdict
    assert (found.rung, found.fault and found.fault.kind) == (Rung.DIFFERENT, Kind.SAME_MACHINE)
    older = {"stages/train": "d" * 8}
    assert compare_runs(a, replace(b, code=older)).verdict.fault is None


def test_rounding_with_a_twin_beside_it(tmp_path: Path) -> None:
    a = made(tmp_path / "a")
    b = made(tmp_path / "b", train=OTHER, trace=trace(parted=1), predictions=predictions(moved=1))
    twin = made(tmp_path / "t", train=OTHER, predictions=predictions(moved=2))
    verdict = compare_runs(a, b, 0.005, twin).verdict
    assert verdict.evidence.perturbed_answers is not None
    assert verdict.evidence.perturbed_answers.changed == 2
    assert f"one ULP changes 2.00% on {a.name}" in sentence_of(verdict)


def test_rounding_in_the_evaluation_alone(tmp_path: Path) -> None:
    verdict = compared(tmp_path, predictions=predictions(drift=1e-4)).verdict
    assert verdict.rung is Rung.ROUNDING
    assert verdict.divergence == Where("evaluation")
    assert "the weights are bit-identical, and probabilities differ by 1e-04" in sentence_of(
        verdict
    )
    verdict = compared(tmp_path, evaluate={"ece": 0.02 + 1e-12}).verdict
    assert verdict.rung is Rung.ROUNDING
    assert "and probabilities are the same in the four digits kept" in sentence_of(verdict)


SHOWN = {"images": 100, "images_hash": "one", "mean": [0.5], "std": [0.2],
         "images_sketch": [1.0] * 16}  # fmt: skip


def fed(step: int, name: str = "labels_hash") -> pd.DataFrame:
    """A trace that tells what the steps were fed with, which is other from `step` on."""
    table = trace(parted=1).assign(order_hash="o", labels_hash="l", draws_hash="d", images_hash="i")
    return table.assign(**{name: ["x" if number >= step else "l" for number in table["step"]]})


def test_updates_that_are_lost_at_the_end_of_a_cosine_are_no_standstill(tmp_path: Path) -> None:
    """Those of a norm were, for three steps of one machine alone, at a fiftieth of the rate."""
    still = tensors(parted=1)
    rows = still["tensor"].eq("fc.weight") & still["step"].ge(8)
    still.loc[rows, "weights_hash"] = "w000008x"
    for rate, rung in ((1.0, Rung.DIFFERENT), (0.02, Rung.ROUNDING)):
        rates = [1.0] * 7 + [rate] * 5
        folder = tmp_path / str(rate)
        verdict = compared(
            folder, {"trace": trace().assign(lr=rates), "trace_tensors": tensors()}, train=OTHER,
            trace=trace(parted=1).assign(lr=rates), trace_tensors=still,
        ).verdict  # fmt: skip
        assert verdict.rung is rung


FAULTS: dict[str, tuple[dict[str, Any], tuple[Kind, str, int | None]]] = {
    "a large difference at once": (
        {"trace": trace(parted=7, distance=0.05)}, (Kind.JUMP, "backward", 7)),
    "another number of steps": ({"train": OTHER | {"steps": 10}}, (Kind.STEP_COUNT, "steps", None)),
    "other labels in training": ({"trace": fed(5)}, (Kind.DATA, "data", 5)),
    "other test labels": (
        {"predictions": predictions().assign(label="dog")},
        (Kind.TEST_LABELS, "evaluation", None)),
    "fewer test images": (
        {"predictions": predictions().head(64)}, (Kind.TEST_IMAGES, "evaluation", None)),
    "other pixels of the test images": (
        {"evaluate": {"inputs": SHOWN | {"images_hash": "other"}}},
        (Kind.TEST_IMAGES, "evaluation", None)),
    "another mean of the test images": (
        {"evaluate": {"inputs": SHOWN | {"mean": [0.4]}}}, (Kind.DISTANCE, "evaluation", None)),
    "another evaluation of the same weights": (
        {"train": {}, "predictions": predictions(drift=0.05)},
        (Kind.PROBABILITIES, "evaluation", None)),
    "no clipping in one run": (
        {"trace": trace(parted=1).assign(grad_norm=[0.5] * 6 + [1.2] * 6)},
        (Kind.CLIPPING, "gradient", 7)),
    "a stale learning rate": (
        {"history": pd.DataFrame({"epoch": [1, 2], "lr": [0.1, 0.1], "train_loss": [1.0, 0.5]})},
        (Kind.RATE, "rates", None)),
    "another validation after equal training": (
        {"history": pd.DataFrame({"epoch": [1, 2], "lr": [0.1, 0.01], "train_loss": [1.0, 0.5],
                                  "val_loss": [1.1, 0.9]})},
        (Kind.VALIDATION, "evaluation", None)),
}  # fmt: skip


@pytest.mark.parametrize(("finetune", "found"), [("probe", False), ("full", True)])
def test_an_older_sketch_of_features_is_not_held_against_one_of_images(
    tmp_path: Path, finetune: str, found: bool
) -> None:
    older = {name: value for name, value in SHOWN.items() if name != "images_sketch"}
    chosen = PARAMS | {"finetune": finetune}
    verdict = compared(
        tmp_path, {"evaluate": {"inputs": SHOWN}, "params": chosen}, params=chosen,
        train=OTHER, trace=trace(parted=1), evaluate={"inputs": older | {"sketch": [9.0] * 16}},
    ).verdict  # fmt: skip
    assert (verdict.rung is Rung.DIFFERENT) == found


def test_older_sketches_of_features_are_held_against_each_other(tmp_path: Path) -> None:
    older = {name: value for name, value in SHOWN.items() if name != "images_sketch"}
    chosen = PARAMS | {"finetune": "head"}
    for sketch, rung in ((9.0, Rung.DIFFERENT), (1.0, Rung.ROUNDING)):
        verdict = compared(
            tmp_path / str(sketch),
            {"evaluate": {"inputs": older | {"sketch": [1.0] * 16}}, "params": chosen},
            params=chosen, train=OTHER, trace=trace(parted=1),
            evaluate={"inputs": older | {"sketch": [sketch] * 16}},
        ).verdict  # fmt: skip
        assert verdict.rung is rung


def test_a_first_norm_proves_nothing_where_no_run_measured_what_one_ulp_does(
    tmp_path: Path,
) -> None:
    """MobileOne's moved by 6 % between an AMD EPYC and an NVIDIA H100, which computed alike."""
    verdict = compared(tmp_path, {}, train=OTHER, trace=trace(parted=1, distance=0.05)).verdict
    assert verdict.rung is not Rung.DIFFERENT


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_different(tmp_path: Path, name: str) -> None:
    pieces, found = FAULTS[name]
    a: dict[str, Any] = {"evaluate": {"inputs": SHOWN}}
    if name == "other labels in training":
        a["trace"] = fed(99)
    if name == "no clipping in one run":
        clipped = {"train": PARAMS["train"] | {"grad_clip": 0.5}}
        pieces = pieces | {"params": clipped}
        a |= {"trace": trace().assign(grad_norm=0.5), "params": clipped}
    verdict = compared(tmp_path, a, **({"train": OTHER} | pieces)).verdict
    assert verdict.rung is Rung.DIFFERENT
    assert verdict.rung.exit_status == 1
    assert verdict.fault is not None
    assert (verdict.fault.kind, verdict.fault.where.part, verdict.fault.where.last) == found
    assert "rounding-equivalent" not in sentence_of(verdict).lower()


def test_other_answers_after_equal_first_steps_are_different(tmp_path: Path) -> None:
    verdict = compared(
        tmp_path, {"predictions": predictions(900, 1000)},
        train=OTHER, trace=trace(parted=1), predictions=predictions(900, 1000, moved=60),
    ).verdict  # fmt: skip
    assert verdict.rung is Rung.DIFFERENT
    assert verdict.fault is not None
    assert (verdict.fault.kind, verdict.fault.where.part) == (Kind.MCNEMAR, "later")


def by_outcome(tmp_path: Path, a: pd.DataFrame, b: pd.DataFrame, margin: float) -> Comparison:
    """Another precision: what is apart is declared, so the answers alone can tell."""
    bf16 = {"train": {**PARAMS["train"], "precision": "bf16"}}
    one = made(tmp_path / "a", predictions=a)
    other = made(tmp_path / "b", params=bf16, train=OTHER | {"precision": "bf16"}, predictions=b,
                 trace=trace(parted=1, distance=0.05))  # fmt: skip
    return compare_runs(one, other, margin)


def test_statistically_equivalent(tmp_path: Path) -> None:
    many = predictions(9000, 10_000)
    found = by_outcome(tmp_path, many, predictions(8999, 10_000, moved=2), 0.005)
    assert found.verdict.rung is Rung.STATISTICAL
    assert "within ±0.50 points" in sentence_of(found.verdict)


def test_models_that_learnt_nothing_are_not_called_equivalent_without_a_word(
    tmp_path: Path,
) -> None:
    cats = predictions(500, 1000).assign(predicted="cat")
    found = by_outcome(tmp_path, cats, cats, 0.05).verdict
    assert found.rung is Rung.STATISTICAL
    assert sentence_of(found).endswith("to all images, so neither has learnt anything.")


def test_not_significant_is_not_equal(tmp_path: Path) -> None:
    found = by_outcome(tmp_path, predictions(), predictions(moved=1), 0.005)
    assert found.verdict.rung is Rung.UNDECIDED
    assert found.verdict.rung.exit_status == 2
    told = sentence_of(found.verdict)
    assert "to show equivalence, if there is no difference, takes about 6,938 test images." in told


def test_different_by_outcome(tmp_path: Path) -> None:
    found = by_outcome(tmp_path, predictions(900, 1000), predictions(900, 1000, moved=50), 0.005)
    assert found.verdict.rung is Rung.DIFFERENT


def test_runs_without_anything_are_not_decided(tmp_path: Path) -> None:
    nothing = dict.fromkeys(
        ("train", "evaluate", "predictions", "trace", "trace_tensors", "history", "numerics")
    )
    verdict = compared(tmp_path, nothing, **nothing).verdict
    assert verdict.rung is Rung.UNDECIDED
    assert all("plots/trace.csv" in files for files in verdict.missing.values())
    assert "Neither run has" in sentence_of(verdict)


def test_equal_weights_without_predictions_are_compared_by_figures(tmp_path: Path) -> None:
    without = {"predictions": None}
    assert compared(tmp_path, without, **without).verdict.rung is Rung.BIT_IDENTICAL


def test_equal_weights_of_which_one_was_not_evaluated(tmp_path: Path) -> None:
    verdict = compared(tmp_path, predictions=None, evaluate=None).verdict
    assert verdict.rung is Rung.BIT_IDENTICAL
    assert [name[-2:] for name in verdict.not_evaluated] == ["/b"]
    assert sentence_of(verdict).endswith("/b has no evaluation of them.")


def test_classes_called_na_are_classes(tmp_path: Path) -> None:
    words = {"cat": "NA", "dog": "1"}
    table = predictions().replace({"label": words, "predicted": words})
    found = compared(tmp_path, {"predictions": table}, predictions=table)
    assert found.verdict.rung is Rung.BIT_IDENTICAL
    assert found.classes is not None
    assert list(found.classes["label"]) == ["1", "NA"]


OTHER_QUESTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "task": ({"params": {"task": "puzzle"}}, "task is classify against puzzle"),
    "data set": ({"params": {"dataset": {"name": "digits"}}}, "data set is cifar10 against digits"),
    "classes": (
        {
            "predictions": predictions()
            .replace({"label": {"dog": "fox"}})
            .assign(label=lambda table: table["label"].where(table.index > 0, "hen"))
        },
        "number of classes is 2 against 3",
    ),
}


@pytest.mark.parametrize("name", OTHER_QUESTIONS)
def test_answers_to_other_questions_are_not_paired(tmp_path: Path, name: str) -> None:
    pieces, words = OTHER_QUESTIONS[name]
    asked = {"task": "classify", "dataset": {"name": "cifar10"}}
    pieces = pieces | {"params": asked | pieces.get("params", {})}
    found = compared(tmp_path, {"params": asked}, train=OTHER, **pieces)
    assert found.answers is None
    assert words in markdown_of(found)


def test_the_matrix_has_every_pair(tmp_path: Path) -> None:
    records = [made(tmp_path / name) for name in "abc"]
    pairs = compare_all([*records, made(tmp_path / "d", params={"seed": 9})], 0.005)
    assert len(pairs) == 6
    assert [pair.rung for pair in pairs].count(Rung.INPUTS_DIFFER) == 3


@pytest.mark.parametrize(
    ("rungs", "status"),
    [
        ([], 0),
        ([Rung.ROUNDING, Rung.BIT_IDENTICAL, Rung.STATISTICAL], 0),
        ([Rung.ROUNDING, Rung.UNDECIDED], 2),
        ([Rung.UNDECIDED, Rung.DIFFERENT, Rung.INPUTS_DIFFER], 1),
    ],
)
def test_one_status_for_many(rungs: list[Rung], status: int) -> None:
    assert worst_status([rung.exit_status for rung in rungs]) == status
