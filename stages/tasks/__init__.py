"""What is learnt from the images: a task makes inputs and targets of them and judges answers.

Each task is a file of this folder, found by its name, whose `TASK` is a `Task`; training,
evaluation and report know nothing else of it.
"""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from stages.core.errors import ParamsError
from stages.core.validation_messages import unknown_name

if TYPE_CHECKING:
    from torch import Tensor

    from stages.core.params import Params
    from stages.models import BuiltModel


class Task(Protocol):
    """How images become a question, and what a right answer is."""

    metrics: tuple[str, ...]
    """Names of the accuracies that `correct` judges, one per column."""
    excludes: Mapping[str, str]
    """Augmentations that make no sense here, each with the reason as it stands in a sentence."""

    def build(self, params: "Params", classes: int) -> "BuiltModel":
        """The model that answers: called with all of `prepare`'s inputs. Raises ModelError."""

    def heads(self, classes: "Sequence[str]") -> "dict[str, list[str]]":
        """The names of the possible answers, per metric; column i of the targets is head i's."""

    def draw(self, seed: int, purpose: str, epoch: int, count: int) -> "dict[str, Tensor]":
        """All randomness of an epoch, drawn on the CPU: int64 [count] per name."""

    def prepare(
        self, images: "Tensor", labels: "Tensor", draws: "Mapping[str, Tensor]"
    ) -> "tuple[tuple[Tensor, ...], Any]":
        """Inputs of the model and targets, of normalised images [b, 3, h, w].

        `labels` are [b] integers or [b, classes] shares; `draws` holds [b] rows of `draw`.
        """

    def loss(self, outputs: Any, targets: Any, label_smoothing: float) -> "Tensor":
        """The mean loss over the batch, a scalar."""

    def correct(self, outputs: Any, targets: Any) -> "Tensor":
        """Which answers are right: bool [b, len(metrics)]."""


def task_of(params: "Params") -> Task:
    """The task that `params.task` names.

    Raises ParamsError when there is none, or when `train.augment` has what it excludes.
    """
    names = [entry.name for entry in pkgutil.iter_modules(__path__)]
    if params.task not in names:
        raise ParamsError(unknown_name("task", params.task, names) + ".")
    task: Task = importlib.import_module(f"{__name__}.{params.task}").TASK
    for name in params.train.augment:
        if name in task.excludes:
            raise ParamsError(
                f"`train.augment` has {name}, but `task` is {params.task}: {task.excludes[name]}. "
                "Remove it from the list."
            )
    return task
