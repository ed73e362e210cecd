"""A study with made-up cells in the format of `stages.studies.run.cell`, for quick tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from stages.core import files
from stages.studies.run.code import cell_code
from stages.studies.spec.identity import identity_of
from stages.studies.spec.study_config import StudyConfig, load_study_config

CLASSES = [f"class {i}" for i in range(5)]
STORY: dict[str, Any] = {
    "title": "A made-up study",
    "question": "Does the page say what the cells say?",
    "source": "Made up.",
    "claims": [
        {"claim": "good beats poor at 100", "source": "80 against 50 %"},
        {"claim": "poor beats good at 400", "source": "a slip"},
        {"claim": "good overfits less than poor at 400", "source": "1 against 20 points"},
        {"claim": "fair beats poor by 90 points", "source": "a slip"},
        {"claim": "good reaches 99 %", "source": "99 %"},
    ],
    "reported": [
        {"model": "good", "size": 400, "top1": 0.8, "corrected": "the source has 8.0"},
        {"model": "resnet18", "size": 400, "top1": 0.1},
    ],
    "targets": [{"model": "good", "minimum_top1": 0.5, "reported_top1": 0.8}],
}
SKILL = {"good": 0.8, "fair": 0.7, "poor": 0.4}


def make_study(
    root: Path,
    models: tuple[str, ...] = ("good", "fair", "poor"),
    sizes: tuple[int, ...] = (100, 200, 400),
    seeds: int = 2,
    recipes: Mapping[str, dict[str, Any]] | None = None,
    more: Mapping[str, Any] | None = None,
) -> StudyConfig:
    """Write params.yaml and study.yaml under `root`/studies/made; the caller works in `root`.

    `more` are further keys of params.yaml.
    """
    recipes = recipes or {"plain": {}}
    grid = {"models": list(models), "sizes": list(sizes), "recipes": list(recipes)}
    values = {
        "grids": {"main": {**grid, "seeds": list(range(seeds))}},
        "base": {
            "dataset": {"name": "digits", "folder": "pictures"},
            "threads": 1,
            "train": {"epochs": 3},
        },
        "recipes": dict(recipes),
        **(more or {}),
    }
    folder = root / "studies" / "made"
    files.write_text(folder / "params.yaml", yaml.safe_dump(values))
    files.write_text(folder / "study.yaml", yaml.safe_dump(_story(models, sizes)))
    return load_study_config("made")


def _story(models: tuple[str, ...], sizes: tuple[int, ...]) -> dict[str, Any]:
    """STORY without what it says of models and sizes that the grid has not."""
    absent = {*SKILL, "100", "400"} - {*models, *map(str, sizes)}
    claims = [claim for claim in STORY["claims"] if not absent & {*claim["claim"].split()}]
    reported = [row for row in STORY["reported"] if not absent & {row["model"], str(row["size"])}]
    return {**STORY, "claims": claims, "reported": reported}


def fill(
    form: StudyConfig, machine: str = "aaaa-1111", faster: float = 1.0, images_per_class: int = 40
) -> None:
    """Write every cell of the form, deterministically; accuracy grows with skill and size."""
    for cell in form.cells:
        write_cell(form, cell.name, machine, faster, images_per_class)


def write_cell(
    form: StudyConfig, name: str, machine: str, faster: float = 1.0, images_per_class: int = 40,
    classes: Sequence[str] = CLASSES, dataset: str = "made-up", backend: str = "cpu",
) -> None:  # fmt: skip
    """Write one made-up cell; `faster` divides its times."""
    cell = next(one for one in form.cells if one.name == name)
    images = int(cell.size)
    draws = np.random.default_rng([cell.seed, images, len(cell.model), ord(cell.model[0])])
    label = np.tile(np.arange(len(classes)), images_per_class)
    skill = 1 - (1 - SKILL.get(cell.model, 0.6)) * (images / 100) ** -0.3
    right = draws.random(len(label)) < skill
    predicted = np.where(right, label, (label + 1) % len(classes))
    top1 = float(right.mean())
    folder = form.cell_folder(cell)
    table = pd.DataFrame({"label": label, "predicted": predicted, "confidence": 0.5})
    table.insert(0, "name", [f"test/{i}" for i in range(len(label))])
    files.write_csv(folder / "predictions.csv", table)
    epoch = np.arange(1, 4)
    history = {"epoch": epoch, "lr": 0.1, "train_loss": 2.0 / epoch, "val_loss": 2.2 / epoch}
    files.write_csv(folder / "history.csv", pd.DataFrame(history).assign(seconds=1.0))
    size = {"good": 20e6, "fair": 5e6, "poor": 1e6}.get(cell.model, 2e6)
    seconds = 3e-6 * size / faster
    train = {
        "train_top1": min(1.0, top1 + 0.1), "val_top1": top1, "train_loss": 0.6, "val_loss": 0.7,
        "train_seconds": seconds, "epoch_seconds_p50": seconds / 3, "epochs_run": 3,
        "best_epoch": 3, "weights_hash": f"{cell.model}{cell.recipe}{cell.seed}",
    }  # fmt: skip
    evaluate = {
        "test_loss": 0.7, "test_top1": top1, "test_top1_low": top1 - 0.05,
        "test_top1_high": top1 + 0.05, "test_images": len(label),
        "top1_per_class": dict.fromkeys(classes, top1),
    }  # fmt: skip
    about = {
        "cell": name, "model": cell.model, "size": cell.size, "recipe": cell.recipe,
        "seed": cell.seed, "status": "finished", "diverged": None, "dataset": dataset,
        "task": "classify", "epochs": 3, "train_images": images, "val_images": 50,
        "test_images": len(label), "params_id": identity_of(form.params(cell)),
        "machine": {"id": machine, "declared_id": machine[:-5], "numeric_id": machine[-4:],
                    "chip": "made-up chip", "backend": backend, "os": "Linux", "torch": "2",
                    "threads": 1},
        "code": cell_code(form.params(cell)), "trace": {}, "cell_seconds": seconds + 2,
        "train": train, "evaluate": evaluate,
        "profile": _profile(form.params(cell).input_size, size),
    }  # fmt: skip
    files.write_json(folder / "cell.json", about)


def _profile(input_px: int, size: float) -> dict[str, Any]:
    """What a network of `size` parameters costs."""
    return {
        "input_px": input_px, "params_total": size,
        "macs_g": size / 1e9, "latency_ms_p50": size / 1e6,
        "latency_note": None, "throughput_images_per_second": 1e9 / size,
        "throughput_batch_size": 64, "peak_memory_mb": None,
        "peak_memory_reason": "the allocator reported nothing",
        "training_images_per_second": 3e8 / size,
    }  # fmt: skip
