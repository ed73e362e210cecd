"""Predictions: class names, every head, any number of images and classes, small enough for git."""

import pytest
import torch
from torch.nn import functional as F

from stages.measures.evaluation import predictions as measured
from stages.measures.evaluation.predictions import answered, predictions_for_git, without_split
from stages.measures.evaluation.split_figures import evaluate_outputs
from stages.tasks.puzzle import QUADRANTS, TURNS
from stages.training.inference import Inputs, Outputs

CIFAR = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def outputs(images: int, *classes: int) -> Outputs:
    """Random answers, a head for each number of classes."""
    torch.manual_seed(0)
    logits = tuple(3 * torch.randn(images, count) for count in classes)
    targets = torch.stack([torch.arange(images) % count for count in classes], dim=1)
    right = torch.stack([head.argmax(1) for head in logits], dim=1) == targets
    return Outputs(logits, targets.squeeze(1), right, 0.0, Inputs(images, "", [], [], []))


def test_ten_thousand_images_take_less_than_400_kilobytes() -> None:
    names = [f"test/{CIFAR[row % 10]}/{row // 10:04d}.jpg" for row in range(10_000)]
    found = evaluate_outputs(outputs(10_000, 10), names, {"top1": CIFAR})
    table = predictions_for_git(found.in_words)
    assert list(table) == ["name", "label", "predicted", "confidence"]
    assert table["name"].is_unique
    assert table["name"].iloc[1] == "automobile/0000.jpg"
    assert (table["label"] == table["name"].str.partition("/")[0]).all()
    assert (table["label"] == table["predicted"]).mean() == found.metrics["test_top1"]
    assert len(table.to_csv(index=False)) < 400_000


def test_beyond_the_limit_git_has_the_first_rows_and_the_cache_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measured, "IN_GIT", 30)
    found = evaluate_outputs(outputs(40, 3), list(map(str, range(40))), {"top1": ["a", "b", "c"]})
    kept = predictions_for_git(found.in_words)
    assert list(kept["name"]) == list(map(str, range(30)))
    assert len(found.in_words) == 40
    assert found.in_words["loss"].notna().all()


def test_every_head_of_the_puzzle_is_there() -> None:
    heads = {"quadrant_top1": QUADRANTS, "turn_top1": TURNS}
    found = evaluate_outputs(outputs(20, 4, 4), list(map(str, range(20))), heads)
    kept = predictions_for_git(found.in_words)
    assert list(kept)[1:] == [
        "label", "predicted", "confidence", "turn_label", "turn_predicted", "turn_confidence",
    ]  # fmt: skip
    for prefix, metric in (("", "quadrant"), ("turn_", "turn")):
        right = (kept[f"{prefix}label"] == kept[f"{prefix}predicted"]).mean()
        assert right == found.metrics[f"test_{metric}_top1"]
    assert set(kept["label"]) == set(QUADRANTS)
    assert set(kept["turn_label"]) == set(TURNS)


def test_many_rows_are_computed_in_parts_to_the_same_bits() -> None:
    some = outputs(measured.AT_ONCE + 10, 7)
    logits, labels = some.logits[0].double(), some.targets
    confidence, predicted = F.softmax(logits, dim=1).max(dim=1)
    found = answered(some.logits[0], labels)
    assert (found["confidence"] == confidence.numpy()).all()
    assert (found["predicted"] == predicted.numpy()).all()
    assert (found["loss"] == F.cross_entropy(logits, labels, reduction="none").numpy()).all()


def test_names_lose_the_split_only_where_all_have_it() -> None:
    assert without_split(["test/a/1.png", "test/b/1.png"]) == ["a/1.png", "b/1.png"]
    assert without_split(["test/1.png", "cat/1.png"]) == ["test/1.png", "cat/1.png"]
