"""What a reader must know before believing a study's page: what is missing, left out, diverged,
unverified, or run in place of the source's own.
"""

from stages.core.counts import counted
from stages.studies.analysis.results import Results
from stages.studies.run.checks import checks_of, checks_told
from stages.studies.run.code import code_note
from stages.studies.run.machine import changed_weights
from stages.studies.run.picture_cautions import changed_pictures
from stages.studies.spec.listed_pictures import UNFETCHED, listed_pictures, noted_pictures
from stages.studies.spec.names import kind_of
from stages.studies.spec.study_config import StudyConfig


def notes(form: StudyConfig, results: Results) -> list[str]:
    """All there is to know, a sentence or two each."""
    return [
        *_missing(form, results),
        *changed_pictures(form),
        *changed_weights(form),
        *_of_pictures(form),
        *_left_out(form, results),
        *_diverged(results),
        *_checked(form, results),
        *_several_makers(form, results),
        *_first_layers(results),
        *_in_place(form),
        *_small(form),
    ]


def _missing(form: StudyConfig, results: Results) -> list[str]:
    ran = set(results.cells["cell"])
    missing = [cell.name for cell in form.cells if cell.name not in ran]
    be = "is" if len(missing) == 1 else "are"
    return [f"{len(missing)} of {len(form.cells)} runs {be} still missing."] if missing else []


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


def _left_out(form: StudyConfig, results: Results) -> list[str]:
    """Runs of other parameters or pictures than the study's present ones."""
    said = []
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
    return said


def _diverged(results: Results) -> list[str]:
    rows = results.cells[results.cells["status"] == "diverged"].to_dict("records")
    return [f"{row['cell']} {row['why']}; it has no accuracy." for row in rows]


def _checked(form: StudyConfig, results: Results) -> list[str]:
    """What spot checks found, and which runs other code made that none has verified."""
    cells = results.cells.to_dict("records")
    checks = checks_of(form, cells)
    verified = {(check["cell"], check["made_on"]) for check in checks if check["verified"]}
    codes = [
        (row["cell"], row["code"] if isinstance(row["code"], str) else None)
        for row in cells
        if (row["cell"], row["machine"]) not in verified
    ]
    note = code_note(form, codes, len(cells) - len(codes))
    return [*checks_told(checks), *([note] if note else [])]


def _several_makers(form: StudyConfig, results: Results) -> list[str]:
    makers = results.finished["machine"].value_counts()
    if not form.any_machine or len(makers) < 2:
        return []
    told = ", ".join(f"{count} by DNA {machine}" for machine, count in makers.items())
    return [
        f"Several machines made the runs: {told}. No mean, interval or time is of runs of two, "
        "for runs do not record what would show that two machines differ by rounding alone."
    ]


def _first_layers(results: Results) -> list[str]:
    """What the backbones begin with, of those whose beginning depends on the input's size."""
    cells = results.finished
    if "first_layers" not in cells or not cells["first_layers"].any():
        return []
    several = cells.groupby("model")["first_layers"].nunique() > 1
    told: dict[str, dict[str, None]] = {}
    for model, recipe, layers in cells[["model", "recipe", "first_layers"]].itertuples(index=False):
        name = f"{model} {recipe}" if several[model] else model
        told.setdefault(layers, {})[name] = None
    parts = [f"{', '.join(names)} ({layers})" for layers, names in told.items() if layers]
    return [f"First layers as they ran: {'; '.join(parts)}."]


def _in_place(form: StudyConfig) -> list[str]:
    """Which models and how many images run here in place of the source's."""
    models, images = [], []
    for ours, theirs in form.file.stands_for.items():
        if kind_of(str(ours), form) == "size":
            images.append(f"{_size(str(ours))} in place of {_size(str(theirs))}")
        else:
            models.append(f"{ours} runs in place of {theirs}")
    if images:
        models.append(f"training images are {', '.join(images)}")
    return [f"Here {' and '.join(models)}; claims keep the source's words."] if models else []


def _size(size: str) -> str:
    return "all" if size == "full" else f"{int(size):,}" if size.isdigit() else size


def _small(form: StudyConfig) -> list[str]:
    if form.name == form.study:
        return []
    return [
        "This is the small form of the study, minutes of training on a fraction of the "
        "images: it shows that the study runs and which way it leans. Its accuracies are far "
        "below those of full training and must not be held against published ones."
    ]
