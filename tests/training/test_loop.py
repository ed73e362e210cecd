"""The epochs: repeatable to the bit, best kept, divergence told, nothing random left outside."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stages.comparison.analysis.coverage import PERTURBED_FACTOR
from stages.core.errors import DivergedError, TrainingError
from stages.runs.steps import as_table
from stages.training.checkpoint import Checkpoints, run_key
from stages.training.run import Run
from tests.training.helpers import params, run

EPS = torch.finfo(torch.float32).eps


@pytest.fixture(autouse=True)
def _own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def same_weights(one: Run, other: Run) -> bool:
    ours, theirs = one.trained.weights, other.trained.weights
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


RECIPES = {
    "plain": {},
    "bf16": {"precision": "bf16"},
    "everything": {
        "augment": ["crop", "flip", "erasing", "mixup"],
        "ema": 0.9,
        "schedule": "one_cycle",
        "optimizer": "sgd",
        "grad_clip": 1.0,
        "label_smoothing": 0.1,
        "accumulate": 2,
    },
    "muon": {"optimizer": "muon"},
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_two_runs_give_the_same_bits(recipe: str) -> None:
    chosen = params(train=RECIPES[recipe])
    one = run(chosen)
    torch.rand(7)  # what other code draws must not matter
    other = run(chosen)
    assert same_weights(one, other)
    assert one.trained.record.trace == other.trained.record.trace


def test_another_seed_gives_other_weights() -> None:
    assert not same_weights(run(params(seed=1)), run(params(seed=2)))


def test_what_is_recorded_does_not_change_the_result() -> None:
    loud = run(params(train={"trace_steps": 100, "checkpoint_steps": 1, "snapshots": True}))
    quiet = run(params(train={"trace_steps": 0, "snapshots": False}))
    assert same_weights(loud, quiet)


def test_an_epoch_takes_all_of_its_time_also_with_checkpoints_in_it() -> None:
    so_far = run(params(train={"checkpoint_steps": 2})).trained.progress
    assert sum(row["seconds"] for row in so_far.history) == pytest.approx(so_far.seconds)


def test_beyond_its_first_steps_the_trace_has_the_last_of_each_epoch() -> None:
    left = run(params(train={"epochs": 3, "trace_steps": 2})).trained.record
    assert [row["step"] for row in left.trace] == [1, 2, 6, 12, 18]
    assert {row["step"] for row in left.tensor_trace} == {1, 2}


def test_a_number_that_is_none_is_not_an_empty_cell() -> None:
    table = as_table([{"a": math.nan, "b": None}, {"a": 0.1, "b": 2.0}], ["a", "b"])
    assert table.to_csv(index=False) == "a,b\nnan,\n0.1,2.0\n"


def test_the_twin_starts_one_ulp_away() -> None:
    plain, twin = run(params()), run(params(train={"perturb_one_ulp": True}))
    first, second = plain.trained.record.trace[0], twin.trained.record.trace[0]
    assert first["weights_hash"] != second["weights_hash"]
    # Of the hundreds of roundings on the way to the loss each makes half a ULP, of either sign.
    assert first["loss"] == pytest.approx(second["loss"], rel=100 * EPS)


def test_it_learns_and_keeps_the_best_epoch() -> None:
    done = run(params("lenet_small", train={"epochs": 12, "lr": 0.005}))
    history = done.trained.progress.history
    best = max(history, key=lambda row: (row["val_top1"], -row["val_loss"]))
    assert done.trained.progress.best_epoch == best["epoch"]
    assert best["val_top1"] > 0.9


def test_accumulated_batches_agree_with_whole_ones_to_rounding() -> None:
    """As near as one ULP takes them: SGD and a smooth network enlarge none by chance."""

    def weights(**more: object) -> torch.Tensor:
        recipe = {"epochs": 1, "optimizer": "sgd", "lr": 0.01, **more}
        kept = run(params("vit_2l_2h_128", train=recipe)).trained.weights
        return torch.cat([weight.flatten().double() for weight in kept.values()])

    whole = weights()
    by_one_ulp = (weights(perturb_one_ulp=True) - whole).norm()
    assert (weights(accumulate=4) - whole).norm() < PERTURBED_FACTOR * by_one_ulp


def test_a_run_without_validation_keeps_the_last_epoch() -> None:
    done = run(params(subset={"val": 0}), val=False)
    assert done.trained.progress.best_epoch == 2
    assert done.trained.progress.history[-1]["val_loss"] is None


def test_early_stopping_ends_the_run() -> None:
    done = run(params(train={"epochs": 40, "lr": 1e-12, "early_stopping": 2}))
    assert len(done.trained.progress.history) < 10


def test_early_stopping_without_a_validation_image_is_refused() -> None:
    """A share of few images may be none of them."""
    shares = {"subset": {"val": 0.001}, "train": {"early_stopping": 2}}
    with pytest.raises(TrainingError, match=r"`subset\.val`, 0\.001, is none of so few"):
        run(params(**shares), val=False)


def test_divergence_names_epoch_step_precision_and_cure() -> None:
    with pytest.raises(DivergedError, match=r"epoch 1, step \d, at fp32.*train\.lr") as caught:
        run(params(train={"lr": 1e30}))
    assert caught.value.epoch == 1


def test_a_validation_that_is_not_finite_is_a_divergence_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from stages.training.inference import Evaluator

    answers = Evaluator.__call__

    def overflowing(self: Evaluator, *of: object) -> object:
        return replace(answers(self, *of), loss=math.nan)  # type: ignore[arg-type]

    monkeypatch.setattr(Evaluator, "__call__", overflowing)
    with pytest.raises(DivergedError, match=r"The validation loss became nan in epoch 1"):
        run(params())


def test_a_last_step_that_breaks_the_weights_is_a_divergence_without_validation_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from stages.training.engine import Engine

    update = Engine.update

    def broken(self: Engine) -> None:
        if self.last_lr:  # of the step before: this is the last of two
            next(self.model.parameters()).grad.fill_(math.nan)  # type: ignore[union-attr]
        update(self)

    monkeypatch.setattr(Engine, "update", broken)
    short = {"train": {"epochs": 1, "batch_size": 48}, "subset": {"val": 0}}
    with pytest.raises(DivergedError, match=r"sum of the weights became nan in epoch 1, step 2"):
        run(params(**short), val=False)


def test_divergence_in_low_precision_starts_anew_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    from stages.training.engine import Engine

    gradients = Engine.gradients

    def poisoned(self: Engine, epoch: object, index: int) -> object:
        result = gradients(self, epoch, index)  # type: ignore[arg-type]
        if self.params.train.precision == "bf16" and index == 2:
            result.loss.fill_(math.nan)
        return result

    monkeypatch.setattr(Engine, "gradients", poisoned)
    asked = params(train={"precision": "bf16", "on_nonfinite": "fp32"})
    refused = []

    def tell(line: str) -> None:
        if line.startswith("epoch 2"):  # of the second run; the first one's files are still its own
            with pytest.raises(TrainingError, match="already training"):
                Checkpoints(run_key(asked, {"data": "small"})).__enter__()
            refused.append(line)

    done = run(asked, tell)
    assert refused
    assert done.fell_back == "diverged in epoch 1, step 3, at bf16"
    assert done.params.train.precision == "fp32"
    assert same_weights(done, run(params()))


def test_a_batch_larger_than_the_data_is_the_whole_data() -> None:
    assert run(params(train={"batch_size": 1000})).trained.progress.steps == 2


def test_an_operation_without_a_deterministic_form_is_named_before_the_first_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from stages.tasks.classify import Classify

    def refuse(self: Classify, outputs: object, targets: object, smoothing: float) -> None:
        raise RuntimeError("median CUDA does not have a deterministic implementation.")

    monkeypatch.setattr(Classify, "loss", refuse)
    with pytest.raises(TrainingError, match=r"median CUDA .*train\.deterministic: warn"):
        run(params())


def test_compiled_training_says_what_it_gained_and_repeats_itself() -> None:
    said: list[str] = []
    chosen = params(train={"compile": True, "epochs": 1})
    one = run(chosen, said.append)
    assert one.compile_gain is not None
    assert one.compile_gain.compile_seconds > 0
    assert any("times as fast" in line for line in said)
    assert same_weights(one, run(chosen))
