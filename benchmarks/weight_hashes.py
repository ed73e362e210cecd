"""Does every model family still train to the same bits?

`python benchmarks/weight_hashes.py [PICTURES.zip]` trains one model of each family for six steps,
in fp32 and in bf16, on pictures of the zip (without it on the embedded digits), and prints a hash
of the weights of each, under the DNA of this machine. `--record FILE` adds them to a file,
`--check FILE` holds them against it: exit status 1, naming each family and precision that differs.

Run it with `--record FILE` before, and with `--check FILE` after a change that must not change
results. It goes through `params.yaml` and the stages alone, so that the code behind them may move.
About four minutes of processor time.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import safe_open

ROOT = Path(__file__).resolve().parent.parent
PRECISIONS = ("fp32", "bf16")
PARAMS: dict[str, Any] = {"device": "cpu", "threads": 2, "input_size": 32}
PARAMS["subset"] = {"train": 96, "val": 24, "test": 24}
TRAIN: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 16,
    "augment": ["crop", "flip", "mixup"],
    "ema": 0.9,
    "label_smoothing": 0.1,
    "snapshots": False,
    "trace_steps": 0,
}
# One model of each family, smallest first; recipes vary, so that all of training takes part.
FAMILIES: dict[str, dict[str, Any]] = {
    "lenet_small": {"optimizer": "sgd", "dropout": 0.2, "accumulate": 2},
    "vit_2l_2h_128": {"dropout": 0.1, "drop_path": 0.2, "schedule": "one_cycle", "grad_clip": 1.0},
    "speedrun_small": {"optimizer": "muon", "augment": ["flip", "cutmix"]},
    "shufflenet_v2_x0_5": {"optimizer": "sgd", "augment": ["color_jitter", "mixup", "cutmix"]},
    "mobilenet_v3_small": {"dropout": 0.2, "drop_path": 0.2, "augment": ["randaugment", "mixup"]},
    "mobileone_s0": {"dropout": 0.2, "augment": ["flip", "erasing", "mixup"]},
    "repvgg_a0": {"dropout": 0.2, "optimizer": "adam", "warmup_epochs": 0.5},
    "resnet18": {"dropout": 0.2, "drop_path": 0.2, "optimizer": "sgd", "schedule": "constant"},
    "resnext50_32x4d": {"drop_path": 0.2, "memory_format": "contiguous"},
    "efficientnet_v2_s": {"dropout": 0.2, "drop_path": 0.2, "schedule": "step"},
    "swin_tiny": {"dropout": 0.1, "drop_path": 0.2, "layer_decay": 0.75},
    "convnext_v2_tiny": {"dropout": 0.1, "drop_path": 0.2, "lr_head": 0.002},
}


def run_stage(name: str, folder: Path, params: dict[str, Any]) -> None:
    """Run a stage in `folder`. Raises CalledProcessError; what it says goes to stderr."""
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DVC_ROOT": str(folder)}
    command = [sys.executable, "-m", f"stages.{name}"]
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)


def hash_weights(path: Path) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors of a file."""
    digest = hashlib.sha256()
    with safe_open(path, framework="np") as weights:
        for name in sorted(weights.keys()):
            tensor = weights.get_tensor(name)
            digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
            digest.update(tensor.tobytes())
    return digest.hexdigest()


def prepare(folder: Path, dataset: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Choose the pictures; DNA and facts of the machine."""
    for stage in ("fingerprint", "download", "subset"):
        run_stage(stage, folder, {**PARAMS, "model": "lenet_small", "dataset": dataset})
    hardware = json.loads((folder / "metrics/hardware.json").read_text())
    about = {
        "chip": hardware["chip"],
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": PARAMS["threads"],
        "torch": hardware["torch"],
    }
    return "-".join(hardware["id"].split("-")[:2]), about


def measure(folder: Path, dataset: dict[str, Any], only: str) -> dict[str, str]:
    """A hash per family and precision whose name holds `only`."""
    hashes = {}
    for model, recipe in FAMILIES.items():
        for precision in PRECISIONS:
            case = f"{model} {precision}"
            if only not in case:
                continue
            train = {**TRAIN, **recipe, "precision": precision}
            params = {**PARAMS, "model": model, "dataset": dataset, "train": train}
            run_stage("train", folder, params)
            hashes[case] = hash_weights(folder / "data/weights.safetensors")
            print(f"{case}: {hashes[case][:12]}", file=sys.stderr, flush=True)
    return hashes


def known_hashes(recorded: Any, dna: str, about: dict[str, Any], source: str) -> dict[str, str]:
    """Those of this DNA, or else of a machine with the same facts: what a DNA holds may change."""
    alike = [entry for entry in recorded.values() if about.items() <= entry.items()]
    for entry in [recorded.get(dna, {}), *alike]:
        if found := entry.get("hashes", {}).get(source):
            return dict(found)
    return {}


def main() -> int:
    """Measure, then print, record or check; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="?", type=Path, help="a zip as image_folder reads it")
    parser.add_argument("--record", type=Path, metavar="FILE")
    parser.add_argument("--check", type=Path, metavar="FILE")
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    arguments = parser.parse_args()
    source = arguments.pictures.stem if arguments.pictures else "digits"
    dataset = {"name": "digits"}
    if arguments.pictures:
        dataset = {"name": "image_folder", "folder": str(arguments.pictures.resolve())}
    known: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        dna, about = prepare(Path(folder), dataset)
        if arguments.check:
            known = known_hashes(json.loads(arguments.check.read_text()), dna, about, source)
            if not known:
                print(
                    f"{arguments.check} has no hashes of {source} on this machine ({dna}): {about}."
                    " Record them before the change, with --record FILE."
                )
                return 1
        hashes = measure(Path(folder), dataset, arguments.only)
    if arguments.check:
        wrong = [case for case, value in hashes.items() if known.get(case) != value]
        print("\n".join(f"differs: {case}" for case in wrong) or f"all {len(hashes)} are the same")
        return int(bool(wrong))
    recorded = {}
    if arguments.record and arguments.record.is_file():
        recorded = json.loads(arguments.record.read_text())
    entry = recorded.setdefault(dna, {**about, "hashes": {}})
    entry["hashes"].setdefault(source, {}).update(hashes)
    text = json.dumps(recorded, indent=2) + "\n"
    if arguments.record:
        arguments.record.write_text(text)
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
