"""Weights in the loss and balanced epochs, and the figures that count every class alike."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from stages.core import streams
from stages.core.errors import ParamsError
from stages.core.params import parse_params
from stages.measures.evaluation.unequal import are_unequal, balanced_figures
from stages.training.unequal_classes import balanced_order, balanced_weights, weighted_loss
from tests.training.helpers import params, run

LABELS = np.array([0] * 70 + [1] * 25 + [3] * 5)


def test_weights_are_scikit_learns_and_of_the_classes_that_occur() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    weights = balanced_weights(LABELS, 4)
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=LABELS)
    assert weights.tolist() == pytest.approx([*expected[:2], 0, expected[2]])
    assert weights[LABELS].mean().item() == pytest.approx(1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_weight_is_of_the_image_and_blends_as_its_label_does(smoothing: float) -> None:
    logits, labels = torch.randn(6, 3), torch.tensor([0, 0, 1, 2, 2, 1])
    weights = torch.tensor([0.5, 1.0, 3.0])
    each = F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
    expected = (each * weights[labels]).mean()
    assert weighted_loss(logits, labels, smoothing, weights).item() == pytest.approx(
        expected.item()
    )
    other = labels.roll(1)
    shares = 0.3 * F.one_hot(labels, 3) + 0.7 * F.one_hot(other, 3)
    blended = weighted_loss(logits, shares, smoothing, weights)
    parts = [weighted_loss(logits, one, smoothing, weights) for one in (labels, other)]
    assert blended.item() == pytest.approx((0.3 * parts[0] + 0.7 * parts[1]).item())


def test_a_balanced_epoch_has_every_class_and_within_it_every_image_as_often() -> None:
    order = balanced_order(streams.stream(0, "order", 1), LABELS)
    met, times = np.unique(LABELS[order], return_counts=True)
    assert met.tolist() == [0, 1, 3]
    assert len(order) == len(LABELS)
    assert np.ptp(times) <= 1
    for label in met:
        drawn = np.bincount(order[LABELS[order] == label], minlength=len(LABELS))
        assert np.ptp(drawn[label == LABELS]) <= 1
    assert order.tolist() == balanced_order(streams.stream(0, "order", 1), LABELS).tolist()
    assert order.tolist() != balanced_order(streams.stream(0, "order", 2), LABELS).tolist()


def test_each_choice_trains_other_weights() -> None:
    hashes = {
        run(params(train={"augment": ["crop", "mixup"]} | change), val=False).trained.record.trace[
            -1
        ]["weights_hash"]
        for change in ({}, {"class_weights": "balanced"}, {"sampler": "balanced"})
    }
    assert len(hashes) == 3


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"task": "puzzle", "train": {"sampler": "balanced"}}, "drawn by chance"),
        (
            {"finetune": "probe", "pretrained": True, "train": {"class_weights": "balanced"}},
            "fits a head at once",
        ),
        ({"train": {"class_weights": "balanced", "sampler": "balanced"}}, "twice"),
    ],
)
def test_where_they_mean_nothing_they_are_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(ParamsError, match=told):
        parse_params(values, "params.yaml")


def test_figures_that_count_every_class_alike() -> None:
    actual = np.array([0] * 8 + [1] * 2)
    figures = balanced_figures(actual, np.zeros(10, np.int64))
    assert figures == {
        "test_balanced_accuracy": 0.5,
        "test_macro_f1": pytest.approx((2 * 0.8 / 1.8) / 2),
    }
    assert are_unequal(np.bincount(actual))
    assert not are_unequal(np.array([1, 2, 2]))  # rounding
    assert not are_unequal(np.array([100, 110]))
