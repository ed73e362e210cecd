"""What `import stages` finds when a file of this folder is started by its path: how to start it.

Python then looks for modules in this folder first, where there is no package `stages`.
"""

import sys
from pathlib import Path

_started = Path(sys.argv[0]).resolve().relative_to(Path(__file__).resolve().parent)
_module = ".".join(["stages", *_started.with_suffix("").parts])
sys.exit(
    f"error: {_started.name} is part of a package. Start it from the repository's root, as\n"
    f"    cd {Path(__file__).resolve().parent.parent} && python -m {_module}"
)
