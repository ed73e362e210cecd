"""The pipeline's code: one module per DVC stage, and the rooms they draw on.

Stage modules parse, load, call and write. What is worth knowing lives in the rooms: `core`
(parameters, errors, files, devices, random streams), `dna`, `datasets`, `models`, `tasks`,
`training`, `measures` and `charts`.
"""

import os

# OpenMP threads spin while they wait for one another. On a machine that does anything else at the
# time, the thread waited for is often not running, and a training step takes ten times as long.
# Asleep they cost next to nothing, and no bit changes. Read when torch loads; the user's wins.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
