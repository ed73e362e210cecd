"""One small, whole run in a folder of its own: pictures, subset, fingerprint, training, evaluation.

`python -m benchmarks.small_run FOLDER [--fault NAME] [--statement CODE] [key=value …]` is what
`planted_faults.py` starts for every stand-in machine and every fault, in a process of its own.
The pictures are made here, in colour and of another size than the network sees, so that faults of
channels and resizing can show.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from stages.core import streams

CLASSES = ("amber", "blue", "green", "red")
COLOURS = ((0.7, 0.5, 0.3), (0.3, 0.4, 0.7), (0.35, 0.65, 0.4), (0.7, 0.35, 0.35))
PX = 16
PARAMS = {
    "model": "timm/test_resnet",
    "device": "cpu",
    "threads": 1,
    "dataset": {"name": "image_folder", "folder": "pictures"},
    "subset": {"val": 0.1},
    "train": {"epochs": 4, "batch_size": 32, "lr": 0.003, "warmup_epochs": 1, "augment": ["flip"]},
    "evaluate": {"batch_size": 100},
}


def make_pictures(folder: Path, train: int = 120, test: int = 75) -> None:
    """Noisy pictures of four classes: a colour and a striped direction, both faint."""
    for split, count in (("train", train), ("test", test)):
        for label, name in enumerate(CLASSES):
            target = folder / split / name
            target.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                Image.fromarray(_picture(split, label, index)).save(target / f"{index:04d}.png")


def _picture(split: str, label: int, index: int) -> np.ndarray:
    draws = streams.uniforms(streams.stream(0, split, label, index), PX * PX * 3 + 4)
    noise, (phase, strength, *_) = draws[4:].reshape(PX, PX, 3), draws[:4]
    y, x = np.mgrid[0:PX, 0:PX]
    stripes = ((x, y, x + y, x - y)[label] + int(phase * 8)) % 8 < 4
    pale = 0.5 + (np.array(COLOURS[label]) - 0.5) * strength
    values = 0.55 * noise + 0.45 * pale + 0.12 * stripes[..., None] - 0.06
    return (np.clip(values, 0, 1) * 255).astype(np.uint8)


def run(folder: Path, changes: dict[str, object]) -> None:
    """All stages in `folder`, whose pictures lie in `folder/../pictures`."""
    folder.mkdir(parents=True, exist_ok=True)
    values = yaml.safe_load(yaml.safe_dump(PARAMS))
    values["dataset"]["folder"] = str((folder.parent / "pictures").resolve())
    for key, value in changes.items():
        section, _, last = key.rpartition(".")
        (values.setdefault(section, {}) if section else values)[last] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    os.chdir(folder)
    from stages.core.params import load_params
    from stages.download import download
    from stages.evaluate import evaluate
    from stages.fingerprint import fingerprint
    from stages.subset import subset
    from stages.train import train

    params = load_params("params.yaml")
    for stage in (download, subset, fingerprint, train, evaluate):
        stage(params)


def main() -> None:
    """Set up the fault and the machine's switches, then run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fault")
    parser.add_argument("--statement", default="")
    parser.add_argument("changes", nargs="*")
    arguments = parser.parse_args()
    if arguments.statement:
        exec(f"import torch\n{arguments.statement}")
    if arguments.fault:
        from benchmarks.faults import FAULTS

        FAULTS[arguments.fault].plant()
    pairs = (change.partition("=") for change in arguments.changes)
    run(arguments.folder, {key: yaml.safe_load(value) for key, _, value in pairs})


if __name__ == "__main__":
    main()
