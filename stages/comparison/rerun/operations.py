"""The log of every operation of a run's first step; the process that `origin` starts.

`python -m stages.comparison.rerun.operations FOLDER LOG [threads=N] [onednn=True] …` with the
run's params.yaml and list of images in FOLDER. The one place that knows torch's DebugMode, which
is private: its log is not used, only its hooks, with byte hashes of our own.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch.utils._debug_mode import DebugMode
from torch.utils.module_tracker import ModuleTracker

from stages.comparison.rerun.origin import STEP, Op, ops_as_json
from stages.comparison.rerun.rebuilt_engine import build_engine, epoch_of, params_of
from stages.runs.sources import open_source
from stages.training.engine import Engine
from stages.training.step_trace import hash_of


def log_first_step(engine: Engine) -> list[Op]:
    """Forward and backward of the first step, operation by operation.

    Inputs are hashed before an operation runs, for it may write into them.
    """
    ops: list[Op] = []
    entered: list[str] = []
    tracker = ModuleTracker()

    def before(func: Any, types: Any, args: Any, kwargs: Any, call: Any) -> None:
        entered.append(hash_of(_tensors([args, kwargs])))

    def after(func: Any, types: Any, args: Any, kwargs: Any, result: Any) -> dict[str, Any]:
        if "empty" in str(func):  # memory with anything in it
            entered.pop()
            return {}
        outputs = _tensors(result)
        kind = str(outputs[0].dtype).removeprefix("torch.") if outputs else "none"
        inputs = entered.pop() if entered else ""
        ops.append(Op(str(func), _innermost(tracker.parents), inputs, hash_of(outputs), kind))
        return {}

    engine.model.train()
    epoch, index = epoch_of(engine, STEP)
    with tracker, DebugMode(), DebugMode.dispatch_hooks(after, pre_log_hook=before):
        engine.gradients(epoch, index)
    return ops


def _innermost(parents: set[str]) -> str:
    """The deepest of the modules at work."""
    return max(parents, key=lambda name: (name.count("."), len(name), name), default="")


def _tensors(value: Any) -> list[torch.Tensor]:
    leaves, _ = torch.utils._pytree.tree_flatten(value)
    return [
        leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.layout == torch.strided
    ]


def main(argv: list[str]) -> None:
    """Set the machine's switches, build the engine, log its first step."""
    folder, log, *settings = argv
    told = dict(setting.split("=", 1) for setting in settings)
    if "onednn" in told:
        torch._C._set_mkldnn_enabled(told["onednn"] == "True")
    if "matmul" in told:
        torch.set_float32_matmul_precision(told["matmul"])
    source = open_source(folder)
    params = params_of(source)
    if "threads" in told:
        params = params.model_copy(update={"threads": int(told["threads"])})
    ops = log_first_step(build_engine(source, params))
    Path(log).write_text(json.dumps(ops_as_json(ops)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
