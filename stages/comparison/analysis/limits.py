"""The limits of rounding at each precision, as measured on machines that compute alike.

At fp32, machines were measured at 1e-8 to 1e-5 of the values in the first step; deep networks with
small batches carry one ULP further, and say so themselves by what it does in them: machines stay
within 12 times of that (`benchmarks/rounding.py`). One operation on equal bits is off by 2e-7 at
most, on others by little more than they are: GELU by its tanh formula, off by 1.5e-5, is a fault.

A choice between values that are equal but for rounding, as in max-pooling or ReLU at zero, may fall
the other way: nothing moves on the way forward, and the gradients below it move by 2e-4 to 6e-3.

At bf16 one operation is off by its own ULP, and a few layers on almost every value is: one small
residual network had gradients 2e-3 to 3e-2 apart, ResNet-50 and MobileNetV3 6e-2, ShuffleNetV2 and
RepVGG 9e-1 (`benchmarks/rounding.py --precision bf16`). No fixed limit fits them all, but machines
stay within 1.3 times of what nudging the first layer's weights by part of their bf16 ULP does. What
is computed in float32 all the same, from equal bits, is held to float32: images, labels, loss and
optimiser.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Limits:
    """Distances relative to the norm up to which a place counts as rounding.

    `exact` is for what float32 computes from equal bits, `operation` for a module without children
    that was fed equal bits (None: as any module). `module`, `loss`, `gradient` hold where one ULP
    does less than that over `ulps`; `unmeasured` is for all three where a run did not measure what
    one ULP does, and only gross differences prove anything. With `follows` a module without
    children is held to what entered it as well. `tie` is how far gradients below a single choice
    that fell the other way may be. `update` is for the updates of gradients with other bits,
    `repeated` for those of equal bits; `voting` is how far an update is that can tell at all, where
    few are made at less precision than the others. `scalar` is for loss and gradient norm in the
    trace, `validation` for the loss and `probability` for any probability of the same weights
    evaluated elsewhere.
    """

    module: float
    loss: float
    gradient: float
    update: float
    scalar: float
    validation: float
    probability: float
    ulps: float
    unmeasured: float = 0.0
    operation: float | None = None
    follows: bool = False
    tie: float = 0.0
    exact: float = 1e-4
    repeated: float = 1e-4
    voting: float = 0.0

    def relaxed(self, times: float) -> "Limits":
        """The same for a later step, into which rounding was carried already."""
        return replace(self, gradient=times * self.gradient, update=times * self.update,
                       exact=times * self.exact, repeated=times * self.repeated,
                       voting=times * self.voting)  # fmt: skip


_HALF = Limits(module=3e-2, loss=3e-2, gradient=3e-2, update=3e-1, scalar=3e-1, validation=3e-2,
               probability=3e-2, ulps=2, unmeasured=3e-1)  # fmt: skip
LIMITS = {
    "fp32": Limits(module=1e-4, loss=1e-4, gradient=1e-4, update=1e-4, scalar=1e-3,
                   validation=1e-4, probability=1e-3, ulps=50, operation=3e-6,
                   follows=True, tie=1e-2),
    "tf32": _HALF,
    "fp16": replace(_HALF, gradient=5e-2, validation=5e-2, probability=5e-2),
    "bf16": Limits(module=1.5e-2, loss=3e-3, gradient=6e-2, update=6e-1, scalar=5e-1,
                   validation=5e-2, probability=2e-1, ulps=2, unmeasured=6e-1, operation=8e-3),
}  # fmt: skip
"""By precision. TF32 and fp16 were not measured on other machines: their significands are three
bits longer than that of bf16."""


def limits_for(precision: str, params: Mapping[str, Any] | None) -> Limits:
    """The limits of a run. Muon multiplies matrices in bfloat16 at any precision, and carries its
    rounding on through five products: updates of equal bits were measured 3.2e-2 apart, of
    gradients 1e-6 apart 1.3e-2.
    """
    limits = LIMITS[precision]
    if (params or {}).get("train", {}).get("optimizer") != "muon":
        return limits
    if limits.update >= MUON:
        return limits
    return replace(limits, update=MUON, repeated=MUON, voting=limits.update)


MUON = 8e-2
"""How far an update of Muon may be, relative. Those alone that are apart by more than what is made
in float32 are asked whether they are: Muon moves a fifth of the tensors, AdamW the others."""
