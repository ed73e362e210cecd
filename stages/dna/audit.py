"""Does the digest see what changes bits, and nothing else? Every known switch, tried.

Each switch runs the probe suite in a process of its own, for most are read when PyTorch starts.
The expectations were measured with PyTorch 2.13 and 2.15 on x86-64 with AVX-512.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Switch:
    """A change of environment variables or of PyTorch's settings, and whether bits change."""

    name: str
    changes_bits: bool
    environment: dict[str, str] = field(default_factory=dict)
    statement: str = ""


def _instructions(aten: str, onednn: str, mkl: str) -> dict[str, str]:
    return {"ATEN_CPU_CAPABILITY": aten, "ONEDNN_MAX_CPU_ISA": onednn, "MKL_CBWR": mkl}


SWITCHES = (
    Switch("deterministic algorithms", False,
           statement="torch.set_deterministic_debug_mode('error')"),
    Switch("flush denormals", False, statement="torch.set_flush_denormal(True)"),
    Switch("MKL_ENABLE_INSTRUCTIONS=AVX2", False, {"MKL_ENABLE_INSTRUCTIONS": "AVX2"}),
    Switch("ONEDNN_DEFAULT_FPMATH_MODE=BF16", False, {"ONEDNN_DEFAULT_FPMATH_MODE": "BF16"}),
    Switch("1 thread", True, statement="torch.set_num_threads(1)"),
    Switch("4 threads", True, statement="torch.set_num_threads(4)"),
    Switch("ATEN_CPU_CAPABILITY=avx2", True, {"ATEN_CPU_CAPABILITY": "avx2"}),
    Switch("ATEN_CPU_CAPABILITY=default", True, {"ATEN_CPU_CAPABILITY": "default"}),
    Switch("ONEDNN_MAX_CPU_ISA=AVX2", True, {"ONEDNN_MAX_CPU_ISA": "AVX2"}),
    Switch("ONEDNN_MAX_CPU_ISA=SSE41", True, {"ONEDNN_MAX_CPU_ISA": "SSE41"}),
    Switch("MKL_CBWR=AVX2", True, {"MKL_CBWR": "AVX2"}),
    Switch("MKL_CBWR=COMPATIBLE", True, {"MKL_CBWR": "COMPATIBLE"}),
    Switch("all three at AVX2", True, _instructions("avx2", "AVX2", "AVX2")),
    Switch("all three at the minimum", True, _instructions("default", "SSE41", "COMPATIBLE")),
    Switch("oneDNN off", True, statement="torch.backends.mkldnn.enabled = False"),
    Switch("float32 matmul precision medium", True,
           statement="torch.set_float32_matmul_precision('medium')"),
)  # fmt: skip

_CHILD = """
import json, torch
torch.set_num_threads(2)
{statement}
from stages.dna.numerics import digest, measure_suite
device = torch.device("cpu")
readings = measure_suite(device)
bits = {{name: reading.bits for name, reading in readings.items()}}
print(json.dumps([digest(readings, device), bits]))
"""


@dataclass(frozen=True)
class Outcome:
    """The digest under a switch, and the probes whose bits it changed."""

    digest: str
    changed: list[str]


def try_switches(switches: Iterable[Switch] = SWITCHES) -> Iterator[tuple[Switch, Outcome]]:
    """Run the suite under each switch, on two threads, and hold it against the suite without."""
    _, base = _run(Switch("none", False))
    for switch in switches:
        digest, found = _run(switch)
        yield switch, Outcome(digest, [name for name in found if found[name] != base[name]])


def audit_switches(say: Callable[[str], None]) -> int:
    """Try every switch and tell; 0 when all are as expected, else 1."""
    if platform.machine() not in ("x86_64", "AMD64"):
        say("The switches are those of x86-64; on this machine the audit has nothing to try.")
        return 0
    wrong = 0
    for switch, outcome in try_switches():
        expected = bool(outcome.changed) == switch.changes_bits
        wrong += not expected
        say(f"{'as expected' if expected else 'UNEXPECTED':11}  {len(outcome.changed):3} changed  "
            f"{switch.name}: {' '.join(outcome.changed) or '-'}")  # fmt: skip
    return int(wrong > 0)


def _run(switch: Switch) -> tuple[str, dict[str, str | None]]:
    """The digest under a switch, and every probe's bits."""
    environment = {**os.environ, **switch.environment}
    child = _CHILD.format(statement=switch.statement)
    done = subprocess.run(
        [sys.executable, "-c", child], env=environment, check=True, capture_output=True, text=True
    )
    digest, bits = json.loads(done.stdout)
    return digest, bits
