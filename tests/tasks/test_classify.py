"""The classification task: labels or shares in, one loss and one verdict out."""

import torch

from stages.core.params import parse_params
from stages.tasks import task_of

TASK = task_of(parse_params({}, "test"))


def test_images_and_labels_pass_unchanged() -> None:
    images, labels = torch.randn(3, 3, 8, 8), torch.tensor([0, 1, 2])
    inputs, targets = TASK.prepare(images, labels, TASK.draw(0, "train", 1, 3))
    assert inputs == (images,)
    assert targets is labels


def test_shares_of_classes_are_judged_by_the_largest() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    shares = torch.tensor([[0.7, 0.3], [0.6, 0.4]])
    assert TASK.correct(logits, shares).tolist() == [[True], [False]]
    assert TASK.correct(logits, torch.tensor([1, 1])).tolist() == [[False], [True]]


def test_smoothing_raises_the_loss_of_a_certain_answer() -> None:
    logits, labels = torch.tensor([[9.0, -9.0]]), torch.tensor([0])
    assert TASK.loss(logits, labels, 0.1) > TASK.loss(logits, labels, 0.0)


def test_one_head_names_the_classes() -> None:
    assert TASK.heads(["cat", "dog"]) == {"top1": ["cat", "dog"]}
