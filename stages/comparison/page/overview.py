"""Many machines arranged for reading: the matrix, what the work costs on each, and the verdicts."""

from collections.abc import Sequence

from stages.comparison.analysis.compare_runs import tested_accuracy
from stages.comparison.analysis.findings import Verdict
from stages.comparison.analysis.statistics import points
from stages.comparison.page.section import Grid, Section
from stages.comparison.page.values import UNKNOWN
from stages.comparison.page.wording import rung_of, sentence_of
from stages.pages.formatting import device_name, number
from stages.runs.run import Run

TITLE = "Runs compared with one another"


def overview(pairs: Sequence[Verdict], records: Sequence[Run]) -> list[Section]:
    """The three sections of a comparison of more than two runs."""
    return [_matrix(pairs, [run.name for run in records]), _machines(records), _sentences(pairs)]


def _matrix(pairs: Sequence[Verdict], names: Sequence[str]) -> Section:
    by_names = {(pair.a, pair.b): pair for pair in pairs}
    rows = tuple(
        (name, *(_cell(by_names.get((name, other))) for other in names[1:])) for name in names[:-1]
    )
    sentence = (
        "The verdict on the row's run and the column's; then the share of predictions that differ "
        "(churn), and the accuracy of the column's run minus that of the row's, in points."
    )
    return Section("matrix", "Every pair", (sentence,), (Grid(("", *names[1:]), rows),))


def _cell(pair: Verdict | None) -> str:
    if pair is None:
        return ""
    answers = pair.evidence.answers
    if answers is None:
        return rung_of(pair)
    return f"{rung_of(pair)}, churn {answers.churn:.2%}, {points(answers.difference, True)} points"


def _machines(records: Sequence[Run]) -> Section:
    """A row per run; times as often as fast as the first run, by the time of an epoch."""
    head = ("", "machine", "DNA", "top-1", "epoch (s)", "speed", "latency (ms)", "images/s")
    first = records[0].train.get("epoch_seconds_p50")
    rows = tuple(_machine(run, first) for run in records)
    sentence = f"Speed is that of an epoch of training, {records[0].name} being 1; latency and "
    sentence += "images per second are of inference, each at the batch sizes of its profile."
    noise = [
        f"{run.name}: {run.profile[key]}."
        for run in records
        for key in ("latency_note", "other_load_note")
        if run.profile.get(key)
    ]
    return Section(
        "machines", "What it costs", (sentence, *noise), (Grid(head, rows, (3, 4, 5, 6, 7)),)
    )


def _machine(run: Run, first: float | None) -> tuple[str, ...]:
    hardware, seconds = run.hardware, run.train.get("epoch_seconds_p50")
    computes = device_name(hardware) if hardware else UNKNOWN
    top1 = tested_accuracy(run)
    return (
        run.name,
        f"{computes} ({hardware['backend']})" if "backend" in hardware else computes,
        str(hardware.get("id", UNKNOWN)),
        f"{top1:.2%}" if top1 is not None else UNKNOWN,
        number(seconds),
        f"{first / seconds:.2f}×" if first and seconds else UNKNOWN,
        number(run.profile.get("latency_ms_p50")),
        number(run.profile.get("throughput_images_per_second")),
    )


def _sentences(pairs: Sequence[Verdict]) -> Section:
    rows = tuple((pair.a, pair.b, sentence_of(pair)) for pair in pairs)
    return Section("pairs", "What was found", (), (Grid(("first run", "second run", ""), rows),))
