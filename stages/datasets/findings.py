"""What was noticed of a data set, in sentences: what is not in it, how it was read, what is twice.

The pipeline and the studies tell it alike. Leaves noticing to `reading`, `near_duplicates` and
`selection`.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from stages.core.counts import counted

if TYPE_CHECKING:
    from stages.datasets.near_duplicates import Alike
    from stages.datasets.pool import Collection, Pool
    from stages.datasets.reading import Reading
    from stages.datasets.selection import Selection

LEFT_OUT = 20  # names of files that are left out for one reason
PAIRS = 5  # named in a sentence
Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Findings:
    """What came up while a data set was read, as JSON can hold it.

    `files` counts its images, readable or not; `left_out` has by reason how many files are no
    images and the `first` of their names; `skipped` has `name` and `reason` of each image that
    cannot be read.
    """

    files: int
    notes: list[str]
    left_out: dict[str, dict[str, Any]]
    skipped: list[dict[str, str]]

    def sentences(self, where: str) -> list[str]:
        """What a user must be told; `where` is the file that has the names."""
        said = list(self.notes)
        if self.left_out:
            left_out = sum(found["files"] for found in self.left_out.values())
            counts = ", ".join(f"{found['files']} {why}" for why, found in self.left_out.items())
            said.append(f"{counted(left_out, 'file')} left out ({counts}); {where} names some")
        if self.skipped:
            be = "is" if len(self.skipped) == 1 else "are"
            said.append(
                f"{len(self.skipped)} of {self.files} images cannot be read and {be} left out; "
                f"{where} names them"
            )
        return said


def findings_of(collection: "Collection", reading: "Reading", alike: "Alike") -> Findings:
    """Of a collection that was read, and what is alike in it."""
    notes = list(collection.notes)
    if twelve := reading.bits[12]:
        notes.append(
            f"{counted(twelve, 'image')} of 16 bits stay below 4,096 and are taken for 12-bit, "
            f"beside {reading.bits[16]} that use more"
        )
    left_out = {
        reason: {"files": len(names), "first": sorted(names)[:LEFT_OUT]}
        for reason, names in collection.left_out.items()
    }
    skipped = [asdict(image) for image in reading.skipped]
    return Findings(len(collection.names), [*notes, *alike.notes], left_out, skipped)


def near_duplicate_notes(leaks: Pairs, tested: int, conflicts: Pairs, where: str) -> list[str]:
    """What to say of near-duplicates across the splits and across classes; nothing for none.

    `leaks` are out of `tested` test images; `where` is the file that has all of them.
    """
    said = []
    if leaks:
        said.append(
            f"{len(leaks):,} of {counted(tested, 'test image')} with a near-duplicate, or a chain "
            "of them, among those that train or validate, which makes the accuracy look better "
            f"than it is: {_named(leaks, 'like', where)}"
        )
    if conflicts:
        said.append(
            f"{counted(len(conflicts), 'image')} with a near-duplicate under another class, so one "
            f"of the two labels is wrong or neither is: {_named(conflicts, 'like', where)}"
        )
    return said


def conflicts_in(pool: "Pool") -> Pairs:
    """Names of images whose content stands under more than one class: the first of two of them."""
    names: dict[str, dict[int, str]] = {}
    for digest, label, name in zip(pool.digests, pool.labels.tolist(), pool.names, strict=True):
        names.setdefault(digest, {}).setdefault(label, name)
    several = (list(one.values()) for one in names.values() if len(one) > 1)
    return [(one, other) for one, other, *_ in several]


def conflict_notes(pairs: Pairs, where: str) -> list[str]:
    """What to say of `conflicts_in` a pool; nothing for none. `where` is the file that has them."""
    if not pairs:
        return []
    does = ("occurs", "trains") if len(pairs) == 1 else ("occur", "train")
    return [
        f"{counted(len(pairs), 'image')} that {does[0]} under more than one class, and {does[1]} "
        f"under one at most: {_named(pairs, 'and', where)}"
    ]


def copy_notes(selection: "Selection") -> list[str]:
    """What to say of copies byte for byte, and what became of them; nothing for none."""
    said = []
    if apart := selection.duplicates_train_test:
        be = "is a copy" if apart == 1 else "are copies"
        said.append(
            f"{counted(apart, 'image')} to train or validate with {be} of ones that test or "
            "validate, byte for byte, and left out"
        )
    if again := selection.duplicates_within_train:
        second = counted(again, "second copy", "second copies")
        said.append(f"{second} byte for byte among images to train with, left out")
    if kept := selection.duplicates_within_test:
        second = counted(kept, "second copy", "second copies")
        said.append(f"{second} byte for byte among the test images, which all count")
    return said


def _named(pairs: Pairs, joined: str, where: str) -> str:
    shown = ", ".join(f"{one} {joined} {other}" for one, other in pairs[:PAIRS])
    return shown + (f" and more, all in {where}" if len(pairs) > PAIRS else "")
