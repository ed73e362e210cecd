"""Spot checks of a study's cells, as `verified.json` keeps them and plan and page tell them.

A check holds for the record that it was made of; a cell that was made anew since has none.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from stages.comparison.analysis.findings import Rung
from stages.core.paths import work_folder
from stages.core.records import read_record, write_record
from stages.pages.formatting import device_name
from stages.studies.spec.study_config import StudyConfig

Check = dict[str, Any]
"""`cell`, the machine `made_on` and the record's `params_id` and `weights_hash`; the `machine` and
`commit` of the repetition, its `result` in words, `told` in a sentence, and whether `verified`."""


def add_check(form: StudyConfig, check: Check) -> None:
    """Keep a check in place of an earlier one of the same record on the same machine."""
    lock = work_folder() / "studies" / "verified.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):  # two of `verify` at once would lose what the other one adds
        kept = [one for one in _read(form) if _place(one) != _place(check)]
        write_record(_path(form), {"checks": sorted([*kept, check], key=_place)})


def checks_of(form: StudyConfig, rows: Sequence[Mapping[Any, Any]]) -> list[Check]:
    """The checks of records as they stand: `rows` are `analysis.results.Results.cells`."""
    present = {(row["cell"], row["machine"], row["params_id"]): row for row in rows}
    return [
        check
        for check in _read(form)
        if (row := present.get((check["cell"], check["made_on"], check["params_id"])))
        and check["weights_hash"] in (None, row.get("weights_hash"))
    ]


def checks_told(checks: Sequence[Check]) -> list[str]:
    """A sentence per machine and commit that repeated cells, and one per cell that did not hold."""
    groups: dict[tuple[str, str], list[Check]] = {}
    for check in checks:
        groups.setdefault((check["machine"]["id"], check["commit"]), []).append(check)
    said = []
    for (machine, commit), drawn in groups.items():
        facts, verified = drawn[0]["machine"], [check for check in drawn if check["verified"]]
        device = device_name(facts)
        results = sorted({check["result"] for check in verified})
        how = f" ({', '.join(results)})" if results else ""
        said.append(
            f"{len(verified)} of {len(drawn)} drawn cells verified{how} on {device} "
            f"({facts.get('backend')}), hardware DNA {machine}, at commit {commit}."
        )
        said += [
            f"{check['cell']} {_refused(check)}: {check['told']}"
            for check in drawn
            if not check["verified"]
        ]
    return said


def _refused(check: Check) -> str:
    """Why a check is none: another machine that rounds otherwise may be unable to tell."""
    if check["result"] == Rung.UNDECIDED.words and check["machine"]["id"] != check["made_on"]:
        return f"was made on DNA {check['made_on']}, and this machine cannot tell"
    return "was not verified"


def _place(check: Check) -> tuple[str, str, str]:
    return check["cell"], check["made_on"], check["machine"]["id"]


def _path(form: StudyConfig) -> Path:
    return form.folder / "verified.json"


def _read(form: StudyConfig) -> list[Check]:
    return list(read_record(_path(form))["checks"]) if _path(form).exists() else []
