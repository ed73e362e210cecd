"""Who ran what, and how much faster: machines side by side, and devices of one host.

Two runs are of the same work when their parameters differ in the device and its threads alone, so a
recipe that asks for the CPU is compared with its twin on the accelerator.
"""

from collections.abc import Sequence

import pandas as pd

from stages.pages.blocks import Table
from stages.pages.formatting import NONE, device_name, duration, rounded
from stages.studies.analysis.machine_results import HOST, MachineResults, geometric_mean
from stages.studies.analysis.traced import over
from stages.studies.spec.identity import work_of
from stages.studies.spec.study_config import StudyConfig


def machine_table(views: Sequence[MachineResults]) -> Table:
    """Who ran what, and how much faster on the work that the first machine did too."""
    rows, works = [], works_of(views[0].form)
    for view in views:
        facts = view.results.machines[view.machine]
        base, own = shared(views[0], view, works)
        speed = base["train_seconds"].sum() / own["train_seconds"].sum() if len(own) else None
        rows.append((
            str(view.place), view.machine, f"{device_name(facts)} ({facts.get('backend')})",
            str(facts.get("os") or NONE), str(facts.get("torch") or NONE),
            str(facts.get("threads") or NONE), str(len(view.cells)),
            over(view.cells, duration(float(view.cells["train_seconds"].sum()))),
            NONE if speed is None else over(_both(base, own), f"{rounded(speed)}×"),
        ))  # fmt: skip
    head = ("machine", "hardware DNA", "device", "system", "PyTorch", "threads", "runs", "training",
            "speed-up on the same runs")  # fmt: skip
    shown = len(head) if len(rows) > 1 else len(head) - 1
    return Table(head[:shown], tuple(row[:shown] for row in rows), numeric=(5, 6, 7, 8))


def device_table(views: Sequence[MachineResults]) -> Table | None:
    """Each accelerator against the CPU of its host, a row per pair of series; None without any."""
    works = works_of(views[0].form) if len(views) > 1 else {}
    rows = []
    for fast in views:
        for slow in views:
            if _accelerates(fast, slow):
                rows += _pairs(fast, slow, works)
    head = ("on the accelerator", "on the CPU", "runs", "training, accelerator", "training, CPU",
            "speed-up")  # fmt: skip
    return Table(head, tuple(rows), numeric=(2, 3, 4, 5)) if rows else None


def works_of(form: StudyConfig) -> dict[str, str]:
    """What each cell of the form computes, as an id that leaves out who computes it."""
    return {cell.name: work_of(form.params(cell)) for cell in form.cells}


def shared(
    first: MachineResults, second: MachineResults, works: dict[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The work that both did, as two tables with the same works in the same order."""
    cells = [view.cells.assign(work=view.cells["cell"].map(works)) for view in (first, second)]
    a, b = (own.drop_duplicates("work").set_index("work") for own in cells)
    common = a.index.intersection(b.index)
    return a.loc[common], b.loc[common]


def _accelerates(fast: MachineResults, slow: MachineResults) -> bool:
    """Whether they are an accelerator and the CPU of one host."""
    a, b = (view.results.machines[view.machine] for view in (fast, slow))
    devices = a.get("backend") != "cpu" and b.get("backend") == "cpu"
    return devices and all(a.get(key) == b.get(key) for key in HOST)


def _pairs(
    fast: MachineResults, slow: MachineResults, works: dict[str, str]
) -> list[tuple[str, ...]]:
    a, b = shared(fast, slow, works)
    rows: list[tuple[str, ...]] = []
    for names, seconds in a["train_seconds"].groupby([a["series"], b["series"]], sort=False):
        ours, theirs = a.loc[seconds.index], b.loc[seconds.index]
        means = [geometric_mean(own["train_seconds"]) for own in (ours, theirs)]
        rows.append((
            f"{names[0]} · machine {fast.place}", f"{names[1]} · machine {slow.place}",
            str(len(ours)), over(ours, duration(means[0], 2)),
            over(theirs, duration(means[1], 2)),
            over(_both(ours, theirs), f"{rounded(means[1] / means[0])}×"),
        ))  # fmt: skip
    return rows


def _both(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([a, b]).drop_duplicates("cell")
