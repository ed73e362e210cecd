"""Files that hold a whole network from pixels to logits, with a free batch size.

ONNX, for ONNX Runtime and most others; PyTorch's exported program; and TorchScript, which PyTorch
has deprecated and C++ programs still load. The facts stand inside under `about`.
"""

from pathlib import Path

import torch

from stages.deployment.network import Run, Subject
from stages.runs.weights_file import ENTRY

BATCH, PIXELS = "batch", "pixels"  # the free dimension, and the input


def _program(subject: Subject) -> torch.export.ExportedProgram:
    shapes = ({0: torch.export.Dim(BATCH)},)
    return torch.export.export(subject.network, (subject.example,), dynamic_shapes=shapes)


def write_program(subject: Subject, path: Path) -> None:
    """Raises what `torch.export` raises."""
    torch.export.save(_program(subject), path, extra_files={ENTRY: subject.facts})


def load_program(path: Path, subject: Subject) -> Run:
    """As PyTorch runs it."""
    run: Run = torch.export.load(path).module()
    return run


def write_onnx(subject: Subject, path: Path) -> None:
    """Raises what `torch.export` and the ONNX exporter raise."""
    program = torch.onnx.export(
        _program(subject), dynamo=True, verbose=False,
        input_names=[PIXELS], output_names=["logits"], dynamic_shapes=({0: BATCH},),
    )  # fmt: skip
    assert program is not None  # as with `dynamo` it never is
    program.model.metadata_props[ENTRY] = subject.facts
    program.save(path, external_data=False)


def load_onnx(path: Path, subject: Subject) -> Run:
    """As ONNX Runtime runs it on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda pixels: torch.from_numpy(session.run(None, {PIXELS: pixels.numpy()})[0])


def write_torchscript(subject: Subject, path: Path) -> None:
    """Raises what tracing raises."""
    traced = torch.jit.trace(subject.network, subject.example)
    torch.jit.save(traced, path, _extra_files={ENTRY: subject.facts})


def load_torchscript(path: Path, subject: Subject) -> Run:
    """As PyTorch runs it."""
    run: Run = torch.jit.load(path)
    return run
