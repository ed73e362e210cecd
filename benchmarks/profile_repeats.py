"""Does a profile say the same twice, and does it know when it does not?

    python benchmarks/profile_repeats.py [--model lenet_large] [--px 32] [--runs 5] [--seconds 1]

Runs the timed grid of one model several times, each in a process of its own as `dvc repro` would,
and prints the median latency of each run beside what the run says of its own noise. The last line
is the claim to check: the medians span less than 5 %, or every run that lies further off than
that from the median of all says `noisy`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import yaml

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = 0.05


def run_once(folder: Path, values: dict[str, object]) -> dict[str, object]:
    """The metrics of one run of the profile stage in an empty folder."""
    (folder / "data").mkdir()
    (folder / "data/manifest.json").write_text(json.dumps({"classes": list("0123456789")}))
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "stages.profile"]
    subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, check=True, capture_output=True
    )
    metrics: dict[str, object] = json.loads((folder / "metrics/profile.json").read_text())
    details: list[dict[str, object]] = metrics.pop("details")
    return metrics | details[0]


def main() -> None:
    """Print a Markdown row per run and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="lenet_large")
    parser.add_argument("--px", type=int, default=32)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are cores")
    options = parser.parse_args()
    profile = {"batch_sizes": [1, 64], "seconds": options.seconds, "variants": []}
    values: dict[str, object] = {
        "model": options.model, "input_size": options.px, "profile": profile,
        "threads": options.threads or "auto",
    }  # fmt: skip
    print("| run | latency p50 (ms) | spread | others' cores | said |\n|---|---|---|---|---|")
    runs = []
    for index in range(options.runs):
        with tempfile.TemporaryDirectory() as folder:
            run = run_once(Path(folder), values)
        notes = [note for note in (run["latency_note"], run["other_load_note"]) if note]
        runs.append((float(str(run["latency_ms_p50"])), bool(notes)))
        print(
            f"| {index + 1} | {run['latency_ms_p50']:.3f} | {run['latency_spread']:.1%} "
            f"| {run['other_load_cores']:.2f} | {'; '.join(map(str, notes)) or 'steady'} |",
            flush=True,
        )
    middle = median(latency for latency, _ in runs)
    span = (max(runs)[0] - min(runs)[0]) / middle
    silent = [latency for latency, noisy in runs if not noisy]
    kept = all(abs(latency / middle - 1) <= ALLOWED for latency in silent)
    print(f"medians span {span:.1%}; {len(silent)} of {len(runs)} runs said nothing of noise; "
          f"claim {'holds' if span < ALLOWED or kept else 'FAILS'}")  # fmt: skip


if __name__ == "__main__":
    main()
