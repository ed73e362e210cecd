"""Does anything wrong go by in silence, or end in a traceback?

`python benchmarks/fuzz.py [params damage weights folders] [--count N] [--seed N]` feeds bad
parameter files to the checks before a run, damages every file that a stage reads (pixels that are
kept, checkpoints, and what DVC's cache would bring back), and tries files of weights and folders
of pictures. Refused in a paragraph, or the same result, is right. Exit status 0 when there was no
traceback and no silent difference. The long form takes about half an hour; a test runs a short one.
"""

import argparse
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import fuzz_inputs, fuzz_run  # noqa: E402
from benchmarks.fuzz_run import PARAMS, Outcome, flipped, in_folder, outcome_of, run  # noqa: E402

COUNTS = {"params": 300, "damage": 300, "weights": 100, "folders": 60}
LONGEST_PARAGRAPH = 3000
READ = {
    "subset": ["data/manifest.json", "data/pool.csv", "data/near_duplicates.csv"],
    "train": ["data/manifest.json", "data/indices.csv", "metrics/subset.json",
              "metrics/identity.json", "checkpoint", "decoded"],
    "evaluate": ["data/indices.csv", "data/weights.safetensors", "metrics/train.json",
                 "metrics/subset.json", "decoded"],
    "profile": ["data/manifest.json"],
    "report": ["targets.yaml", "data/predictions.csv", "plots/predictions.csv",
               "metrics/machine.json", "metrics/subset.json", "metrics/train.json",
               "metrics/evaluate.json", "metrics/profile.json", "plots/history.csv",
               "plots/per_class.csv", "plots/reliability.csv", "plots/profile.csv",
               "plots/profile_blocks.csv", "plots/pictures/hardest.png"],
}  # fmt: skip
"""What each stage reads; `checkpoint` and `decoded` stand for what is kept under `.work`."""


@dataclass(frozen=True)
class Trial:
    """An input and what came of it; `wrong` says why it should not have."""

    what: str
    outcome: Outcome
    wrong: str = ""


def judged(what: str, outcome: Outcome, different: str = "") -> Trial:
    """A traceback, a silent difference, and a message that is none are wrong."""
    if outcome.kind == "traceback":
        return Trial(what, outcome, "traceback")
    if outcome.kind == "fine" and different:
        return Trial(what, outcome, f"silent difference: {different}")
    if outcome.kind == "refused" and not 20 < len(outcome.said) < LONGEST_PARAGRAPH:
        return Trial(what, outcome, f"a message of {len(outcome.said)} characters")
    if "\x1b[" in outcome.said:
        return Trial(what, outcome, "colour codes in a message")
    return Trial(what, outcome)


def try_params(count: int, seed: int, folder: Path) -> Iterator[Trial]:
    """Bad parameter files before the checks that precede every run."""
    from stages.core.cli import reporting_errors
    from stages.core.params import load_params
    from stages.preflight import preflight

    def check() -> int:
        preflight(load_params(Path("params.yaml")))
        return 0

    fuzz_run.make_pictures(folder / "pictures", 2, 1)
    for what, content in fuzz_inputs.parameter_files(count, seed):
        with in_folder(folder):
            Path("params.yaml").write_bytes(content)
            yield judged(what, outcome_of(lambda: reporting_errors(check)))


