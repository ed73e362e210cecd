"""Many machines arranged for reading: the matrix, what the work costs on each, a sentence per pair.

Leaves the verdicts to `matrix` and the form to `text` and `page`.
"""

from collections.abc import Sequence
from typing import Any

from stages.comparison.matrix import Pair
from stages.comparison.record import Record
from stages.comparison.sections import Grid, Section
from stages.comparison.statistics import points

TITLE = "Machines against one another"
UNKNOWN = "–"


def overview(pairs: Sequence[Pair], records: Sequence[Record]) -> list[Section]:
    """The three sections of a comparison of more than two runs."""
    return [_matrix(pairs, [record.name for record in records]), _machines(records), _said(pairs)]


def _matrix(pairs: Sequence[Pair], names: Sequence[str]) -> Section:
    by_names = {(pair.a, pair.b): pair for pair in pairs}
    rows = tuple(
        (name, *(_cell(by_names.get((name, other))) for other in names[1:])) for name in names[:-1]
    )
    sentence = (
        "How far the verdict climbs for the column's run against the row's; then the share of "
        "predictions that differ (churn), and by how many points the column's accuracy is higher."
    )
    return Section("matrix", "Every pair", (sentence,), (Grid(("", *names[1:]), rows),))


def _cell(pair: Pair | None) -> str:
    if pair is None:
        return ""
    if pair.churn is None or pair.difference is None:
        return pair.rung.words
    return f"{pair.rung.words}, churn {pair.churn:.2%}, {points(pair.difference, True)} points"


def _machines(records: Sequence[Record]) -> Section:
    """A row per run; times as often as fast as the first run, by the time of an epoch."""
    head = ("", "machine", "DNA", "top-1", "epoch (s)", "speed", "latency (ms)", "images/s")
    first = records[0].train.get("epoch_seconds_p50")
    rows = tuple(_machine(record, first) for record in records)
    sentence = f"Speed is that of an epoch of training, {records[0].name} being 1; latency and "
    sentence += "images per second are of inference, each at the batch sizes of its profile."
    return Section("machines", "What it costs", (sentence,), (Grid(head, rows, (3, 4, 5, 6, 7)),))


def _machine(record: Record, first: float | None) -> tuple[str, ...]:
    hardware, seconds = record.hardware, record.train.get("epoch_seconds_p50")
    computes = hardware.get("accelerator") or hardware.get("chip") or UNKNOWN
    top1 = record.evaluate.get("test_top1")
    return (
        record.name,
        f"{computes} ({hardware['backend']})" if "backend" in hardware else str(computes),
        str(hardware.get("id", UNKNOWN)),
        f"{top1:.2%}" if top1 is not None else UNKNOWN,
        _figure(seconds),
        f"{first / seconds:.2f}×" if first and seconds else UNKNOWN,
        _figure(record.profile.get("latency_ms_p50")),
        _figure(record.profile.get("throughput_images_per_second")),
    )


def _figure(value: Any) -> str:
    return f"{value:,.3g}" if isinstance(value, (int, float)) else UNKNOWN


def _said(pairs: Sequence[Pair]) -> Section:
    sentences = tuple(f"{pair.b} against {pair.a}: {pair.sentence}" for pair in pairs)
    return Section("pairs", "What was found", sentences)
