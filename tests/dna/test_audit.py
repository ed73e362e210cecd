"""The digest follows every switch that changes bits: `python -m stages.dna --audit`, cut short."""

import platform

import pytest

from stages.dna import audit
from stages.dna.audit import SWITCHES, Outcome, Switch, audit_switches, try_switches

# AVX2 is not among them: it is all that many processors have, and then changes nothing.
SHORT = ("flush denormals", "1 thread", "all three at the minimum")

x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="switches x86 instruction sets")


@x86
def test_the_digest_follows_the_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR"):
        monkeypatch.delenv(name, raising=False)
    switches = [switch for switch in SWITCHES if switch.name in SHORT]
    outcomes = {switch.name: (switch, outcome) for switch, outcome in try_switches(switches)}
    assert len(outcomes) == len(SHORT)
    for switch, outcome in outcomes.values():
        assert bool(outcome.changed) == switch.changes_bits, (switch.name, outcome.changed)
    digests = [outcome.digest for _, outcome in outcomes.values()]
    assert len(set(digests)) == len(SHORT)


@x86
def test_an_unexpected_outcome_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    switch = Switch("a switch", changes_bits=False)
    monkeypatch.setattr(audit, "try_switches", lambda: [(switch, Outcome("00", ["mm"]))])
    lines: list[str] = []
    assert audit_switches(lines.append) == 1
    assert lines == ["UNEXPECTED     1 changed  a switch: mm"]
