"""Which sizes of a new study its pictures have room for, told by their number before any cell runs.

Copies and pictures that cannot be read are found later, when the pictures are listed.
"""

from bisect import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stages.core.counts import counted
from stages.core.errors import DataError, ParamsError
from stages.core.sections import Subset
from stages.datasets import open_collection
from stages.datasets.class_checks import refuse_single_images
from stages.datasets.pool import pool_of
from stages.datasets.selection import require_enough
from stages.studies.run.pools import is_here, located
from stages.studies.spec.study_config import StudyConfig


@dataclass(frozen=True)
class Room:
    """The sizes that the pictures do not allow, the counts that they do, and a clause on that.

    `twins` are sizes that come to as many images as a later one, with that.
    """

    unfit: Sequence[str] = ()
    twins: Mapping[str, str] = field(default_factory=dict)
    least: int = 0
    most: int = 0
    told: str = ""


def room_for(form: StudyConfig) -> Room:
    """Hold the sizes of a form against its pictures; all pass where the pictures are not here.

    Every class must train. Raises DataError for a folder that cannot be read as a data set, and for
    one that has too few pictures, in all or of a class, for any size.
    """
    at = {cell.size: form.params(cell) for cell in form.cells}
    params = next(iter(at.values()))
    if not is_here(located(params.dataset)):
        return Room()
    collection = open_collection(located(params.dataset))
    images, least = Counter(collection.splits), len(collection.classes)
    subset, total = params.subset, images.total()
    if not images["test"]:
        refuse_single_images(pool_of(collection, range(total), collection.names))
    require_enough(subset.model_copy(update={"train": "full"}), images)
    most = bisect(
        range(1, total + 1),
        False,
        key=lambda count: not _training(subset.model_copy(update={"train": count}), images),
    )
    if most < least:
        raise DataError(
            f"{counted(total, 'picture')} in {params.dataset.folder} are too few for {least} "
            f"classes: {most:,} can train. Add pictures, or remove classes."
        )
    trained = {size: _training(own.subset, images) for size, own in at.items()}
    unfit = [size for size, count in trained.items() if count < least]
    others = "test" if subset.val == 0 else "test and validate"
    pictures = f"{counted(total, 'picture')} in {params.dataset.folder}"
    return Room(
        unfit,
        _twins(trained),
        least,
        most,
        f"of the {pictures} {most:,} can train, the others {others}",
    )


def _twins(trained: Mapping[str, int]) -> dict[str, str]:
    """Which sizes come to as many images as a later one."""
    last = {count: size for size, count in trained.items()}
    return {size: last[count] for size, count in trained.items() if count and last[count] != size}


def refuse_unfit(room: Room) -> None:
    """Raise ParamsError for sizes, named by the user, that the pictures do not allow."""
    for size, other in room.twins.items():
        raise ParamsError(
            f"--sizes names {size} and {other}, which are as many pictures here. Leave one out."
        )
    if room.unfit:
        raise ParamsError(
            f"--sizes names {', '.join(room.unfit)}, but {room.told}. Name counts from "
            f"{room.least}, one per class where they are equal, to {room.most}, shares that come "
            "to so many, or full."
        )


def _training(subset: Subset, images: Mapping[str, int]) -> int:
    """How many images train; 0 where there are not enough."""
    try:
        return require_enough(subset, images)[0]
    except DataError:
        return 0
