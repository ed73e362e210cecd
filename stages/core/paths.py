"""Where things lie. The names of all files that stages hand to one another, in one place.

Paths are relative to the working directory, which DVC sets to the pipeline's root; only the
folders that must outlive a run or a temporary clone are found through `DVC_ROOT`.
"""

import os
from pathlib import Path

STUDIES = Path("studies")
PARAMS = Path("params.yaml")
PIPELINE = Path("dvc.yaml")
TARGETS = Path("targets.yaml")

MANIFEST = Path("data/manifest.json")
POOL = Path("data/pool.csv")
NEAR_DUPLICATES = Path("data/near_duplicates.csv")
INDICES = Path("data/indices.csv")
CLASS_COUNTS = Path("data/class_counts.csv")
WEIGHTS = Path("data/weights.safetensors")
ALL_PREDICTIONS = Path("data/predictions.csv")
SNAPSHOTS = Path("data/snapshots")

HARDWARE = Path("metrics/hardware.json")
MACHINE = Path("metrics/machine.json")
IDENTITY = Path("metrics/identity.json")
CODE = Path("metrics/code.json")
NUMERICS = Path("metrics/numerics.json")
SUBSET_METRICS = Path("metrics/subset.json")
TRAIN_METRICS = Path("metrics/train.json")
STEPS = Path("metrics/steps.json")
EVALUATE_METRICS = Path("metrics/evaluate.json")
PROFILE_METRICS = Path("metrics/profile.json")

HISTORY = Path("plots/history.csv")
TRACE = Path("plots/trace.csv")
PER_CLASS = Path("plots/per_class.csv")
PREDICTIONS = Path("plots/predictions.csv")
RELIABILITY = Path("plots/reliability.csv")
PROFILE_TABLE = Path("plots/profile.csv")
PROFILE_BLOCKS = Path("plots/profile_blocks.csv")
PICTURES = Path("plots/pictures")

REPORT_HTML = Path("report/index.html")
REPORT_MD = Path("report/report.md")
MODEL_CARD = Path("report/model_card.md")
ZOO_CSV = Path("report/zoo.csv")
ZOO_MD = Path("report/zoo.md")

SUBMITTED = "submitted"  # below `work_folder`: cells that run as jobs, until they are gathered


def dvc_root() -> Path:
    """The real repository's root, also inside DVC's temporary clones (DVC sets `DVC_ROOT`).

    The studies are a DVC project of their own, whose `DVC_ROOT` is a folder of the repository.
    """
    root = Path(os.environ.get("DVC_ROOT", "."))
    inner = root.name == STUDIES.name and (root.parent / ".dvc").is_dir()
    return root.parent if inner else root


def raw_folder() -> Path:
    """Downloaded archives, shared by every experiment of this repository."""
    return dvc_root() / "data" / "raw"


def work_folder() -> Path:
    """Caches and checkpoints: never in git, never a DVC output.

    Safe to delete between runs, but for what was `SUBMITTED` and is not gathered yet.
    """
    return dvc_root() / ".work"


def shown_path(path: str) -> str:
    """A path to be shown or recorded: where it lies on a disk may tell a user's name."""
    return f"/path/to/{Path(path).name}" if Path(path).expanduser().is_absolute() else path
