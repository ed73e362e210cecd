"""A network exported to ONNX and run by ONNX Runtime, as on a Jetson or a Raspberry Pi.

The batch size stays open where the exporter can prove that it may; otherwise the network is
exported anew for each batch size.
"""

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stages.measures.profiling.int8 import quantize
from stages.measures.profiling.profiled_model import Inputs


class OnnxRuntime:
    """A network in ONNX Runtime: called with CPU tensors, it returns the first output.

    `provider` is what runs it. In `int8` it is calibrated on the inputs that it is exported with,
    which is enough to time it, and runs on the CPU. Raises what the exporter or the runtime raises.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Inputs,
        device: torch.device,
        threads: int,
        int8: bool = False,
    ) -> None:
        self.model, self.threads, self.int8 = model.cpu().eval(), threads, int8
        self.wanted = ["CUDAExecutionProvider"] if device.type == "cuda" and not int8 else []
        session = self._export(inputs, open_batch=True)
        size = session.get_inputs()[0].shape[0]
        # Under None lies the session that takes any batch size.
        self.sessions: dict[int | None, Any] = {size if isinstance(size, int) else None: session}
        self.provider: str = session.get_providers()[0].removesuffix("ExecutionProvider")

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The first output for CPU tensors; exports anew for a batch size not met before."""
        session = self.sessions.get(None) or self.sessions.get(len(inputs[0]))
        if session is None:
            session = self.sessions[len(inputs[0])] = self._export(inputs, open_batch=False)
        feed = _feed([entry.name for entry in session.get_inputs()], inputs)
        return torch.from_numpy(session.run(None, feed)[0])

    def _export(self, inputs: Inputs, open_batch: bool) -> Any:
        """A session of the network exported with these inputs; the file is gone when it is made."""
        import onnxruntime

        shapes = tuple({0: torch.export.Dim.AUTO} for _ in inputs) if open_batch else None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        available = onnxruntime.get_available_providers()
        providers = [*(name for name in self.wanted if name in available), "CPUExecutionProvider"]
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter warns of its own internals
            path = Path(folder) / "model.onnx"
            program = torch.onnx.export(
                self.model, inputs, path, dynamo=True, dynamic_shapes=shapes, verbose=False,
                external_data=not self.int8,  # quantising moves the file
            )  # fmt: skip
            assert program is not None  # as with `dynamo` it never is
            if self.int8:
                exported, path = path, path.with_name("model.int8.onnx")
                names = [str(entry.name) for entry in program.model.graph.inputs]
                quantize(exported, path, [_feed(names, inputs)])
            return onnxruntime.InferenceSession(str(path), options, providers=providers)


def _feed(names: Sequence[str], inputs: Inputs) -> dict[str, Any]:
    return {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
