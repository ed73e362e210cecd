"""What a study calls its models, recipes and sizes: the words of claims and of reported figures."""

from stages.core.errors import ModelError
from stages.core.paths import STUDIES
from stages.studies.spec.study_config import SMALL, StudyConfig, load_study_config

KINDS = ("model", "recipe", "size")
Names = dict[str, set[str]]


def kind_of(word: str, form: StudyConfig) -> str | None:
    """Whether a word is a model, a recipe or a size of this form, else of the other one.

    A backbone that neither has is a model: it was taken out of the grid.
    """
    return (
        _kind(word, names_here(form))
        or _kind(word, _names_elsewhere(form))
        or ("model" if is_backbone(word) else None)
    )


def names_here(form: StudyConfig) -> Names:
    """By kind, what the form has, and what of the source that stands for."""
    grids = form.file.grids.values()
    found = {
        "model": {name for grid in grids for name in grid.models},
        "recipe": set(form.file.recipes),
        "size": {str(size) for grid in grids for size in grid.sizes},
    }
    for ours, theirs in form.file.stands_for.items():
        for names in found.values():
            if str(ours) in names:
                names.add(str(theirs))
    return found


def names_of(form: StudyConfig) -> Names:
    """By kind, what this form and the other one have."""
    here, elsewhere = names_here(form), _names_elsewhere(form)
    return {kind: here[kind] | elsewhere.get(kind, set()) for kind in KINDS}


def is_backbone(word: str) -> bool:
    """Whether a backbone is called so."""
    from stages.models import resolve  # imports torch, which a page has no other need of

    try:
        resolve(word)
    except ModelError:
        return False
    return True


def _names_elsewhere(form: StudyConfig) -> Names:
    """By kind, what the study's other form has; nothing where there is none."""
    other = form.study if form.name != form.study else f"{form.study}/{SMALL}"
    if not (STUDIES / other / "params.yaml").is_file():
        return {}
    return names_here(load_study_config(other))


def _kind(word: str, names: Names) -> str | None:
    return next((kind for kind, known in names.items() if word in known), None)
