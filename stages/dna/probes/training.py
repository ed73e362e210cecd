"""Probes of three optimiser steps of a tiny network: convolution, norm, pooling, linear, loss.

The rules are written out in the operations that torch.optim uses, for the first step of an
optimiser of torch.optim imports the compiler, which takes seconds.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from stages.dna.probe import Compute, Probe, flat

Rule = Callable[[Tensor, Tensor, list[Tensor], int], None]
_SHAPES = ((16, 3, 8, 8), (8, 3, 3, 3), (8,), (8,), (5, 8), (5,))


def _loss(images: Tensor, weights: list[Tensor]) -> Tensor:
    filters, scale, shift, matrix, bias = weights
    maps = F.conv2d(images, filters, padding=1)
    maps = F.gelu(F.batch_norm(maps, None, None, 1 + scale, shift, training=True))
    logits = F.linear(F.adaptive_avg_pool2d(maps, 1).flatten(1), matrix, bias)
    targets = torch.arange(len(images), device=images.device) % 5
    return F.cross_entropy(logits, targets)


def _three_steps(rule: Rule) -> Compute:
    def compute(images: Tensor, *initial: Tensor) -> Tensor:
        weights = [(tensor * 0.5).detach().requires_grad_() for tensor in initial]
        states = [[torch.zeros_like(weight) for _ in range(2)] for weight in weights]
        for step in (1, 2, 3):
            _loss(images, weights).backward()
            with torch.no_grad():
                for weight, state in zip(weights, states, strict=True):
                    if weight.grad is not None:
                        rule(weight, weight.grad, state, step)
                        weight.grad = None
        return flat(weights)

    return compute


def _sgd(weight: Tensor, grad: Tensor, state: list[Tensor], step: int) -> None:
    """Momentum and weight decay."""
    momentum, _ = state
    momentum.mul_(0.875).add_(grad.add(weight, alpha=2**-10))
    weight.add_(momentum, alpha=-0.25)


def _adamw(weight: Tensor, grad: Tensor, state: list[Tensor], step: int) -> None:
    """Decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2)."""
    first, second = state
    weight.mul_(1 - 2**-11)
    first.lerp_(grad, 0.125)
    second.mul_(0.9375).addcmul_(grad, grad, value=0.0625)
    scale = (second / (1 - 0.9375**step)).sqrt_().add_(2**-26)
    weight.addcdiv_(first, scale, value=-(2**-7) / (1 - 0.875**step))


PROBES = [
    Probe("three_steps_sgd", _three_steps(_sgd), _SHAPES),
    Probe("three_steps_adamw", _three_steps(_adamw), _SHAPES),
]
