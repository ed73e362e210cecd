"""The course of the learning rate over a training run, per step.

Each schedule is a closed form of the step alone, so a resumed run needs only the step count.
"""

from functools import partial
from math import cos, pi

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from stages.core.sections import Train

ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1 / (25 * 10_000)


def make_schedule(optimizer: Optimizer, train: Train, steps_per_epoch: int) -> LRScheduler:
    """A scheduler to be stepped after every optimiser step; it scales each group's own rate.

    `train.warmup_epochs` is a linear rise in front of constant, step and cosine; one-cycle has a
    rise of its own, `train.pct_start`.
    """
    share = partial(share_of_rate, train=train, steps_per_epoch=steps_per_epoch)
    return LambdaLR(optimizer, share)


def share_of_rate(step: int, train: Train, steps_per_epoch: int) -> float:
    """The share of the full learning rate that step `step`, from 0, is made with."""
    total = train.epochs * steps_per_epoch
    if train.schedule == "one_cycle":
        return _one_cycle(step, total, train.pct_start)
    warmup = round(train.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return (step + 1) / warmup
    if train.schedule == "step":
        return float(train.step_gamma ** (step // (train.step_epochs * steps_per_epoch)))
    if train.schedule == "cosine":
        return _ease(1.0, 0.0, (step - warmup) / max(total - warmup, 1))
    return 1.0


def _one_cycle(step: int, total: int, pct_start: float) -> float:
    """Up from 1/25 and down to 1/250,000 by half cosines (Smith 2018, arXiv:1803.09820).

    The figures and the peak at step `pct_start` · total - 1 are those of torch's OneCycleLR.
    Momentum stays as `train.momentum` says.
    """
    if total == 1:  # the only step is the peak
        return 1.0
    peak = pct_start * total - 1
    if step <= peak:
        return _ease(ONE_CYCLE_START, 1.0, step / peak if peak > 0 else 1.0)
    return _ease(1.0, ONE_CYCLE_END, (step - peak) / (total - 1 - peak))


def _ease(start: float, end: float, progress: float) -> float:
    """Half a cosine from `start` to `end`."""
    return end + (start - end) * (1 + cos(pi * min(progress, 1.0))) / 2
