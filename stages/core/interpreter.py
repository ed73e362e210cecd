"""The Python that has what the stages need, when another one was started.

`.venv/bin/dvc repro` without activation, as editors call it, runs `python -m stages.…` with the
first Python of the PATH, often the system's. Stays in the syntax of old Pythons, and imports
nothing that must be installed.
"""

import importlib.util
import os
import sys
from pathlib import Path

NEEDED = ("torch", "torchvision", "timm", "pydantic", "ruamel", "sklearn", "safetensors", "pandas")


def ensure_packages() -> None:
    """Go on in the repository's `.venv` when a stage was started where packages are absent.

    Ends the process, with what to do, when there is no such environment or it is incomplete.
    Nothing is done unless the command is `python -m stages.…`.
    """
    command = list(getattr(sys, "orig_argv", ["", "-m", "stages."]))[1:]  # since Python 3.10
    if command[:1] != ["-m"] or not command[1].startswith("stages."):
        return
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not absent:
        return
    for folder in _where_environments_lie():
        python = folder / ".venv" / "bin" / "python"
        elsewhere = Path(sys.prefix).resolve() != (folder / ".venv").resolve()
        if elsewhere and python.is_file() and hasattr(sys, "orig_argv"):
            os.execv(str(python), [str(python), *command])
    sys.exit(
        f"error: {sys.executable} lacks {', '.join(absent)}.\nSet up the environment with `make "
        "repro`, or activate it with `source .venv/bin/activate`,\nthen run the same command again."
    )


def _where_environments_lie() -> "list[Path]":
    """The checkout; and the one that a temporary clone, or a DVC project within, belongs to."""
    here = Path(__file__).resolve().parents[2]
    root = Path(os.environ.get("DVC_ROOT", str(here)))
    return [here, root, root.parent]
