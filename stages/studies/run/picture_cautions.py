"""What plan and status say of a study's pictures: draws that cannot be, and lists out of date."""

from stages.runs.schema import STUDY_PICTURES
from stages.studies.run.pictures import not_as_listed, unread
from stages.studies.spec.listed_pictures import told_without_a_draw, without_a_draw
from stages.studies.spec.study_config import StudyConfig


def why_not(form: StudyConfig) -> list[str]:
    """A sentence per reason why cells can never draw their images."""
    return told_without_a_draw(without_a_draw(form))


def about_pictures(form: StudyConfig) -> list[str]:
    """Notes on pictures that are others than were listed, or that nobody has looked at since."""
    if not (form.folder / STUDY_PICTURES).exists():
        return []
    said, listing = [], form.repro("-s", "pictures")
    if names := unread(form):
        said.append(
            f"Not read here as they lie now: the pictures of {', '.join(names)}. If they were "
            f"changed, cells are outdated that are counted here; to find out: {listing}"
        )
    return [*said, *changed_pictures(form)]


def changed_pictures(form: StudyConfig) -> list[str]:
    """A note on pictures that are others than were listed, which makes cells outdated."""
    listed = (form.folder / STUDY_PICTURES).exists()
    if not (names := not_as_listed(form) if listed else []):
        return []
    return [
        f"Others than were listed: the pictures of {', '.join(names)}. Cells are outdated that are "
        "counted here. To list them, or to be told why that is refused: "
        f"{form.repro('-s', 'pictures')}"
    ]
