"""One of several training processes, started by torchrun: `… distributed_child MODEL DIE_AT OUT`.

With DIE_AT above 0 the second process kills itself after that many steps.
"""

import json
import os
import signal
import sys
from pathlib import Path

from stages.training.distributed import rank
from stages.training.engine import Engine
from tests.training.helpers import params, run

RECIPE = {"epochs": 2, "optimizer": "sgd", "lr": 0.02, "augment": ["crop", "cutmix"]}


def main(model: str, die_at: int, out: Path) -> None:
    """Train, and write the loss of every step from the first process."""
    update = Engine.update
    steps = 0

    def mortal(self: Engine) -> None:
        nonlocal steps
        steps += 1
        if rank() == 1 and steps == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        update(self)

    Engine.update = mortal  # type: ignore[method-assign]
    done = run(params(model, train=RECIPE), lambda line: print(f"[{rank()}] {line}", flush=True))
    if rank() == 0:
        out.write_text(json.dumps([row["loss"] for row in done.trained.progress.trace]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
