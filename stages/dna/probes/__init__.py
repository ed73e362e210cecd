"""The probe suite, a file per kind of operation. A new probe is a line in its file's PROBES."""

from stages.dna.probe import Probe
from stages.dna.probes import (
    convolutions,
    generators,
    metal,
    normalisations,
    ordering,
    pointwise,
    products,
    reductions,
    sampling,
    training,
)

ROOMS = (
    products, convolutions, normalisations, pointwise, reductions, ordering, sampling, generators,
    training,
)  # fmt: skip

SUITE: dict[str, Probe] = {probe.name: probe for room in ROOMS for probe in room.PROBES}
"""Every probe by name, in the order they run."""

OF_METAL = {probe.name: probe for probe in metal.PROBES}
"""Those that run on MPS besides."""

IN_RUN_PRECISION = (
    "mm", "bmm", "linear", "linear_grad_weight", "conv3x3", "conv3x3_grad_input",
    "conv3x3_grad_weight", "depthwise", "depthwise_grad_weight", "conv3x3_channels_last",
    "conv3x3_channels_last_grad_weight", "attention", "layer_norm", "softmax", "gelu",
    "three_steps_sgd",
)  # fmt: skip
"""Probes that run a second time in the precision of the run, when it is not float32."""
