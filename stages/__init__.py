"""The pipeline's code: one module per DVC stage, and the rooms they draw on.

Stage modules parse, load, call and write. What is worth knowing lives in the rooms: `core`
(parameters, errors, files, devices, random streams), `dna`, `datasets`, `models`, `tasks`,
`training` and `measures`; `runs`, `comparison` and `studies` for runs beside each other; `charts`,
`pages` and `reporting` for what people look at; and `deployment`.
"""

import atexit
import gc
import os
import sys

from stages.core.interpreter import ensure_packages

ensure_packages()

# OpenMP threads spin while they wait for one another, by default for milliseconds. On a machine
# that does anything else at the time, the thread waited for is often not running, and a training
# step takes up to a hundred times as long; asleep at once, a network of many small operations
# loses half its speed to being woken. A thousand turns, some microseconds, are within a seventh of
# the best in either case (`benchmarks/waiting_threads.py`). No bit changes. Read when torch loads;
# the user's own setting wins.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# Python looks for cycles among all objects after every 700 new ones, and once more as it ends.
# Loading torch, timm and scikit-learn makes a million that stay: together a fifth of the start, and
# a second at the end, when the system takes all memory back anyway (`benchmarks/starts.py`).
gc.set_threshold(10_000)


@atexit.register  # before all others, so that it is the last to be called
def _end_at_once() -> None:
    gc.freeze()
    if "triton" in sys.modules:  # comes with torchvision, and lists on stderr what is not collected
        sys.stdout.flush()  # while a full disk can still be told
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