def try_damage(
    count: int, seed: int, folder: Path, without: Collection[str] = ()
) -> Iterator[Trial]:
    """A finished run; one file of it damaged, and the stage that reads it run again."""
    from stages.training.checkpoint import Checkpoints

    Checkpoints.clear = lambda self: None  # type: ignore[method-assign]  # something to damage
    whole = folder / "whole"
    fuzz_run.make_run(whole, [stage for stage in fuzz_run.STAGES if stage not in without])
    expected = fuzz_run.results(whole)
    page = [] if "report" in without else fuzz_run.page_of(whole)
    draws = np.random.default_rng(seed)
    pairs = [
        (stage, name) for stage, names in READ.items() if stage not in without for name in names
    ]
    for number in range(count):
        stage, name = pairs[number % len(pairs)]
        copy = folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(whole, copy)
        how = _damage(_file(copy, name, draws), number // len(pairs), draws)
        with in_folder(copy):
            found = run(stage)
        different = ""
        if found.kind == "fine":
            different = _difference(copy, stage, name, expected, page)
        yield judged(f"{stage} reads {name}, {how}", found, different)


def _file(folder: Path, name: str, draws: np.random.Generator) -> Path:
    kept = {"checkpoint": "checkpoints/*/*.pt", "decoded": "decoded/*/*"}
    if name not in kept:
        return folder / name
    found = sorted((folder / ".work").glob(kept[name]))
    return found[int(draws.integers(len(found)))]


def _damage(path: Path, way: int, draws: np.random.Generator) -> str:
    """Damage a file in one of the ways that disks, transfers and people have."""
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    cut = int(draws.integers(len(content)))
    ways: list[tuple[str, Callable[[], bytes]]] = [
        ("a bit flipped", lambda: flipped(content, draws)),
        ("a bit flipped again", lambda: flipped(content, draws)),
        ("cut off", lambda: content[:cut]),
        ("empty", lambda: b""),
        ("zeros", lambda: bytes(len(content))),
        ("zeros in the middle", lambda: content[:cut] + bytes(64) + content[cut + 64 :]),
        ("a line twice", lambda: b"".join([*lines, lines[-1]])),
        ("a line gone", lambda: b"".join(lines[:1] + lines[2:])),
        ("digits changed", lambda: re.sub(rb"7", b"3", content)),
        ("not UTF-8", lambda: content[:cut] + b"\xff" + content[cut:]),
    ]  # fmt: skip
    how, make = ways[way % len(ways)]
    path.chmod(0o644)
    path.write_bytes(make())
    return how


def _difference(
    folder: Path, stage: str, name: str, expected: dict[str, object], page: list[str]
) -> str:
    """What is not as the undamaged run had it, or nothing."""
    if stage == "report":
        found = fuzz_run.page_of(folder)
        return "" if found == page or name == "targets.yaml" else "report.md"
    unlike = {key for key, value in fuzz_run.results(folder).items() if value != expected[key]} - {
        name.removeprefix("metrics/"),
        name,
    }
    return ", ".join(sorted(unlike))


def try_weights(count: int, seed: int, folder: Path) -> Iterator[Trial]:
    """Files for `pretrained`, before the checks that precede every run."""
    import torch

    from stages.core.cli import reporting_errors
    from stages.core.params import load_params
    from stages.models import build
    from stages.models.checkpoints import read_checkpoint, without_prefixes
    from stages.preflight import preflight

    fuzz_run.make_pictures(folder / "pictures", 2, 1)
    (folder / "weights").mkdir()

    def check() -> int:
        preflight(load_params(Path("params.yaml")))
        return 0

    with in_folder(folder):
        Path("params.yaml").write_text(yaml.safe_dump(PARAMS))
        whole = build(load_params(Path("params.yaml")), 4).model.state_dict()
        for path in fuzz_inputs.weights_files(whole, folder / "weights", count, seed):
            Path("params.yaml").write_text(yaml.safe_dump(PARAMS | {"pretrained": str(path)}))
            outcome, different = outcome_of(lambda: reporting_errors(check)), ""
            if outcome.kind == "fine" and path.suffix != ".safetensors":  # which has no checksum
                found = without_prefixes(read_checkpoint(path)[0], whole)
                different = ", ".join(
                    name
                    for name in whole
                    if not torch.allclose(found[name], whole[name], atol=1e-3)
                )
            yield judged(path.name, outcome, different)


def try_folders(count: int, seed: int, folder: Path) -> Iterator[Trial]:
    """Folders and zips of pictures, listed: every file is a picture or counted under a reason."""
    from stages.core.cli import reporting_errors
    from stages.core.sections import Dataset
    from stages.datasets import open_collection
    from stages.datasets.layout import role_of

    for source, files in fuzz_inputs.folder_layouts(folder, count, seed):
        counted: list[int] = []
        classes: list[str] = []

        def check(
            source: Path = source, counted: list[int] = counted, classes: list[str] = classes
        ) -> int:
            found = open_collection(Dataset(name="image_folder", folder=str(source)))
            counted.append(len(found.names) + sum(map(len, found.left_out.values())))
            classes.extend(found.classes)
            return 0

        outcome = outcome_of(lambda: reporting_errors(check))
        different = f"{files} files, {counted} told" if counted and counted[0] != files else ""
        if len({role_of(name) for name in classes} - {None}) > 1:
            different = f"splits became classes: {classes}"
        yield judged(source.name, outcome, different)


TRIES: dict[str, Callable[[int, int, Path], Iterator[Trial]]] = {
    "params": try_params,
    "damage": try_damage,
    "weights": try_weights,
    "folders": try_folders,
}


def main() -> int:
    """Run the parts that were named, print what is wrong, and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*COUNTS, []])
    parser.add_argument("--count", type=int, help="trials of each part")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    wrong = 0
    for part in arguments.parts or COUNTS:
        kinds: Counter[str] = Counter()
        with tempfile.TemporaryDirectory() as folder:
            for trial in TRIES[part](arguments.count or COUNTS[part], arguments.seed, Path(folder)):
                kinds[trial.wrong.partition(":")[0] or trial.outcome.kind] += 1
                if trial.wrong:
                    wrong += 1
                    print(f"{part}: {trial.what}: {trial.wrong}\n{trial.outcome.said}", flush=True)
        print(f"{part}: {sum(kinds.values())} tried, {dict(kinds)}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
