"""A trained model in eight bits: the file of it, and how right its answers still are.

The file holds the network from pixels to logits, as that in ONNX does, calibrated on training
pictures. Quantising itself is left to `measures.profiling.int8`.
"""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.core.variant_names import INT8
from stages.deployment.held import Reference, hold, logits_of_file
from stages.deployment.network import Subject
from stages.deployment.whole_network import PIXELS, load_onnx, write_onnx
from stages.measures.evaluation.accuracy import wilson_interval
from stages.measures.evaluation.unequal import are_unequal, balanced_figures
from stages.measures.profiling.int8 import quantize
from stages.measures.profiling.try_measure import try_measure

CALIBRATION = 256  # pictures
AT_ONCE = 32  # pictures; calibration keeps their activations


def write_int8(subject: Subject, path: Path) -> None:
    """Raises what the exporter and ONNX Runtime raise."""
    exported = path.with_suffix(".fp32.onnx")
    write_onnx(subject, exported)
    pixels = subject.calibration()[:CALIBRATION]
    starts = range(0, len(pixels), AT_ONCE)
    quantize(exported, path, ({PIXELS: pixels[start : start + AT_ONCE]} for start in starts))


def int8_figures(subject: Subject, reference: Reference) -> dict[str, Any]:
    """How right the model is in int8: for metrics/evaluate.json, all keys beginning with int8.

    `int8_top1` is a share with its 95 % interval; the others are counts of test pictures (see
    `Held`), how many it was calibrated on and, where classes are unequal, the figures that count
    them alike. Where there is no such file, `int8_reason` says why.
    """

    def measured() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's internals and future
            path = Path(folder) / "model.onnx"
            write_int8(subject, path)
            logits = logits_of_file(load_onnx(path, subject), reference.test)
        held, labels = hold(logits, reference), reference.test.labels
        low, high = wilson_interval(held.correct, held.pictures)
        return {
            "int8_top1": held.correct / held.pictures,
            "int8_top1_low": low,
            "int8_top1_high": high,
            "int8_same_top1": held.same_top1,
            "int8_lost": held.lost,
            "int8_gained": held.gained,
            "int8_calibrated_on": min(CALIBRATION, len(subject.calibration())),
            **(_balanced(labels, logits.argmax(1).numpy()) if _unequal(subject, labels) else {}),
        }

    figures, reason = try_measure(measured)
    return figures or {"int8_reason": reason}


def _unequal(subject: Subject, labels: NDArray[np.int64]) -> bool:
    return are_unequal(np.bincount(labels, minlength=len(subject.about.classes)))


def _balanced(labels: NDArray[np.int64], found: NDArray[np.int64]) -> dict[str, float]:
    figures = balanced_figures(labels, found)
    return {key.replace("test", INT8): value for key, value in figures.items()}
