"""A network in ONNX with eight bits per weight and activation, by ONNX Runtime.

Static quantisation: the range of every activation is that of calibration pictures. Convolutions and
matrix products are quantised, with a scale per channel; all else stays as it is. Source:
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.deployment.network import Subject
from stages.deployment.whole_network import write_onnx

AT_ONCE = 32  # pictures; calibration keeps their activations
QUANTIZED = ["Conv", "Gemm", "MatMul"]


def write_int8(subject: Subject, path: Path) -> None:
    """Raises what the exporter and ONNX Runtime raise."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    exported, prepared = (path.with_suffix(f".{name}.onnx") for name in ("fp32", "prepared"))
    write_onnx(subject, exported)
    quant_pre_process(exported, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared, path, _reader(subject.calibration()), quant_format=QuantFormat.QDQ,
        op_types_to_quantize=QUANTIZED, per_channel=True,
        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip


def _reader(pixels: NDArray[np.uint8]) -> object:
    """The pictures [n, 3, s, s] as ONNX Runtime asks for them: one batch after the other."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, batches: Iterator[NDArray[np.uint8]]) -> None:
            self.batches = batches

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"pixels": batch}

    return Reader(pixels[start : start + AT_ONCE] for start in range(0, len(pixels), AT_ONCE))
