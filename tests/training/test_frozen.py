"""Features of a frozen trunk: the same result as the long way, kept, verified, and used by heads
that are fitted at once.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.core.errors import DivergedError, ModelError, ParamsError
from stages.core.params import Params
from stages.datasets.pixels import Split
from stages.models import build
from stages.models.neighbors import NeighborsHead
from stages.runs.training_record import about_of, training_metrics
from stages.runs.weights_file import write_weights
from stages.tasks import task_of
from stages.training.engine import Engine
from stages.training.frozen import FrozenEngine, engine_for
from stages.training.inference import Evaluator
from stages.training.logistic import fit_probe
from stages.training.run import Run, training
from stages.training.trace import hash_tensors
from stages.training.trained import load_trained
from tests.training.helpers import CLASSES, params, split

CPU = torch.device("cpu")


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of LeNet's weights, in a repository of its own."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    torch.save(build(params(seed=7), CLASSES).model.state_dict(), tmp_path / "w.pt")
    return str(tmp_path / "w.pt")


def run(chosen: Params, told: list[str] | None = None, images: int = 96) -> Run:
    splits = {"train": split(images), "val": split(40, seed=1)}
    log = (told if told is not None else []).append
    with training(chosen, splits, CLASSES, {"identity": "a machine"}, log) as done:
        return done


def history(done: Run, kind: type) -> list[list[Any]]:
    """The figures of the history but the times, or with `str` the hashes of its data."""
    rows = done.trained.progress.history
    return [
        [value for name, value in row.items() if name != "seconds" and isinstance(value, kind)]
        for row in rows
    ]


@pytest.mark.parametrize("recipe", [{}, {"accumulate": 2, "ema": 0.9, "precision": "bf16"}])
def test_a_head_on_kept_features_learns_as_it_does_the_long_way(
    weights: str, recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = params(pretrained=weights, finetune="head", train={"epochs": 3, **recipe})
    short = run(chosen)
    assert isinstance(short.trained.engine, FrozenEngine)
    monkeypatch.setattr("stages.training.run.engine_for", lambda *made: Engine(*made[:5]))
    long = run(chosen)
    figures, expected = history(short, float), history(long, float)
    np.testing.assert_allclose(figures, expected, rtol=2e-3 if recipe else 1e-5)
    assert history(short, str) == history(long, str)
    assert list(short.trained.weights) == list(long.trained.weights)
    for name, value in long.trained.weights.items():
        torch.testing.assert_close(short.trained.weights[name], value, rtol=1e-2, atol=1e-4)


def test_kept_features_are_found_again_for_any_subset_unless_they_are_damaged(
    weights: str, tmp_path: Path
) -> None:
    chosen = params(pretrained=weights, finetune="head")
    told: list[str] = []
    first = run(chosen, told)
    assert [line for line in told if "frozen trunk" in line] == [
        "features of 96 images from the frozen trunk, once",
        "features of 40 images from the frozen trunk, once",
    ]
    told.clear()
    again = run(chosen, told)
    assert not any("frozen trunk" in line for line in told)
    assert again.trained.engine.feature_seconds == first.trained.engine.feature_seconds
    engine = again.trained.engine
    assert isinstance(engine, FrozenEngine)
    part = split(96)
    part = Split(part.pixels[30:50], part.labels[30:50], part.names[30:50])
    assert torch.equal(engine.features(part).values, engine.train_features[30:50])
    for pack in (tmp_path / ".work/features").rglob("*.npz"):
        content = bytearray(pack.read_bytes())
        content[len(content) // 2] ^= 1
        pack.write_bytes(content)
    mended = run(chosen, told)
    assert sum("is damaged" in line for line in told) == 2
    assert hash_tensors(mended.trained.weights.items()) == hash_tensors(
        first.trained.weights.items()
    )


def test_features_of_a_folded_trunk_are_those_of_the_plain_one_to_rounding() -> None:
    chosen = params(model="shufflenet_v2_x0_5", finetune="probe")
    plain = params(model="shufflenet_v2_x0_5", finetune="probe", train={"fast_kernels": False})
    made, again, slow = (
        FrozenEngine(one, task_of(one), split(96), CLASSES, CPU, None, None).train_features
        for one in (chosen, chosen, plain)
    )
    assert torch.equal(made, again)
    assert not torch.equal(made, slow)  # folded
    torch.testing.assert_close(made, slow, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("finetune", ["probe", "knn"])
def test_a_head_fitted_at_once_is_a_model_like_any_other(
    weights: str, tmp_path: Path, finetune: str
) -> None:
    chosen = params(pretrained=weights, finetune=finetune, train={"augment": ["flip"]})
    done, again = run(chosen), run(chosen)
    kept = done.trained.weights
    assert hash_tensors(kept.items()) == hash_tensors(again.trained.weights.items())
    figures = training_metrics(done)
    assert figures["train_top1"] > 0.6
    assert figures["val_top1"] > 0.5
    assert figures["images_per_second"] > 0
    assert "image" in figures["adapted"]["head"]
    kept_in = tmp_path / "kept.safetensors"
    write_weights(kept_in, about_of(done, ["a", "b", "c", "d"], 8), kept)
    trained = load_trained(chosen, kept_in, CPU)
    test = split(40, seed=1)
    whole = Evaluator(task_of(chosen), test, trained.view, CPU, 0, "test")(trained.model)
    features = done.trained.engine.evaluator(test, "test")(done.trained.engine.model)
    torch.testing.assert_close(whole.logits[0], features.logits[0])
    assert whole.inputs == features.inputs
    assert whole.loss == pytest.approx(figures["val_loss"], rel=1e-5)


def test_what_is_fitted_at_once_sees_the_images_as_they_are(weights: str) -> None:
    plain, cropped = (
        run(params(pretrained=weights, finetune="probe", train={"augment": augment}))
        for augment in ([], ["crop", "flip"])
    )
    hashes = [one.trained.progress.history[0]["images_hash"] for one in (plain, cropped)]
    assert hashes[0] == hashes[1]


def test_a_feature_that_is_one_value_but_for_rounding_does_not_drown_the_others() -> None:
    source = np.random.default_rng(0)
    labels = torch.arange(400) % CLASSES
    useful = source.normal(size=(400, 8)) + 1.5 * np.eye(CLASSES, 8)[labels]
    constant = np.where(source.random((400, 24)) < 0.5, 1.0, np.nextafter(np.float32(1), 2))
    alone, beside = (
        torch.from_numpy(np.hstack(parts).astype(np.float32))
        for parts in ([useful], [useful, constant])
    )
    right = []
    for features in (alone, beside):
        head, logits, _ = fit_probe(features, labels, CLASSES, 0)
        assert float(head.weight.detach().abs().max()) < 10
        right.append(float((logits.argmax(1) == labels).double().mean()))
    assert right[0] == pytest.approx(right[1], abs=0.02)


def test_neighbours_are_found_in_float32_and_can_be_exported() -> None:
    source = torch.Generator().manual_seed(0)
    known, asked = torch.rand(200, 64, generator=source), torch.rand(20, 64, generator=source)
    head = NeighborsHead(known, torch.arange(200) % CLASSES, CLASSES, 5).eval()
    plain = head(asked)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(head(asked), plain)
    program = torch.export.export(head, (asked,), dynamic_shapes=({0: torch.export.Dim("n")},))
    torch.testing.assert_close(program.module()(asked[:7]), plain[:7])


def test_a_probe_of_one_image_per_class_and_of_random_features(weights: str) -> None:
    one = split(400)
    rows = [int(np.flatnonzero(one.labels == label)[0]) for label in range(CLASSES)]
    splits = {"train": Split(one.pixels[rows], one.labels[rows], [one.names[row] for row in rows])}
    for finetune, words in (("probe", "a class has a single image"), ("knn", "1 nearest of 4")):
        chosen = params(finetune=finetune, train={"batch_size": 2})
        with training(chosen, splits, CLASSES, {}, lambda line: None) as done:
            figures = training_metrics(done)
        assert words in figures["adapted"]["head"]
        assert "baseline" in figures["adapted"]["weights"]
        assert figures["val_top1"] is None


@pytest.mark.parametrize("finetune", ["probe", "knn"])
def test_features_that_overflow_are_a_divergence(weights: str, finetune: str) -> None:
    state = torch.load(weights)
    name = next(name for name in state if name.endswith("weight"))
    torch.save(state | {name: state[name] * 1e6}, weights)
    half = {"precision": "fp16", "trace_steps": 1}
    with pytest.raises(DivergedError, match=r"features of .* are not finite in fp16"):
        run(params(finetune=finetune, pretrained=weights, train=half))
    anew = run(params(finetune=finetune, pretrained=weights, train=half | {"on_nonfinite": "fp32"}))
    assert anew.params.train.precision == "fp32"


def test_two_classes_are_told_apart_by_two_logits() -> None:
    draws = torch.Generator().manual_seed(0)
    features = torch.randn(60, 5, generator=draws)
    labels = (features[:, 0] > 0).long()
    head, answers, told = fit_probe(features, labels, 2, seed=0)
    assert head.weight.shape == (2, 5)
    assert (answers.argmax(1) == labels).double().mean() > 0.9
    assert "3 folds" in told


def test_what_does_not_go_with_a_probe_is_told() -> None:
    with pytest.raises(ParamsError, match="`task: classify`"):
        params(finetune="probe", task="puzzle")
    chosen = params("torchvision/squeezenet1_0", finetune="probe", input_size=32)
    with pytest.raises(ModelError, match="ends in no single linear layer"):
        engine_for(chosen, task_of(chosen), split(16), CLASSES, CPU)
