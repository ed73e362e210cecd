"""What the folders around pictures mean: splits in their usual spellings, and classes.

    train/<class>/*  and  test/<class>/*        two parts, kept apart; `val` may stand beside them
    <class>/*                                   one pool; the test part is drawn by seed

Everything may lie in further folders, as archivers make them, also within each part.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from stages.core.counts import first_few
from stages.core.errors import DataError
from stages.datasets.split_names import role_of, words_of

LAYOUT = "train/<class>/* with test/<class>/*, or <class>/* alone"
Parts = list[list[str]]


@dataclass(frozen=True)
class Layout:
    """`parts` are the pictures' names by folder, with `train`, `test` or `val` first if split.

    `splits` and `classes` are those of each picture; `notes` what was read out of the folders.
    """

    parts: Parts
    splits: list[str]
    classes: list[str]
    notes: list[str]


def layout_of(parts: Parts, where: str) -> Layout:
    """Read splits and classes out of the folders.

    Raises DataError when pictures lie outside class folders, for less than two classes, for other
    classes in one part than in another, for what could mean either, and for what would be read
    otherwise on other systems.
    """
    names = ["/".join(part) for part in parts]
    parts, around = _without_wrapper(parts)
    tops = {part[0] for part in parts}
    roles = _roles(tops)
    notes = _notes_on_wrapper(around)
    if not _are_splits(roles, tops, where):
        owners = _class_names(parts, 0, names, where)
        _refuse_splits_within(parts, roles, where)
        return Layout(parts, ["any"] * len(parts), owners, notes + _notes_on_inner(parts, 0))
    roles, said = _with_a_test(roles)
    notes += said
    notes += [
        f"The folder {top} is taken for {roles[top]}" for top in sorted(roles) if top != roles[top]
    ]
    if "val" in roles.values():
        notes.append("The official validation split validates; none is drawn from train")
    parts = [[roles[part[0]], *part[1:]] for part in parts]
    parts = _without_inner_wrappers(parts)
    owners = _class_names(parts, 1, names, where)
    splits = [part[0] for part in parts]
    require_equal_classes(owners, splits, where)
    return Layout(parts, splits, owners, notes + _notes_on_inner(parts, 1))


def _roles(tops: set[str]) -> dict[str, str]:
    """The folders among `tops` that mean a split."""
    words = [{word.casefold() for word in words_of(top)} for top in tops]
    common = set.intersection(*words) if len(tops) > 1 else set()
    found = {top: role_of(top, common) for top in tops}
    return {top: role for top, role in found.items() if role}


def _are_splits(roles: dict[str, str], tops: set[str], where: str) -> bool:
    """Whether the first folders are splits; one of them alone among others is a class."""
    found, others = set(roles.values()), tops - roles.keys()
    if len(roles) < 2 or (others and not {"train"} < found):
        return False
    if others:
        raise DataError(
            f"{where} has {listed(others)} beside {listed(set(roles))}. Move them away, so that "
            f"the folder is {LAYOUT}."
        )
    if len(found) < len(roles):
        raise DataError(
            f"{where} has {listed(tops)}, of which two mean the same. Keep one of each, so that "
            f"the folder is {LAYOUT}."
        )
    if "train" not in found:
        raise DataError(
            f"{where} has {listed(tops)} but no train folder. Rename the one that the model is to "
            f"be trained with, so that the folder is {LAYOUT}."
        )
    return True


def _refuse_splits_within(parts: Parts, roles: dict[str, str], where: str) -> None:
    """Raise DataError where what would be classes has splits in it, or has one among parts."""
    inner: dict[str, set[str]] = {}
    for part in parts:
        inner.setdefault(part[0], set()).update(part[1:2] if len(part) > 2 else [])
    for top, folders in sorted(inner.items()):
        found = {name for name in folders if role_of(name)}
        if {"train"} < {role_of(name) for name in found}:
            raise DataError(
                f"{where} has splits within the class {top}: {listed(found)}. Turn them around, so "
                f"that the folder is {LAYOUT}."
            )
    if _look_like_parts(inner, roles):
        others = inner.keys() - roles or set(inner)
        beside = f" beside {listed(set(roles))}" if others < inner.keys() else ""
        raise DataError(
            f"{where} has {listed(others)}{beside}: they look like parts and no classes, but not "
            "like one part of each kind. Keep one folder for each, so that the folder is "
            f"{LAYOUT}; or if they are classes, say so in a table: `dataset.labels` (docs/data.md)."
        )


def _look_like_parts(inner: "dict[str, set[str]]", roles: dict[str, str]) -> bool:
    """Whether folders that were not taken for splits are no classes either: beside one that is
    named as a split all have the same folders in them, or it alone has some (`train/cat`,
    `train/dog` and `unlabeled`), or several are named so but for numbers (`train.X1`, `train.X2`).
    """
    named = {top for top in inner if _role_but_for_numbers(top)}
    divided = {top for top, folders in inner.items() if len(folders) > 1}
    if roles and len(set.intersection(*inner.values())) > 1:
        return True
    alone = divided == named and len(named) == 1
    return bool(divided & named) and (alone or len(named) > 1)


def _role_but_for_numbers(top: str) -> str | None:
    words = [word for word in words_of(top) if len(word) > 1 and not word.isdecimal()]
    return role_of(" ".join(words))


def _notes_on_inner(parts: Parts, depth: int) -> list[str]:
    """What to say of folders within classes."""
    inner = {"/".join(part[depth : depth + 2]) for part in parts if len(part) > depth + 2}
    return [f"Folders within a class are part of it: {listed(inner)}"] if inner else []


def _notes_on_wrapper(around: list[str]) -> list[str]:
    """What to say of folders around all classes, where they are many or would mean a split."""
    if around and role_of(around[-1]):
        return [
            f"There is no split beside {'/'.join(around)}: its pictures are one pool, of which a "
            "part tests"
        ]
    return [f"Classes are looked for below {'/'.join(around)}"] if len(around) > 1 else []


def _with_a_test(roles: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """A `val` without a `test` tests, as such folders are used, and what to say of it."""
    if "test" in roles.values():
        return roles, []
    note = (
        "There is no test folder: the validation folder tests, and validation is drawn from train"
    )
    return {top: "test" if role == "val" else role for top, role in roles.items()}, [note]


def _without_wrapper(parts: Parts) -> tuple[Parts, list[str]]:
    """Leave out folders around all classes, also a `train` without a `test`; and their names."""
    around: list[str] = []
    while len({part[0] for part in parts}) == 1 and min(map(len, parts)) > 2:
        around.append(parts[0][0])
        parts = [part[1:] for part in parts]
    return parts, around


def _without_inner_wrappers(parts: Parts) -> Parts:
    """Leave out a folder that is around all classes within each split, or is named as its split."""
    inner: dict[str, set[str]] = {}
    for part in parts:
        inner.setdefault(part[0], set()).add(part[1] if len(part) > 3 else "")
    single = {split for split, names in inner.items() if len(names) == 1 and names != {""}}
    if single != inner.keys():
        single = {split for split in single if role_of(min(inner[split])) == split}
    return [[part[0], *part[2:]] if part[0] in single else part for part in parts]


def _class_names(parts: Parts, depth: int, names: list[str], where: str) -> list[str]:
    """The class of each picture: its folder at `depth`; `names` are as they lie there."""
    strays = {name for part, name in zip(parts, names, strict=True) if len(part) < depth + 2}
    if strays:
        raise DataError(
            f"{where} has pictures that lie in no class folder: {listed(strays)}. Move them into "
            f"one, so that the folder is {LAYOUT}."
        )
    owners = [part[depth] for part in parts]
    if alike := spelled_alike(owners):
        raise DataError(
            f"{where} has class folders that differ in upper and lower case or in spaces alone: "
            f"{listed({repr(name) for name in alike})}. On macOS and Windows they may be one "
            "folder, so the classes would depend on the system. Give them one spelling, or names "
            "that differ in more."
        )
    if len(set(owners)) < 2:
        raise DataError(
            f"{where} has one class, {owners[0]}; at least two are needed to tell apart. Give each "
            f"class its folder: {LAYOUT}."
        )
    return owners


def spelled_alike(owners: Sequence[str]) -> set[str]:
    """The classes that differ from another in upper and lower case or in spaces alone."""
    spelled = {owner: " ".join(owner.casefold().split()) for owner in set(owners)}
    counts = Counter(spelled.values())
    return {owner for owner, spelling in spelled.items() if counts[spelling] > 1}


def require_equal_classes(owners: Sequence[str], splits: Sequence[str], where: str) -> None:
    """Raise DataError unless train and test have the same classes, and val no others."""
    found: dict[str, set[str]] = {}
    for split, owner in zip(splits, owners, strict=True):
        found.setdefault(split, set()).add(owner)
    in_train = found["train"]
    for split in ("test", "val"):
        if split in found and (
            found[split] - in_train or (split == "test" and in_train - found[split])
        ):
            raise DataError(
                f"{where} has other classes in train than in {split}: "
                f"{listed(in_train ^ found[split])} in one alone. Give both the same classes, with "
                "pictures in each."
            )


def listed(names: set[str]) -> str:
    """The first few names and how many more there are."""
    return first_few(sorted(names), 10)
