"""Which two backbones are worth fine-tuning, from probes of their frozen features.

A probe tells what a backbone knows already; fine-tuning can turn the order of close ones around, so
two are named (the ranks agree, by and large: Kornblith et al., arXiv:1805.08974).
"""

from stages.pages.formatting import percent
from stages.studies.analysis.advice import Advice
from stages.studies.analysis.intervals import tied_with
from stages.studies.analysis.machine_results import MachineResults
from stages.studies.page.traced import Traced, cells_of

RULE = (
    "the highest mean accuracy of the frozen features at the largest size, and of those that "
    "cannot be told from the second highest the one with the fewest multiply-accumulates"
)


def fine_tuning(view: MachineResults) -> list[Advice]:
    """The advice, where every run is a probe and two backbones have surely learned something."""
    form = view.form
    frozen = {form.params(cell).finetune for cell in form.cells} <= {"probe", "knn"}
    images = view.sizes[-1]
    rows = view.ranked(images)
    if not frozen or len(rows) < 2:
        return []
    macs = view.costs().set_index("series")["macs_g"]
    alike = rows[tied_with(view.scores, rows, 1)]
    others = alike[alike["series"] != rows["series"].iloc[0]]
    second = min(others["series"], key=lambda name: float(macs[name]))
    pair = [str(rows["series"].iloc[0]), str(second)]
    means = rows.set_index("series")["mean"]
    cells = [str(cell) for name in pair for cell in cells_of(view, name, images)["cell"]]
    told = f"{percent(means[pair[0]])} and {percent(means[pair[1]])} at {images:,} images"
    sure = (
        "not to be told apart"
        if rows.set_index("series")["tied"][pair[1]]
        else "the first is ahead"
    )
    models = ",".join(dict.fromkeys(str(cells_of(view, name)["model"].iloc[0]) for name in pair))
    command = (
        f"dvc exp run --queue -S 'model={models}' -S pretrained=true -S finetune=discriminative "
        f"-S input_size={int(view.cells['input_px'].iloc[0])}"
    )
    return [
        Advice(
            "fine-tuning",
            " and ".join(pair),
            RULE,
            Traced(told, cells),
            f"{sure}; {command}",
        )
    ]
