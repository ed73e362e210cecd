"""Float64 references of the probes: computed once, shipped beside this file.

`python -m stages.dna --write-references` makes the file anew after a probe was added or changed.
At most SAMPLE values are kept per probe, evenly spaced over its output.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from stages.core.files import replacing
from stages.dna.probe import Probe
from stages.dna.probes import SUITE

PATH = Path(__file__).with_suffix(".safetensors")
SAMPLE = 256


def sample(values: torch.Tensor) -> NDArray[np.float64]:
    """At most SAMPLE values of a tensor, evenly spaced in its logical order, as float64."""
    flat = values.detach().cpu().reshape(-1)
    count = min(SAMPLE, len(flat))
    return flat[torch.arange(count) * len(flat) // count].double().numpy()


def compute_reference(probe: Probe) -> NDArray[np.float64]:
    """The probe in float64 on the CPU; its error is some 1e-9 of what float32 shows."""
    return sample(probe.compute(*probe.inputs(torch.float64)))


def write_references() -> None:
    """Compute every reference and replace the shipped file."""
    from safetensors.numpy import save_file

    values = {
        name: compute_reference(probe) for name, probe in SUITE.items() if probe.has_reference
    }
    with replacing(PATH) as temporary:
        save_file(values, temporary)


@cache
def references() -> dict[str, NDArray[np.float64]]:
    """The shipped references by probe name."""
    from safetensors.numpy import load_file

    return load_file(PATH)
