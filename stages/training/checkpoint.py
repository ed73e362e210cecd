"""Checkpoints that survive a kill at any instant, and are never another run's.

A run's folder under `$DVC_ROOT/.work/checkpoints/` is named by a hash of all that decides its
weights (parameters, subset, machine identity, code), so another configuration never finds it. A
file's name carries the SHA-256 of its bytes: a truncated or altered one is passed over and the one
before it is taken, which is why two are kept. A lock in the folder lets one process train a run at
a time.
"""

import hashlib
import io
import math
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from filelock import FileLock, Timeout

from stages.core.errors import TrainingError
from stages.core.files import replacing, sha256_of_json
from stages.core.params import Params
from stages.core.paths import work_folder
from stages.runs.code import code_files, code_id
from stages.training.distributed import rank, world_size

KEPT = 2
SHARE = 1 / 20
"""Of the time, what checkpoints at the ends of epochs may take: on a GPU epochs of little data are
shorter than writing the weights and moments of a large network."""
TRAINING = "stages.training.run"  # what it executes decides the weights
_NAME = re.compile(r"^step-(\d{8})-([0-9a-f]{64})\.pt$")


def run_key(params: Params, inputs: dict[str, str]) -> str:
    """The name of a run: 20 hex digits over everything that decides its weights and its trace.

    `inputs` names the hashes of what the run was made from, such as subset and machine.
    """
    decisive = params.model_dump(mode="json", exclude={"profile"})
    decisive["train"].pop("checkpoint_steps")
    decisive["world_size"] = world_size()  # over several nodes more than `train.devices`
    code = code_id(code_files(TRAINING, params))
    return sha256_of_json({"params": decisive, "inputs": inputs, "code": code})[:20]


def checkpoint_folder(key: str) -> Path:
    """Where the run of that key keeps its checkpoints."""
    return work_folder() / "checkpoints" / key


class Checkpoints:
    """The checkpoints of one run. Use as a context: holds the run's lock.

    Raises TrainingError on entry when another process holds it.
    """

    def __init__(self, key: str, log: Callable[[str], None] = print) -> None:
        self.folder = checkpoint_folder(key)
        self._log = log
        self._lock = FileLock(self.folder / "lock")
        self._saved_at, self._took_seconds = -math.inf, 0.0

    def __enter__(self) -> Self:
        if rank() > 0:
            return self
        self.folder.mkdir(parents=True, exist_ok=True)
        holder = self.folder / "pid"
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            pid = holder.read_text().strip() if holder.exists() else "unknown"
            raise TrainingError(
                f"Process {pid} is already training this very run (its checkpoints are in "
                f"{self.folder}). Wait until it is done, or stop it with `kill {pid}` and run "
                "again: training goes on from its last checkpoint."
            ) from None
        holder.write_text(str(os.getpid()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    def is_due(self) -> bool:
        """Whether a next one, if it takes as long as the last, keeps them within `SHARE`."""
        return time.perf_counter() - self._saved_at >= self._took_seconds / SHARE

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write the state after `step` steps; older files go once the new one is on the disk.

        A checkpoint that cannot be written (full disk, read-only folder) is told and passed over:
        the training itself is not lost by it. Of several processes the first alone writes.
        """
        if rank() > 0:
            return
        began = time.perf_counter()
        payload = _serialised(state)
        name = f"step-{step:08d}-{hashlib.sha256(payload).hexdigest()}.pt"
        if self._write(name, payload, f"checkpoint after step {step}"):
            for _, _, path in self._files()[KEPT:]:
                path.unlink(missing_ok=True)
        self._saved_at = time.perf_counter()
        self._took_seconds = self._saved_at - began

    def load(self) -> tuple[int, dict[str, Any]] | None:
        """The newest whole checkpoint as (steps, state), tensors on the CPU, or None."""
        for step, digest, path in self._files():
            try:
                payload = path.read_bytes()
            except FileNotFoundError:  # another process of this run found it damaged
                continue
            if hashlib.sha256(payload).hexdigest() != digest:
                self._log(f"checkpoint after step {step} is damaged; trying the one before it")
                path.unlink(missing_ok=True)  # or it would count as one of the two that are kept
                continue
            state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
            return step, state
        return None

    def save_snapshot(self, step: int, state: dict[str, Any]) -> None:
        """Keep the engine's state after `step` steps for replay, beside the checkpoints.

        One that cannot be written is told and passed over. Of several processes the first alone
        writes.
        """
        if rank() == 0:
            what = f"snapshot after step {step}"
            self._write(f"snapshot-{step:08d}.pt", _serialised(state), what)

    def _write(self, name: str, payload: memoryview, what: str) -> bool:
        """Whether the file is whole in its place."""
        try:
            with replacing(self.folder / name) as temporary:
                temporary.write_bytes(payload)
        except OSError as error:
            self._log(f"{what} not written ({error}); training goes on")
            return False
        return True

    def snapshots(self) -> list[Path]:
        """The snapshots so far, in the order of their steps."""
        return sorted(self.folder.glob("snapshot-*.pt"))

    def clear(self) -> None:
        """Remove all of the run but the lock it holds; its result is in place."""
        if rank() > 0:
            return
        for path in self.folder.iterdir():
            if path.name != "lock":
                path.unlink(missing_ok=True)

    def _files(self) -> list[tuple[int, str, Path]]:
        """(step, digest, path) of the files that bear a checkpoint's name, newest first."""
        found = [
            (int(match[1]), match[2], path)
            for path in (self.folder.iterdir() if self.folder.exists() else ())
            if (match := _NAME.match(path.name))
        ]
        return sorted(found, reverse=True)


def _serialised(state: dict[str, Any]) -> memoryview:
    """In memory first: `torch.save` to a full disk raises whatever its C++ part happens to."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getbuffer()
