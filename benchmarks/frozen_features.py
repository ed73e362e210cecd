"""What computing a frozen trunk's features once is worth: one head, the long way and the short.

    python benchmarks/frozen_features.py pictures.zip [--model mobilenet_v2] [--images 1000]

Trains the head of a packaged backbone three times on the same pictures: with the trunk in every
epoch, with features computed first, and with features found. Each training is a process of its own;
told are its seconds of processor time on one thread, the start of Python and PyTorch included, the
ratio to the long way, and the last training loss, which must agree to rounding.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
LONG_WAY = (
    "import stages.training.run as run; from stages.training.engine import Engine; "
    "run.engine_for = lambda *made: Engine(*made[:5]); "
)
TRAIN = (
    "from stages.core.params import load_params; from stages.train import train; "
    "train(load_params('params.yaml'))"
)
PREPARE = (
    "from stages.core.params import load_params; from stages.download import download; "
    "from stages.fingerprint import fingerprint; from stages.subset import subset; "
    "params = load_params('params.yaml'); download(params); subset(params); fingerprint(params)"
)


def processor_seconds(statement: str, folder: Path) -> float:
    """User and system time of a Python process that runs `statement` in `folder`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", statement]
    subprocess.run(command, cwd=folder, env=found, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def last_loss(folder: Path) -> float:
    """The training loss of the last epoch."""
    last = (folder / "plots" / "history.csv").read_text().splitlines()
    return float(last[-1].split(",")[last[0].split(",").index("train_loss")])


def main() -> None:
    """Prepare the pictures, train three times, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--model", default="mobilenet_v2")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--px", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    params = {
        "model": options.model,
        "pretrained": True,
        "finetune": "head",
        "input_size": options.px,
        "device": "cpu",
        "threads": 1,
        "dataset": {"name": "image_folder", "folder": str(options.pictures.resolve())},
        "subset": {"train": options.images, "val": 100, "test": 100},
        "train": {"epochs": options.epochs, "batch_size": 32, "augment": [], "snapshots": False},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        processor_seconds(PREPARE, folder)
        long_way = 0.0
        for way, statement in {
            "the long way": LONG_WAY + TRAIN,
            "features computed": TRAIN,
            "features kept": TRAIN,
        }.items():
            seconds = processor_seconds(statement, folder)
            long_way = long_way or seconds
            loss = last_loss(folder)
            print(f"{way:18} {seconds:7.1f} s {long_way / seconds:6.1f}x   loss {loss:.8f}")


if __name__ == "__main__":
    main()
