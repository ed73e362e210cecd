"""What an epoch and a step are made of, on the device; the engine makes them."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Epoch:
    """One epoch's order [n] and draws, all on the device.

    `order` has positions in the split, `draw_rows` [n] the rows of the draws that go with them: the
    same, or, where an image may come twice, rows of their own. `host_order` is the order in host
    memory, for pixels that are there. `image_checksums` and `step_checksums` [n] are those of the
    draws for an image and for a step.
    """

    number: int
    order: Tensor
    host_order: Tensor
    draw_rows: Tensor
    draws: dict[str, Tensor]
    task_draws: dict[str, Tensor]
    image_checksums: Tensor
    step_checksums: Tensor


@dataclass(frozen=True)
class Batch:
    """The images of a step as integers [b, 3, s, s], their targets, and the task's draws [b]."""

    images: Tensor
    targets: Tensor
    task_draws: dict[str, Tensor]
    data: Tensor
