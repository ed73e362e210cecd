"""The first screen of a study's page: the answer, the tiles, and what ran where."""

from collections.abc import Sequence
from dataclasses import replace

from stages.pages.blocks import Tile
from stages.pages.formatting import device_name, duration
from stages.studies.analysis.results import Results
from stages.studies.page.section import Section
from stages.studies.page.verdicts import Judged, claims_tile
from stages.studies.spec.study_config import StudyConfig


def lead(form: StudyConfig, results: Results, sections: Sequence[Section]) -> str:
    """Which form was run, on what, where."""
    which = "small form" if form.name != form.study else "full form"
    if not sections:
        if results.outdated or results.elsewhere:
            return f"{which.capitalize()}; no cell is of the present parameters and pictures."
        return f"{which.capitalize()}; no cell has finished yet."
    machines = results.makers
    facts = results.machines[machines[0]]
    device = device_name(facts)
    where = (
        f"{device} ({facts.get('backend')}), hardware DNA {machines[0]} (the id of its processor, "
        "system, PyTorch and arithmetic)"
    )
    others = len(machines) - 1
    more = f" and {others} more machine{'s' if others > 1 else ''}" if others else ""
    names = [str(found.shown["name"]) for found in sections]
    if len(sections) == 1:
        names = [str(sections[0].view.cells["dataset"].iloc[0])]
    told = zip(names, map(_images, sections), strict=True)
    data = "; ".join(f"{name}: {images}" for name, images in told)
    return f"{which.capitalize()} on {data}, run on {where}{more}."


def answers_of(sections: Sequence[Section]) -> list[str]:
    """Who is best, a sentence per data set."""
    return [_named(found, found.answer, sections) for found in sections]


def elsewhere(sections: Sequence[Section]) -> list[str]:
    """Whether the answer holds on the other machines, a sentence per data set and machine."""
    return [
        _named(found, one.sentence, sections)
        for found in sections
        for one in found.shown["compared"]
    ]


def _named(found: Section, sentence: str, sections: Sequence[Section]) -> str:
    return sentence if len(sections) == 1 else f"{found.shown['name']}: {sentence}"


def tiles(
    form: StudyConfig, results: Results, sections: Sequence[Section], judged: Judged
) -> list[Tile]:
    """Who is best on each data set, for which use, how the claims stand, what has run.

    With several data sets their uses stand at the head of their own sections.
    """
    if len(sections) == 1:
        shown = [sections[0].leader, *sections[0].uses]
    else:
        shown = [
            replace(found.leader, label=f"{found.shown['name']}, {found.leader.label}")
            for found in sections
        ]
    if claims := claims_tile(judged):
        small = form.name != form.study
        shown.append(
            replace(claims, label=f"{claims.label} in the small form") if small else claims
        )
    done = len(set(results.cells["cell"]))
    machines = results.cells["machine"].nunique()
    seconds = results.cells["took_seconds"].sum() if done else None
    took = f"on {machines} machines" if machines > 1 else f"{duration(seconds)} in all"
    shown.append(Tile("runs", f"{done} of {len(form.cells)}", took))
    return shown


def _images(found: Section) -> str:
    sizes = " / ".join(f"{images:,}" for images in found.view.sizes)
    tests = int(found.view.cells["test_images"].max())
    return f"{sizes} training and {tests:,} test images"
