"""What eight bits cost in accuracy and gain in time, for whoever weighs one against the other."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stages.core.variant_names import INT8, steps_of
from stages.measures.evaluation.unequal import BALANCED
from stages.pages.blocks import Tile
from stages.pages.formatting import interval, number, percent

if TYPE_CHECKING:
    import pandas as pd

BESIDE = ("eager", "onnx")  # in the order of the text, where they were timed


def int8_tiles(evaluate: Mapping[str, Any]) -> list[Tile]:
    """The accuracies in int8; none where they were not measured."""
    if evaluate.get("int8_top1") is None:
        return []
    ends = interval(evaluate["int8_top1_low"], evaluate["int8_top1_high"])
    return [Tile("test top-1 in int8", percent(evaluate["int8_top1"]), f"95 %: {ends}")] + [
        Tile(f"test {label} in int8", percent(evaluate[found]), "counts every class alike")
        for key, label in BALANCED.items()
        if (found := key.replace("test", INT8)) in evaluate
    ]


def int8_text(evaluate: Mapping[str, Any], timed: "pd.DataFrame | None") -> str | None:
    """Accuracy and times in sentences; None where int8 was not asked for.

    `timed` are the rows of plots/profile.csv.
    """
    if reason := evaluate.get("int8_reason"):
        told = [f"The accuracy in int8 was not measured: {reason}."]
    elif evaluate.get("int8_top1") is None:
        return None
    else:
        told = [
            f"In int8 (ONNX Runtime, calibrated on {evaluate['int8_calibrated_on']:,} training "
            f"images) {percent(evaluate['int8_top1'])} of the test images are right, "
            f"{percent(evaluate['test_top1'])} as trained: {evaluate['int8_lost']:,} lost and "
            f"{evaluate['int8_gained']:,} gained, the same class for "
            f"{evaluate['int8_same_top1']:,} of {evaluate['test_images']:,}."
        ]
    return " ".join(told + ([] if timed is None else _times(timed)))


def _times(timed: "pd.DataFrame") -> list[str]:
    """Median times of a batch in int8, and beside them those of the network as it is."""
    found = timed[timed["mode"].eq("inference") & timed["latency_ms_p50"].notna()]
    in_int8 = found["variant"].map(lambda name: INT8 in steps_of(name)).astype(bool)
    told = []
    for size, rows in found.groupby("batch_size"):
        times = {
            name: f"{name} {number(ms)} ms"
            for name, ms in zip(rows["variant"], rows["latency_ms_p50"], strict=True)
        }
        own = " and ".join(times[name] for name in rows["variant"][in_int8[rows.index]])
        others = "".join(f", {times[name]}" for name in BESIDE if name in times)
        if own:
            told.append(f"A batch of {size} takes, median: {own}{others}.")
    weighed = found[in_int8 | found["variant"].isin(BESIDE)]
    noisy = weighed["note"].astype(str).str.contains("noisy").any()
    return told + ["Some of these times are noisy: see the table."] * bool(told and noisy)
