"""Which sizes of a new study its pictures have room for, told by their number before any cell runs.

Copies and pictures that cannot be read are found later, when the pictures are listed.
"""

from bisect import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stages.core.counts import counted
from stages.core.errors import DataError, ParamsError
from stages.core.sections import Subset
from stages.datasets import open_collection
from stages.datasets.selection import require_enough
from stages.studies.run.pools import is_here, located
from stages.studies.spec.study_config import StudyConfig


@dataclass(frozen=True)
class Room:
    """The sizes that the pictures have no room for, how many can train, and a clause on that."""

    too_large: Sequence[str] = ()
    most: int = 0
    told: str = ""


def room_for(form: StudyConfig) -> Room:
    """Hold the sizes of a form against its pictures; all pass where the pictures are not here.

    Raises DataError for a folder that cannot be read as a data set, and for one that has too few
    pictures for any size.
    """
    at = {cell.size: form.params(cell) for cell in form.cells}
    params = next(iter(at.values()))
    if not is_here(located(params.dataset)):
        return Room()
    images = Counter(open_collection(located(params.dataset)).splits)
    subset, total = params.subset, images.total()
    require_enough(subset.model_copy(update={"train": "full"}), images)
    most = bisect(
        range(1, total + 1),
        False,
        key=lambda count: not _fits(subset.model_copy(update={"train": count}), images),
    )
    too_large = [size for size, own in at.items() if not _fits(own.subset, images)]
    others = "test" if subset.val == 0 else "test and validate"
    pictures = f"{counted(total, 'picture')} in {params.dataset.folder}"
    return Room(too_large, most, f"of the {pictures} {most:,} can train, the others {others}")


def refuse_too_large(room: Room) -> None:
    """Raise ParamsError for sizes, named by the user, that the pictures have no room for."""
    if room.too_large:
        raise ParamsError(
            f"--sizes names {', '.join(room.too_large)}, but {room.told}. Name counts from 1 to "
            f"{room.most}, shares that come to so many, or full."
        )


def _fits(subset: Subset, images: Mapping[str, int]) -> bool:
    try:
        require_enough(subset, images)
    except DataError:
        return False
    return True
