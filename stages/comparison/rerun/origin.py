"""The first operation that gets equal inputs and gives another output.

Every operation of one training step is logged with hashes of its inputs and outputs, through
torch's DebugMode; two logs are then held side by side. A log is made in a process of its own under
the switches of a run, so that a machine whose switches this one can set is stood in for here; the
log of a machine that cannot be is saved there (`--save-ops`) and brought along.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from stages.core import paths
from stages.core.counts import counted
from stages.core.errors import RunError
from stages.runs.run import Run
from stages.runs.sources import Source

STEP = 1


@dataclass(frozen=True)
class Op:
    """One operation: its name, the module it ran in, and hashes of what went in and came out."""

    name: str
    module: str
    inputs: str
    outputs: str
    dtype: str


@dataclass(frozen=True)
class Origins:
    """`origins` are the operations with equal inputs and other outputs, in the order computed.

    `operations` counts those that stand in both logs, `differing` those with other outputs, of
    which `first_differing` is the first. `only_in_one` names the first operation that has no
    counterpart, if there is one.
    """

    operations: int
    differing: int
    origins: list[Op]
    first_differing: Op | None
    only_in_one: str | None

    def describe(self) -> str:
        """One sentence."""
        if not self.origins:
            return self._without_origin()
        first = self.origins[0]
        more = len(self.origins) - 1
        return (
            f"First divergence in `{first.name}` of `{first.module}` ({first.dtype}): equal "
            f"inputs, other output; {self.differing} of {counted(self.operations, 'operation')} "
            "differ" + (f", {more} more of them with equal inputs." if more else ".")
        )

    def _without_origin(self) -> str:
        if self.only_in_one:
            return f"The operations themselves differ, first at {self.only_in_one}."
        if self.first_differing is None:
            return f"The same bits in {counted(self.operations, 'operation')} of step {STEP}."
        first = self.first_differing
        return (
            f"No operation makes the difference: {self.differing} of {self.operations} give other "
            f"bits, each from other inputs. What enters the first of them, `{first.name}` in "
            f"`{first.module}`, differs already: look at images, weights and settings."
        )


def find_origins(a: Sequence[Op], b: Sequence[Op]) -> Origins:
    """Hold two logs side by side. Operations without a counterpart are stepped over."""
    ours, theirs = ([(op.name, op.module) for op in log] for log in (a, b))
    blocks = SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()
    pairs = [(a[m.a + i], b[m.b + i]) for m in blocks for i in range(m.size)]
    differing = [(one, other) for one, other in pairs if one.outputs != other.outputs]
    paired_a = {m.a + i for m in blocks for i in range(m.size)}
    alone = next((op for index, op in enumerate(a) if index not in paired_a), None)
    if alone is None and len(b) > len(pairs):
        paired_b = {m.b + i for m in blocks for i in range(m.size)}
        alone = next(op for index, op in enumerate(b) if index not in paired_b)
    return Origins(
        operations=len(pairs),
        differing=len(differing),
        origins=[one for one, other in differing if one.inputs == other.inputs],
        first_differing=differing[0][0] if differing else None,
        only_in_one=f"`{alone.name}` in `{alone.module}`" if alone else None,
    )


def load_ops(path: Path) -> list[Op]:
    """A saved log. Raises RunError when it is none."""
    try:
        return [Op(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise RunError(
            f"{path} is no log of operations ({error}). Make one with "
            "`python -m stages.compare RUN --save-ops FILE` on the other machine."
        ) from None


def ops_as_json(ops: Sequence[Op]) -> list[dict[str, Any]]:
    """A log as it is saved."""
    return [asdict(op) for op in ops]


def capture_ops(source: Source, record: Run | None = None) -> list[Op]:
    """The log of the run's first step, computed here in a process of its own.

    With `record`, under the switches that its machine had, else as this process. Raises
    RunError when the run lacks what it takes, or the step fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        _lay_out(source, Path(folder))
        log = Path(folder) / "ops.json"
        command = [sys.executable, "-m", "stages.comparison.rerun.operations", folder, str(log)]
        done = subprocess.run(
            [*command, *_settings(record)], env=_environment(record), capture_output=True, text=True
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            told = re.sub(r"^stages\.[\w.]+: ", "", last)
            raise RunError(f"The first step of {source.name} could not be repeated here: {told}")
        return load_ops(log)


def _lay_out(source: Source, folder: Path) -> None:
    """The files of the run that its first step takes; the metrics tell what it was made with.

    Raises RunError when parameters or images are missing.
    """
    needed = (paths.PARAMS, paths.INDICES)
    for path in (*needed, paths.SUBSET_METRICS, paths.TRAIN_METRICS):
        content = source.read(path)
        if content is None and path not in needed:
            continue
        if content is None:
            raise RunError(f"{source.name} has no {path}, so its first step cannot be repeated.")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _environment(record: Run | None) -> dict[str, str]:
    """The environment of this process, with the switches of the record's machine for its own."""
    from stages.dna.switches import ENVIRONMENT

    kept = dict(os.environ)
    if record is None:
        return kept
    kept = {name: value for name, value in kept.items() if name not in ENVIRONMENT}
    switches = {str(k): str(v) for k, v in record.hardware.get("environment", {}).items()}
    return kept | switches


def _settings(record: Run | None) -> list[str]:
    """Settings of PyTorch itself that the record's machine had."""
    if record is None:
        return []
    told = {
        "threads": record.hardware.get("threads"),
        "onednn": record.hardware.get("onednn_enabled"),
        "matmul": record.hardware.get("float32_matmul_precision"),
    }
    return [f"{name}={value}" for name, value in told.items() if value is not None]
