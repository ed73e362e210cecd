"""The first screen of a study's page: what ran where, what to know of it, and the answer."""

from collections.abc import Sequence
from dataclasses import replace

from stages.core.counts import counted
from stages.pages.blocks import Tile
from stages.pages.formatting import device_name, duration
from stages.studies.analysis.results import Results
from stages.studies.page.section import Section
from stages.studies.page.verdicts import Judged, claims_tile
from stages.studies.run.checks import checks_of, checks_told
from stages.studies.run.code import code_note
from stages.studies.run.machine import changed_weights
from stages.studies.run.picture_cautions import changed_pictures
from stages.studies.spec.listed_pictures import UNFETCHED, listed_pictures, noted_pictures
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


def notes(form: StudyConfig, results: Results) -> list[str]:
    """What a reader must know before believing the page."""
    said = []
    ran = set(results.cells["cell"])
    missing = [cell.name for cell in form.cells if cell.name not in ran]
    if missing:
        be = "is" if len(missing) == 1 else "are"
        said.append(f"{len(missing)} of {len(form.cells)} runs {be} still missing.")
    said += [*changed_pictures(form), *changed_weights(form), *_of_pictures(form)]
    if results.outdated:
        said.append(
            f"{counted(len(results.outdated), 'run')} of other parameters or pictures than now "
            f"{'is' if len(results.outdated) == 1 else 'are'} left out, such as "
            f"{results.outdated[0]}: {form.repro('-k')} makes them anew."
        )
    if results.elsewhere:
        be, them = ("is", "it") if len(results.elsewhere) == 1 else ("are", "them")
        said.append(
            f"{counted(len(results.elsewhere), 'run')} kept in `machines/` or of other revisions "
            f"{be} of other parameters or pictures than now and left out, such as "
            f"{results.elsewhere[0]}: make {them} anew on the machine that did, or delete {them}."
        )
    for row in results.cells[results.cells["status"] == "diverged"].to_dict("records"):
        said.append(f"{row['cell']} {row['why']}; it has no accuracy.")
    checks = checks_of(form, results.cells.to_dict("records"))
    said += checks_told(checks)
    verified = {(check["cell"], check["made_on"]) for check in checks if check["verified"]}
    codes = [
        (row["cell"], row["code"] if isinstance(row["code"], str) else None)
        for row in results.cells.to_dict("records")
        if (row["cell"], row["machine"]) not in verified
    ]
    if note := code_note(form, codes, len(results.cells) - len(codes)):
        said.append(note)
    makers = results.finished["machine"].value_counts()
    if form.any_machine and len(makers) > 1:
        told = ", ".join(f"{count} by DNA {machine}" for machine, count in makers.items())
        said.append(
            f"Several machines made the runs: {told}. No mean, interval or time is of runs of two, "
            "for runs do not record what would show that two machines differ by rounding alone."
        )
    if form.file.stands_for:
        said.append(f"{_in_place(form)}; claims keep the source's words.")
    if form.name != form.study:
        said.append(
            "This is the small form of the study, minutes of training on a fraction of the "
            "images: it shows that the study runs and which way it leans. Its accuracies are far "
            "below those of full training and must not be held against published ones."
        )
    return said


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


def _of_pictures(form: StudyConfig) -> list[str]:
    """What was noticed of the pictures when they were listed."""
    noted = noted_pictures(form)
    listed = listed_pictures(form)
    lost = [name for name in listed if listed[name] != UNFETCHED and name not in noted]
    said = [
        (f"{name}: " if len(noted) > 1 else "Of the pictures: ") + f"{note}."
        for name, found in noted.items()
        for note in found["notes"]
    ]
    if lost:
        said.append(
            f"What there is to know of {', '.join(lost)} is not noted: where the pictures are, "
            f"{form.repro('-s', 'pictures')} notes it."
        )
    return said


def _in_place(form: StudyConfig) -> str:
    """Which models and how many images run here in place of the source's."""
    models, images = [], []
    for ours, theirs in form.file.stands_for.items():
        if str(ours).isdigit():
            told = f"{int(theirs):,}" if str(theirs).isdigit() else "all"
            images.append(f"{int(ours):,} in place of {told}")
        else:
            models.append(f"{ours} runs in place of {theirs}")
    if images:
        models.append(f"training images are {', '.join(images)}")
    return f"Here {' and '.join(models)}"


def _images(found: Section) -> str:
    sizes = " / ".join(f"{images:,}" for images in found.view.sizes)
    tests = int(found.view.cells["test_images"].max())
    return f"{sizes} training and {tests:,} test images"
