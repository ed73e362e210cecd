"""Other machines on this box, which `compare` must not take for faults.

Instruction sets, libraries and threads as on another computer. Leaves faults to `faults`.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Machine:
    """Another machine on this box: environment variables, and a statement after `import torch`."""

    environment: dict[str, str] = field(default_factory=dict)
    statement: str = ""
    changes: tuple[str, ...] = ()


MACHINES = {
    "2 threads": Machine(changes=("threads=2",)),
    "3 threads": Machine(changes=("threads=3",)),
    "ATEN AVX2": Machine({"ATEN_CPU_CAPABILITY": "avx2"}),
    "ATEN default": Machine({"ATEN_CPU_CAPABILITY": "default"}),
    "oneDNN AVX2": Machine({"ONEDNN_MAX_CPU_ISA": "AVX2"}),
    "oneDNN SSE4.1": Machine({"ONEDNN_MAX_CPU_ISA": "SSE41"}),
    "MKL compatible": Machine({"MKL_CBWR": "COMPATIBLE"}),
    "all AVX2": Machine({"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2",
                         "MKL_CBWR": "AVX2"}),
    "all minimum": Machine({"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41",
                            "MKL_CBWR": "COMPATIBLE"}),
    "no oneDNN": Machine(statement="torch.backends.mkldnn.enabled = False"),
}  # fmt: skip
