"""Faults that begin at a step of one's choice, planted in the present process and taken out again.

Each is a mistake of the code: parameters, DNA and the identity of code stay as they are. Leaves
the kinds to `later_faults` and `held_out_faults`, and faults of the first step, which run in
processes of their own, to `faults`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from torch import nn

from stages.datasets import pixels
from stages.models import BuiltModel
from stages.tasks.classify import Classify
from stages.training.batch import Epoch
from stages.training.engine import Engine, StepResult

Patches = Iterator[tuple[Any, str, Any]]


@dataclass(frozen=True)
class LaterFault:
    """`plant(begin)` gives what to patch so that the fault acts from step `begin` (from 0) on.

    `begins` are the moments at which it can: "start", "middle", "last epoch", or "evaluation".
    `needs` is what a run must have for the fault to change its result, and `places` the parts of
    which one must be named.
    """

    plant: Callable[[int], Patches]
    begins: tuple[str, ...]
    places: tuple[str, ...]
    needs: str = ""


@contextmanager
def planted(fault: LaterFault, begin: int) -> Iterator[None]:
    """The fault within the context."""
    patches = [patch.object(owner, name, value) for owner, name, value in fault.plant(begin)]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in reversed(patches):
            each.stop()


def step_of(running: Engine) -> int:
    """Updates made so far."""
    return int(running.schedule.last_epoch)


def epochs(change: Callable[[Engine, Epoch], Epoch]) -> Callable[[int], Patches]:
    """Alter the epochs that start at or after the step."""
    start = Engine.epoch

    def plant(begin: int) -> Patches:
        def altered(self: Engine, number: int) -> Epoch:
            found = start(self, number)
            late = number * self.steps_per_epoch > begin
            return change(self, found) if late else found

        yield Engine, "epoch", altered

    return plant


def gradients(change: Callable[[Engine], Any]) -> Callable[[int], Patches]:
    """`change` is called before the gradients of each step from `begin` on; what it returns is
    called after.
    """
    original = Engine.gradients

    def plant(begin: int) -> Patches:
        def altered(self: Engine, epoch: Epoch, index: int) -> StepResult:
            after = change(self) if step_of(self) >= begin else None
            result = original(self, epoch, index)
            if after is not None:
                after()
            return result

        yield Engine, "gradients", altered

    return plant


def updates(change: Callable[[Engine], Any]) -> Callable[[int], Patches]:
    """`change` is called before each update from `begin` on; what it returns is called after."""
    original = Engine.update

    def plant(begin: int) -> Patches:
        def altered(self: Engine) -> None:
            after = change(self) if step_of(self) >= begin else None
            original(self)
            if after is not None:
                after()

        yield Engine, "update", altered

    return plant


def set_groups(**values: float) -> Callable[[Engine], None]:
    """A change of the settings of every group of parameters that has them."""

    def change(running: Engine) -> None:
        for group in running.optimizer.param_groups:
            group.update({key: value for key, value in values.items() if key in group})

    return change


def on_engine(change: Callable[[Engine], None]) -> Callable[[int], Patches]:
    """Alter every engine as it is made."""
    original = Engine.__init__

    def plant(_: int) -> Patches:
        def altered(self: Engine, *arguments: Any) -> None:
            original(self, *arguments)
            change(self)

        yield Engine, "__init__", altered

    return plant


def on_model(change: Callable[[nn.Module], None]) -> Callable[[int], Patches]:
    """Alter every model that the task builds."""
    build = Classify.build

    def plant(_: int) -> Patches:
        def altered(self: Classify, params: Any, classes: int) -> BuiltModel:
            built = build(self, params, classes)
            change(built.model)
            return built

        yield Classify, "build", altered

    return plant


def test_split(change: Callable[[Any], Any]) -> Callable[[int], Patches]:
    """Alter the test images wherever they are loaded."""
    original = pixels.load_splits

    def plant(_: int) -> Patches:
        def altered(*arguments: Any) -> Any:
            found = original(*arguments)
            if "test" in found:
                found["test"] = change(found["test"])
            return found

        yield pixels, "load_splits", altered

    return plant
