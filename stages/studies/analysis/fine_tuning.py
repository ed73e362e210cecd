"""Which two backbones are worth fine-tuning, from probes of their frozen features.

A probe tells what a backbone knows already; fine-tuning can turn the order of close ones around, so
two are named (the ranks agree, by and large: Kornblith et al., arXiv:1805.08974).
"""

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from stages.core.combinations import AT_ONCE
from stages.core.sections import Dataset, Section, Subset
from stages.pages.formatting import percent
from stages.reporting.repeat import experiment
from stages.studies.analysis.advice import NONE_YET, Advice, unlearned_text
from stages.studies.analysis.intervals import tied_with
from stages.studies.analysis.machine_results import MachineResults
from stages.studies.analysis.traced import Traced, over

USE = "fine-tuning"
ENOUGH = 200
"""Images of a class at which fine-tuning was not behind the probe in studies/transfer, as it was at
50, the next size below.
"""
RULE = (
    "the highest mean accuracy of the frozen features at the main size, and of those that "
    "cannot be told from the second highest the one with the fewest multiply-accumulates"
)


def fine_tuning(view: MachineResults) -> list[Advice]:
    """The advice, where every run is a probe; "none yet" below two that have surely learned."""
    form = view.form
    frozen = {form.params(cell).finetune for cell in form.cells} <= set(AT_ONCE)
    if not frozen or view.cells.empty or view.main["series"].nunique() < 2:
        return []
    images = view.main_size
    rows = view.ranked(images)
    if rows.empty:
        told = unlearned_text(view, images)
        return [Advice(USE, NONE_YET, RULE, told, "take more images or other backbones first")]
    if len(rows) < 2:
        name = str(rows["series"].iloc[0])
        told = f"only {name} is surely above one answer to every image at {images:,} images"
        if twins := [twin for twin, other in view.repeated.items() if other == name]:
            told += f", but for {', '.join(twins)}, the same to the bit"
        figures = over(view.cells_of(name, images), told)
        certainty = "; ".join(["there is no second to hold it against", *_caution(view, images)])
        return [Advice(USE, name, RULE, figures, certainty, _commands(view, [name]))]
    costs = view.costs().set_index("series")
    macs: Mapping[Any, float] = dict(costs["macs_g"].dropna()) if "macs_g" in costs else {}
    alike = rows[tied_with(view.scores, rows, 1)]
    others = alike[alike["series"] != rows["series"].iloc[0]]
    second = min(others["series"], key=lambda name: float(macs.get(name, math.inf)))
    pair = [str(rows["series"].iloc[0]), str(second)]
    means = rows.set_index("series")["mean"]
    cells = [str(cell) for name in pair for cell in view.cells_of(name, images)["cell"]]
    told = f"{percent(means[pair[0]])} and {percent(means[pair[1]])} at {images:,} images"
    sure = (
        "not to be told apart"
        if rows.set_index("series")["tied"][pair[1]]
        else "the first is ahead"
    )
    return [
        Advice(
            USE,
            " and ".join(pair),
            RULE,
            Traced(told, cells),
            "; ".join([sure, *_caution(view, images)]),
            _commands(view, pair),
        )
    ]


def _caution(view: MachineResults, images: int) -> list[str]:
    """That so few images are likely not to pay for it; nothing where there are enough."""
    if images >= ENOUGH * len(view.results.answers):
        return []
    return [
        "in studies/transfer fine-tuning cost accuracy with 50 images of a class, and with "
        f"{ENOUGH} it was not shown to, so hold its result against the probe's"
    ]


def _commands(view: MachineResults, names: Sequence[str]) -> tuple[str, ...]:
    """What fine-tunes these series on the images of their probes of the main size, a queue, and
    holds each result against its probe.
    """
    lines: dict[str, list[str]] = {}
    beside = []
    for name in names:
        chosen = str(view.cells_of(name, view.main_size)["cell"].iloc[-1])
        params = view.form.params(next(one for one in view.form.cells if one.name == chosen))
        settings = experiment({
            **_unusual("dataset", params.dataset, Dataset()),
            **_unusual("subset", params.subset, Subset()),
            "subset.train": params.subset.train,  # params.yaml's is what people change first
            "pretrained": params.pretrained,
            "finetune": "discriminative",
            "input_size": params.input_size,
        })  # fmt: skip
        lines.setdefault(settings, []).append(params.model)
        probe = shlex.quote((view.form.cells_folder / chosen).as_posix())
        beside.append(
            f"python -m stages.compare {probe} NAME  # that of {params.model} in the status"
        )
    queued = [
        settings.replace("exp run", f"exp run --queue -S 'model={','.join(models)}'", 1)
        for settings, models in lines.items()
    ]
    return (*queued, "dvc queue start", "dvc queue status", *beside)


def _unusual(name: str, section: Section, plain: Section) -> dict[str, Any]:
    """The keys of a section that are not at their defaults, dotted."""
    usual = dict(plain)
    return {f"{name}.{key}": value for key, value in section if value != usual[key]}
