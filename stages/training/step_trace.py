"""What happened inside a step: every module, gradient and update, as a hash and a sketch.

Recorded at the few steps whose state is kept for replay, so that two machines that part can be told
where: at which module, in the loss, on the way back, or in the optimiser. A hash says whether bits
agree; a sketch of sixteen numbers says how far tensors are apart without keeping them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from stages.training.distributed import world_size
from stages.training.norm_error import norm_error
from stages.training.sketch import sketch_tensors
from stages.training.trace import combine, hash_tensor

if TYPE_CHECKING:
    from stages.training.batch import Epoch
    from stages.training.engine import Engine


class Inside:
    """The rows of one step. `after_update` completes them."""

    def __init__(self, model: nn.Module, step: int) -> None:
        self.rows: list[dict[str, object]] = []
        self._model, self._step = model, step
        self._before = {name: sketch_tensors([value]) for name, value in model.named_parameters()}

    def add(
        self,
        kind: str,
        name: str,
        tensors: list[Tensor],
        inputs_hash: str | None = None,
        error: float | None = None,
    ) -> None:
        """One row for the tensors of one place, in the order computed."""
        if tensors:
            self._append(kind, name, tensors, inputs_hash, sketch_tensors(tensors))
            self.rows[-1]["error"] = error

    def after_gradients(self) -> list[dict[str, object]]:
        """All rows up to the gradients, which are computed."""
        for name, value in reversed(list(self._model.named_parameters())):  # as backward goes
            if value.grad is not None:
                self.add("gradient", name, [value.grad])
        return self.rows

    def after_update(self, perturbed: Sequence[dict[str, object]] = ()) -> list[dict[str, object]]:
        """All rows, once the optimiser has moved the weights; see `perturbed_rows`."""
        self.after_gradients()
        for row, beside in zip(self.rows, perturbed, strict=False):
            row["rounding"] = _distance(row, beside)
        for name, value in self._model.named_parameters():
            moved = sketch_tensors([value]) - self._before[name]
            self._append("update", name, [value], None, moved)
        return self.rows

    def _append(
        self, kind: str, name: str, tensors: list[Tensor], inputs_hash: str | None, sketch: Tensor
    ) -> None:
        place = {"step": self._step, "position": len(self.rows), "kind": kind, "name": name}
        self.rows.append(place | {"inputs_hash": inputs_hash} | _described(tensors, sketch))


def perturbed_rows(engine: "Engine", epoch: "Epoch", index: int) -> list[dict[str, object]]:
    """The rows of a step up to its gradients, with the first layer's weights one ULP away.

    The yardstick of rounding in this network: deep ones with small batches carry one ULP ten
    thousand times as far as shallow ones. Of a frozen trunk the features are moved. All is put
    back. Empty at fp16, whose gradient scaler allows no rehearsal.
    """
    if engine.scaler.is_enabled():
        return []
    before = {name: value.clone() for name, value in engine.model.state_dict().items()}
    weight = engine.first_values()
    unmoved = nudge(weight, engine.params.train.precision)
    with watching(engine, 0) as inside:
        engine.gradients(epoch, index)
    rows = inside.after_gradients()
    engine.model.load_state_dict(before)
    with torch.no_grad():
        weight.copy_(unmoved)
    return rows


def nudge(weight: Tensor, precision: str) -> Tensor:
    """Move weights by rounding, in place, every other one up; returns what they were.

    By one ULP at fp32. Below it one ULP of float32 would be rounded away, so a quarter of the
    precision's epsilon is taken, which moves about that share of the weights.
    """
    with torch.no_grad():
        unmoved = weight.clone()
        up = torch.arange(weight.numel(), device=weight.device).reshape(weight.shape) % 2 == 0
        if precision in _REDUCED:
            part = torch.finfo(_REDUCED[precision]).eps / 4
            weight.mul_(torch.where(up, 1 + part, 1 - part))
        else:
            weight.copy_(torch.nextafter(weight, torch.where(up, torch.inf, -torch.inf)))
    return unmoved


_REDUCED = {"bf16": torch.bfloat16, "fp16": torch.float16}


def _distance(row: dict[str, object], beside: dict[str, object]) -> float | None:
    """Distance relative to the size; None where a value is not finite."""
    mine, perturbed = (
        np.array(str(each["sketch"]).split(), dtype=np.float64) for each in (row, beside)
    )
    if not np.isfinite([mine, perturbed]).all():
        return None
    size = float(np.linalg.norm(mine))
    return float(np.linalg.norm(mine - perturbed)) / size if size > 0 else 0.0


def weights_rows(
    model: nn.Module, step: int, average: nn.Module | None = None
) -> list[dict[str, object]]:
    """All weights after `step` steps as a row: how far two runs are apart as they go on.

    Another row has those that are trained, where some are frozen. With `average` the rows are of
    the moving average that it holds.
    """
    values = dict((average or model).named_parameters())
    return _rows_of(model, values, step, "average" if average else "weights")


def _rows_of(
    model: nn.Module, values: Mapping[str, Tensor], step: int, kind: str
) -> list[dict[str, object]]:
    every = [name for name, _ in model.named_parameters()]
    trained = [name for name, value in model.named_parameters() if value.requires_grad]
    rows = [_tensors_row([values[name] for name in every], step, kind)]
    if 0 < len(trained) < len(every):
        of_these = [values[name] for name in trained]
        rows.append(_tensors_row(of_these, step, kind, "(trained)", 1))
    return rows


def kept_rows(model: nn.Module, kept: Mapping[str, Tensor], step: int) -> list[dict[str, object]]:
    """The weights that a run keeps, those after `step` steps, and a row of its buffers.

    Rows of kind "kept", in the order of `model`, so that its weights' sketch can be held beside
    those of `weights_rows`. Counters and index tables are left out.
    """
    buffers = [
        kept[name]
        for name, value in model.named_buffers()
        if name in kept and value.is_floating_point()
    ]
    rows = _rows_of(model, kept, step, "kept")
    return rows + ([_tensors_row(buffers, step, "kept", "(buffers)", 2)] if buffers else [])


def _tensors_row(
    tensors: list[Tensor], step: int, kind: str, name: str = "(all)", position: int = 0
) -> dict[str, object]:
    place = {"step": step, "position": position, "kind": kind, "name": name}
    return place | {"inputs_hash": None} | _described(tensors, sketch_tensors(tensors))


def is_milestone(step: int) -> bool:
    """Whether the weights after this step are sketched: about eight steps in every doubling."""
    return step < 8 or step % 2 ** (step.bit_length() - 4) == 0


def _described(tensors: Sequence[Tensor], sketch: Tensor) -> dict[str, object]:
    norms = [float(torch.linalg.vector_norm(tensor.detach().float())) for tensor in tensors]
    norm = math.hypot(*norms)
    return {
        "hash": hash_of(tensors),
        "dtype": str(tensors[0].dtype).removeprefix("torch."),
        # A table would write NaN, as fp16 makes it, as an empty cell.
        "norm": norm if math.isfinite(norm) else str(norm),
        "sketch": " ".join(f"{value:.12g}" for value in sketch.tolist()),
        "rounding": None,
    }


@contextmanager
def watching(engine: "Engine", step: int) -> Iterator[Inside]:
    """Record the step whose gradients are computed inside the context.

    Modules come in the order they finish, so a module's children stand before it; the images and
    targets that enter, and the loss, stand among them. Of several processes each sees only its
    part of the batch on the way forward, so gradients and updates alone are recorded.
    """
    inside = Inside(engine.model, step)
    if world_size() > 1:
        yield inside
        return
    with ExitStack() as held:
        for name, module in engine.model.named_modules():
            for handle in _watch_module(inside, name, module):
                held.callback(handle.remove)
        enter = engine.model.register_forward_pre_hook(
            lambda _, inputs: inside.add("input", "images", _tensors(inputs))
        )
        held.callback(enter.remove)
        loss = engine.loss

        def watched(outputs: Any, targets: Any) -> Tensor:
            inside.add("target", "labels", _tensors(targets))
            value = loss(outputs, targets)
            inputs = hash_of([*_tensors(outputs), *_tensors(targets)])
            inside.add("loss", "loss", [value], inputs)
            return value

        vars(engine)["loss"] = watched  # before the method, until it is taken away again
        held.callback(vars(engine).pop, "loss")
        yield inside


def _watch_module(inside: Inside, name: str, module: nn.Module) -> list[RemovableHandle]:
    """Inputs are hashed before the module runs, for it may change them in place."""
    entered: list[str] = []

    def before(_: nn.Module, inputs: Any) -> None:
        entered.append(hash_of(_tensors(inputs)))

    def after(_: nn.Module, inputs: Any, output: Any) -> None:
        error = norm_error(module, inputs, output)
        inside.add("module", name or "(model)", _tensors(output), entered.pop(), error)

    return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]


def hash_of(tensors: Sequence[Tensor]) -> str:
    """32 hex digits over several tensors in order."""
    return combine(map(hash_tensor, tensors))


def _tensors(value: Any) -> list[Tensor]:
    """The tensors in nested tuples, lists and dicts, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in _tensors(item)]
    return []
