"""Compare runs across machines: is it the same result, where does it first differ, does it matter?

A run is a git revision, a branch, an experiment from `dvc exp list`, a folder, a study's cell, or
`workspace`; several seeds on one machine are joined by commas and paired by seed. The verdict is
the strongest that can be proved: inputs differ, bit-identical, rounding-equivalent, statistically
equivalent, different, or not decided. Exit status 0 equivalent, 1 different, 2 not comparable or
not decided. Only what differs is printed; --json has everything. The work
is in `stages.comparison`.

  python -m stages.compare main origin/machine/mac
  python -m stages.compare main workspace --perturbed main-perturbed --html report/compare.html
  python -m stages.compare mac-1,mac-2,mac-3 cuda-1,cuda-2,cuda-3 --margin 0.3
  python -m stages.compare main origin/machine/mac --replay
"""

import argparse
import inspect
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from stages.comparison.options import parsed, require_sensible
from stages.core.cli import reporting_errors

if TYPE_CHECKING:
    from stages.comparison.analysis.compare_runs import Comparison
    from stages.comparison.analysis.findings import Verdict
    from stages.comparison.page.section import Section
    from stages.comparison.rerun.found import Replay
    from stages.runs.run import Run
    from stages.runs.sources import Source

NOT_COMPARABLE = 2


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, compare, print; the exit status.

    A user's mistake, and an error of the program, are not comparable either: status 2, so that a
    gate in CI never takes them for a difference.
    """
    arguments = parsed(argv, inspect.getdoc(sys.modules[__name__]) or "")
    outcome: list[int] = []

    def work() -> int:
        outcome.append(compare(arguments))
        return 0

    try:
        status = reporting_errors(work)
    except Exception:
        traceback.print_exc()
        return NOT_COMPARABLE
    if outcome:
        return outcome[0]
    return NOT_COMPARABLE if status == 1 else status


def compare(arguments: argparse.Namespace) -> int:
    """Read, compare and show. Raises RunError for what is no run or does not fit together."""
    from dataclasses import replace

    from stages.comparison.analysis.groups import require_perturbed
    from stages.comparison.analysis.matrix import worst_status
    from stages.comparison.analysis.outcome import with_replay
    from stages.core.errors import RunError
    from stages.runs.run import load_run
    from stages.runs.sources import open_source

    require_sensible(arguments)
    sources = [[open_source(name) for name in group.split(",")] for group in arguments.runs]
    groups = [[load_run(source) for source in group] for group in sources]
    perturbed = load_run(open_source(arguments.perturbed)) if arguments.perturbed else None
    if perturbed is not None:
        require_perturbed(groups[0][0], perturbed)
    if len(groups) > 2 and any(len(group) > 1 for group in groups):
        raise RunError(
            "More than two machines are compared by one run each: name no seeds joined by commas, "
            "or only two machines."
        )
    sections, statuses, again = _here([group[0] for group in sources], groups, arguments)
    if len(groups) == 1:
        _show_here(sources[0][0].name, sections, arguments)
        return worst_status(statuses)
    if len(groups) > 2:
        shown = _matrix([group[0] for group in groups], perturbed, sections, arguments)
        return worst_status([*shown, *statuses])
    found = _pair(groups[0], groups[1], perturbed, arguments, bool(again and again.tied))
    if again is not None:
        verdict = with_replay(found.verdict, again.fault, again.covers_all)
        found = replace(found, verdict=verdict)
    _show(found, sections, arguments)
    return worst_status([found.verdict.exit_status, *statuses])


def _here(
    sources: "Sequence[Source]", groups: "Sequence[Sequence[Run]]", arguments: argparse.Namespace
) -> "tuple[list[Section], list[int], Replay | None]":
    """What was asked to be computed on the present machine: sections, statuses and the replay."""
    sections: list[Section] = []
    statuses: list[int] = []
    again: Replay | None = None
    if not (arguments.replay or arguments.origin or arguments.save_ops):
        return sections, statuses, again
    from stages.comparison.rerun import local_rerun as here

    runs = [(source, group[0]) for source, group in zip(sources, groups, strict=True)]
    for source, _ in runs if arguments.origin or arguments.save_ops else runs[:2][-1:]:
        here.require_no_cell(source)
    if arguments.save_ops:
        sys.stderr.write(here.save_ops(sources[0], arguments.save_ops) + "\n")
    if arguments.replay:
        of, other = (runs[1], runs[0][1]) if len(runs) > 1 else (runs[0], None)
        section, again = here.local_replay(*of, arguments.replay_seconds, other)
        sections.append(section)
        statuses.append(here.rung_of(again).exit_status)
    if arguments.origin:
        log = None if arguments.origin is True else arguments.origin
        sections.append(here.local_origins(runs[0], runs[1] if len(runs) > 1 else None, log))
    return sections, statuses, again


def _pair(
    ours: "Sequence[Run]",
    theirs: "Sequence[Run]",
    perturbed: "Run | None",
    arguments: argparse.Namespace,
    tied: bool,
) -> "Comparison":
    from stages.comparison.analysis.compare_runs import compare_runs
    from stages.comparison.analysis.groups import pair_by_seed

    pairs = pair_by_seed(ours, theirs)
    a, b = pairs[0]
    return compare_runs(a, b, arguments.margin / 100, perturbed, pairs[1:], tied)


def _show(
    found: "Comparison", sections: "Sequence[Section]", arguments: argparse.Namespace
) -> None:
    from dataclasses import asdict

    from stages.comparison.page.sections import sections_of, title_of
    from stages.comparison.page.text import as_json

    def page() -> str:
        from stages.comparison.page.page import as_html  # brings matplotlib along

        return as_html(found, sections)

    value = as_json(found) | {"here": [asdict(section) for section in sections]}
    title, shown = title_of(found), [*sections_of(found), *sections]
    _put(arguments, value, title, shown, page, found.verdict)


def _show_here(name: str, sections: "Sequence[Section]", arguments: argparse.Namespace) -> None:
    """One run alone: what was computed with it on the present machine."""
    from dataclasses import asdict

    value = {"a": name, "here": [asdict(section) for section in sections]}
    title = f"{name} on this machine"
    _put(arguments, value, title, sections, lambda: _page(title, sections))


def _matrix(
    records: "Sequence[Run]",
    perturbed: "Run | None",
    sections: "Sequence[Section]",
    arguments: argparse.Namespace,
) -> list[int]:
    from dataclasses import asdict

    from stages.comparison.analysis.matrix import compare_all
    from stages.comparison.page.overview import TITLE, overview
    from stages.comparison.page.text import verdict_as_json

    pairs = compare_all(records, arguments.margin / 100, perturbed)
    shown = [*overview(pairs, records), *sections]
    value = {
        "pairs": [verdict_as_json(pair) for pair in pairs],
        "here": [asdict(section) for section in sections],
    }
    _put(arguments, value, TITLE, shown, lambda: _page(TITLE, shown))
    return [pair.exit_status for pair in pairs]


def _page(title: str, sections: "Sequence[Section]") -> str:
    from stages.comparison.page.page import page_of

    return page_of(title, sections)


def _put(
    arguments: argparse.Namespace,
    value: object,
    title: str,
    sections: "Sequence[Section]",
    page: "Callable[[], str]",
    verdict: "Verdict | None" = None,
) -> None:
    """Print the answer in the form that was asked for, and write the page."""
    import json

    from stages.comparison.page.terminal import as_text
    from stages.comparison.page.text import as_markdown, finite
    from stages.comparison.page.wording import sentence_of
    from stages.core.files import write_text

    if arguments.json:
        text = json.dumps(finite(value), indent=2, allow_nan=False) + "\n"
    elif arguments.md:
        text = as_markdown(title, sections, sentence_of(verdict) if verdict else "")
    else:
        text = as_text(title, sections, verdict)
    sys.stdout.write(text)
    if arguments.html:
        write_text(arguments.html, page())


if __name__ == "__main__":
    sys.exit(main())
