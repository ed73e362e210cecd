"""A network in ONNX with eight bits per weight and activation, by ONNX Runtime.

Static quantisation: the range of every activation is that of images shown to the network for
calibration. Convolutions and matrix products are quantised, with a scale per channel; all else
stays as it is. Source:
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

QUANTIZED = ["Conv", "Gemm", "MatMul"]
Feed = Mapping[str, NDArray[Any]]
"""A batch: an array per input of the network, by the input's name."""


def quantize(exported: Path, out: Path, shown: Iterable[Feed]) -> None:
    """Write the network of the ONNX file `exported` to `out` in int8, calibrated on `shown`.

    A file in between is left beside `out`. Raises what ONNX Runtime raises.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = out.with_suffix(".prepared.onnx")
    quant_pre_process(exported, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared, out, _reader(iter(shown)), quant_format=QuantFormat.QDQ,
        op_types_to_quantize=QUANTIZED, per_channel=True,
        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip


def _reader(batches: Iterator[Feed]) -> object:
    """The batches as ONNX Runtime asks for them: one after the other."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> Feed | None:
            return next(batches, None)

    return Reader()
