"""A run as the templates want it: every figure, table and chart under the name they use."""

from typing import Any

from stages.core.params import Params
from stages.reporting import headline, sections
from stages.reporting.costs import cost_table, variant_table
from stages.reporting.int8 import int8_text
from stages.reporting.repeat import Origin, commands, made_params
from stages.reporting.targets import Target, asked_of, judge
from stages.reporting.transfer import TOLD, transfer
from stages.runs.run import Run

# What the short table of the machine shows, of all that machine.json holds.
MACHINE = {
    "id": "hardware DNA",
    "chip": "chip",
    "accelerator": "accelerator",
    "backend": "backend",
    "os": "system",
    "macos": "macOS",
    "driver": "driver",
    "cuda": "CUDA",
    "torch": "PyTorch",
    "threads": "threads",
    "precision": "precision",
    "seed": "seed",
}


def view_of(present: Params, run: Run, origin: Origin, targets: list[Target]) -> dict[str, Any]:
    """The values that report.html.j2 and report.md.j2 name; `present` is params.yaml as it is."""
    params = made_params(present, run)
    adapted = run.train.get("adapted") or {}
    verdicts = [judge(target, params, run.evaluate) for target in asked_of(targets, params)]
    return {
        "title": f"{params.model} on {params.dataset.label}",
        "summary": headline.summary(params, run),
        "tiles": headline.tiles(run),
        "notes": headline.notes(present, run),
        "accuracies": headline.accuracies(run),
        "test_images": run.evaluate.get("test_images"),
        "subset": run.subset,
        "transfer": transfer(run.train),
        "adapted": {name: note for name, note in adapted.items() if name not in TOLD},
        "learning": sections.learning(run),
        "classes": sections.classes(run),
        "class_table": sections.class_table(run),
        "confusion": sections.confusion(run),
        "confused_table": sections.confused_table(run),
        "calibration": sections.calibration(run),
        "pictures": {name: sections.picture(run, name) for name in sections.CAPTIONS},
        "hardest_table": sections.hardest_table(run),
        "costs": sections.costs(run),
        "cost_table": cost_table(run.profile) if run.profile else None,
        "cost_verdict": run.profile.get("best"),
        "int8": int8_text(run.evaluate, run.profile_table),
        "variant_table": None if run.profile_table is None else variant_table(run.profile_table),
        "targets": sections.target_table(verdicts),
        "target_commands": sections.target_commands(verdicts),
        "machine_short": {
            name: run.hardware[key]
            for key, name in MACHINE.items()
            if run.hardware.get(key) is not None
        },
        "machine": sections.machine(run),
        "changed": sections.changed_params(params),
        "params": sections.all_params(params),
        "commands": commands(params, origin),
        "origin": origin,
    }
