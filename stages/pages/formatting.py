"""Figures as people read them: per cent, intervals, durations, counts, names of keys.

Everything that is None comes out as a dash: a report never shows 0 for what is unknown.
"""

import math
from collections.abc import Mapping
from typing import Any

NONE = "–"


def device_name(facts: Mapping[str, Any]) -> str:
    """What computes on a machine: the accelerator where there is one, else the chip."""
    found = facts.get("accelerator") or facts.get("chip") or facts.get("architecture")
    return str(found or "unknown device")


def percent(share: float | None, digits: int = 1) -> str:
    """A share of 0…1: 0.9123 is 91.2 %."""
    return NONE if _unknown(share) else f"{100 * float(share or 0):.{digits}f} %"


def interval(low: float | None, high: float | None) -> str:
    """Two shares as a range: 90.6 to 91.8 %."""
    if _unknown(low) or _unknown(high):
        return NONE
    return f"{100 * float(low or 0):.1f} to {100 * float(high or 0):.1f} %"


def number(value: float | None) -> str:
    """Three significant digits, thousands grouped."""
    if _unknown(value):
        return NONE
    value = float(value or 0)
    if math.isinf(value):
        return f"{value:g}"
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def rounded(value: float | None, digits: int = 2) -> str:
    """So many significant digits of what was measured but roughly, thousands grouped: 13,000."""
    if _unknown(value):
        return NONE
    value = float(f"{float(value or 0):.{digits}g}")
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def large(count: float | None) -> str:
    """A count in thousands, millions or billions: 11.2 M."""
    if _unknown(count):
        return NONE
    count = float(count or 0)
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(count) >= size * 0.9995:  # which three digits round up to it
            return f"{count / size:.3g} {letter}"
    return f"{count:g}"


def duration(seconds: float | None, digits: int = 3) -> str:
    """Seconds as s, min or h, to so many significant digits."""
    if _unknown(seconds):
        return NONE
    seconds = float(seconds or 0)
    if seconds < 100:
        return f"{rounded(seconds, digits)} s"
    if seconds < 6000:
        return f"{rounded(seconds / 60, digits)} min"
    return f"{rounded(seconds / 3600, digits)} h"


def plain(value: Any) -> str:
    """Any value of a metrics or parameter file."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(plain(part) for part in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}={plain(part)}" for key, part in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _unknown(value: float | None) -> bool:
    return value is None or math.isnan(value)
