"""One run's model, optimiser and data, and the step that all of training repeats.

The step takes an epoch and a position in it and nothing else: order, augmentation and masks come
from counter-style streams, so any step can be computed alone (resume, replay, comparison).
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.core import streams
from stages.core.device import autocast
from stages.core.params import Params
from stages.datasets.pixels import Split
from stages.models import BuiltModel
from stages.models.groups import parameter_groups
from stages.models.masks import portable_masks
from stages.tasks import Task
from stages.training import distributed
from stages.training.augmentation import Augmenter, as_fractions
from stages.training.batch import Batch, Epoch
from stages.training.data_trace import draw_checksums, step_data, sum_checksums
from stages.training.ema import Ema
from stages.training.fast_kernels import fast_kernels
from stages.training.images import gather_images, normalization_for, place_pixels, preprocess
from stages.training.inference import Evaluator, Preprocessing
from stages.training.optimizer import make_optimizer
from stages.training.perturbation import first_layer_weight, perturb_by_one_ulp
from stages.training.placement import memory_format_of, place_model
from stages.training.schedule import make_schedule
from stages.training.unequal_classes import balanced_order, balanced_weights, weighted_loss


@dataclass(frozen=True)
class StepResult:
    """What a step leaves on the device: mean loss [], correct flags [b, metrics].

    `data` is what it was fed with, as `data_trace.step_data` gives it.
    """

    loss: Tensor
    correct: Tensor
    data: Tensor


class Engine:
    """Everything that a step needs, and the step in two halves: gradients, then update."""

    feature_seconds: float | None = None  # what the features of a frozen trunk took, where kept

    def __init__(
        self, params: Params, task: Task, split: Split, classes: int, device: torch.device
    ) -> None:
        self.params, self.task, self.device = params, task, device
        self.built: BuiltModel = task.build(params, classes)
        choice, trained = params.train.normalization, self.built.data_config
        self.normalization = normalization_for(choice, trained, split.pixels)
        self.memory_format = memory_format_of(params, self.built)
        self.model = place_model(self.built.model, self.memory_format, device)
        if params.train.perturb_one_ulp:
            perturb_by_one_ulp(self.model)
        self.forward: Any = self.model
        if distributed.is_distributed():
            self.forward = distributed.wrap_ddp(self.model, device)
        self.fast = params.train.fast_kernels and device.type == "cpu"
        if params.train.compile:  # which makes kernels of its own
            self.fast = False
            self.forward = torch.compile(self.forward)
        self.count = len(split.labels)
        self.batch_size = min(params.train.batch_size, self.count)
        self.steps_per_epoch = self.count // self.batch_size
        self.optimizer = make_optimizer(parameter_groups(self.built, params), params.train)
        self.schedule = make_schedule(self.optimizer, params.train, self.steps_per_epoch)
        self.scaler = torch.amp.GradScaler(device.type, enabled=params.train.precision == "fp16")
        self.ema = Ema(self.model, params.train.ema) if params.train.ema else None
        self.augmenter = Augmenter(params.train.augment, params.seed, self.count, classes)
        self._pixels = place_pixels(split.pixels, device)
        self._host_labels = np.asarray(split.labels)
        self._labels = torch.from_numpy(self._host_labels).to(device)
        weighted = params.train.class_weights == "balanced"
        weights = balanced_weights(self._host_labels, classes) if weighted else None
        self._class_weights = None if weights is None else weights.to(device)
        self._mean, self._std = self.normalization.on(device)
        self.last_lr = 0.0

    def epoch(self, epoch: int) -> Epoch:
        """The order and all random draws of an epoch (from 1), on the device."""
        source = streams.stream(self.params.seed, "order", epoch)
        if balanced := self.params.train.sampler == "balanced":
            host_order = torch.from_numpy(balanced_order(source, self._host_labels))
        else:
            host_order = torch.from_numpy(streams.order(source, self.count))
        order = host_order.to(self.device)
        draws = self.augmenter.draw(epoch, self.device)
        task_draws = _to(self.task.draw(self.params.seed, "train", epoch, self.count), self.device)
        by_image = [draw for name, draw in draws.items() if name != "mixing"]
        return Epoch(
            number=epoch,
            order=order,
            host_order=host_order,
            draw_rows=torch.arange(self.count, device=self.device) if balanced else order,
            draws=draws,
            task_draws=task_draws,
            image_checksums=draw_checksums([*by_image, *task_draws.values()], order),
            step_checksums=draw_checksums([draws["mixing"]] if "mixing" in draws else [], order),
        )

    def steps_before(self, epoch: Epoch) -> int:
        """How many steps of the run come before the epoch."""
        return (epoch.number - 1) * self.steps_per_epoch

    def gradients(self, epoch: Epoch, index: int) -> StepResult:
        """Leave the gradients of step `index` (from 0, within the epoch) in the parameters.

        They are of the mean loss over the whole batch, also when it is split by
        `train.accumulate`, unscaled, and clipped if `train.grad_clip` says so.
        """
        self.optimizer.zero_grad()
        batch = self._batch(epoch, index)
        step = self.steps_before(epoch) + index
        losses, correct = [], []
        masks = portable_masks(self.model, self.params.seed, step, part=distributed.rank())
        with masks, distributed.sync_batch_norm():
            for inputs, targets in self._micro_batches(batch):
                with autocast(self.device, self.params.train.precision), fast_kernels(self.fast):
                    outputs = self.forward(*inputs)
                    loss = self.loss(outputs, targets)
                share = inputs[0].shape[0] * distributed.world_size() / self.batch_size
                torch.autograd.backward(self.scaler.scale(loss * share))
                losses.append(loss.detach() * share)
                correct.append(self.task.correct(outputs, targets))
        self.scaler.unscale_(self.optimizer)
        if self.params.train.grad_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.params.train.grad_clip)
        loss = distributed.all_reduce_mean(torch.stack(losses).sum())
        return StepResult(loss, distributed.all_gather(torch.cat(correct)), batch.data)

    def update(self) -> None:
        """Move the weights by the gradients in place, then the schedule and the average."""
        self.last_lr = float(self.optimizer.param_groups[-1]["lr"])
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        if self.ema is not None:
            self.ema.update(self.model)

    def _batch(self, epoch: Epoch, index: int) -> Batch:
        """The whole batch of a step, the same on every process."""
        place = slice(index * self.batch_size, (index + 1) * self.batch_size)
        rows, draw_rows = epoch.order[place], epoch.draw_rows[place]
        pixels = gather_images(self._pixels, rows, epoch.host_order[place])
        labels, drawn = self._labels[rows], self.augmenter.select(epoch.draws, draw_rows, index)
        images, targets = self.augmenter.apply(pixels, labels, drawn)
        task_draws = {name: draw[draw_rows] for name, draw in epoch.task_draws.items()}
        whole = labels if targets.is_floating_point() else targets
        given = sum_checksums(epoch.image_checksums[draw_rows], epoch.step_checksums[index])
        data = step_data(rows, whole, given, images)
        return Batch(images, targets, task_draws, data)

    def loss(self, outputs: Any, targets: Any) -> Tensor:
        """The mean loss of some images, a scalar, by the recipe's smoothing and class weights."""
        smoothing = self.params.train.label_smoothing
        if self._class_weights is None:
            return self.task.loss(outputs, targets, smoothing)
        return weighted_loss(outputs, targets, smoothing, self._class_weights)

    def _micro_batches(self, batch: Batch) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        own = distributed.local_slice(batch.images)
        size = -(-(own.stop - own.start) // self.params.train.accumulate)
        for start in range(own.start, own.stop, size):
            part = slice(start, min(start + size, own.stop))
            inputs = preprocess(
                as_fractions(batch.images[part]),
                self.built.model_px,
                self._mean,
                self._std,
                self.memory_format,
                self.normalization.interpolation,
            )
            task_draws = {name: draw[part] for name, draw in batch.task_draws.items()}
            yield self.task.prepare(inputs, batch.targets[part], task_draws)

    @property
    def smallest_micro_batch(self) -> int:
        """The fewest images that a forward of the training has, over all parts of a batch."""
        own = self.batch_size // distributed.world_size()
        size = -(-own // self.params.train.accumulate)
        return own % size or size

    def evaluator(self, split: Split, purpose: str) -> Evaluator:
        """A split that this engine's model is shown without training on it."""
        seed = self.params.seed
        return Evaluator(self.task, split, view_of(self), self.device, seed, purpose)

    def first_values(self) -> Tensor:
        """What a rehearsal moves by rounding: the weights of the first layer."""
        return first_layer_weight(self.model)

    @property
    def averaged(self) -> torch.nn.Module:
        """The model to validate and keep: the average of the weights if there is one."""
        return self.model if self.ema is None else self.ema.model

    def state_dict(self) -> dict[str, Any]:
        """All that changes from step to step; tensors are references, not copies."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state that `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])


def view_of(engine: Engine) -> Preprocessing:
    """How the engine's model is to be shown images that it is not trained on."""
    return Preprocessing(
        px=engine.built.model_px,
        normalization=engine.normalization,
        memory_format=engine.memory_format,
        precision=engine.params.train.precision,
        batch_size=engine.params.evaluate.batch_size,
        fast_kernels=engine.params.train.fast_kernels,
    )


def weights_of(model: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of the weights and buffers on the CPU, in plain layout."""
    return {
        name: copy.deepcopy(value.detach()).cpu().contiguous()
        for name, value in model.state_dict().items()
    }


def _to(draws: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: draw.to(device) for name, draw in draws.items()}
