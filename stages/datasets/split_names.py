"""Names of folders that mean a split, in their usual spellings.

Leaves what the folders around pictures mean together to `layout`.
"""

import re
import unicodedata

ROLES = {
    "train": {"train", "training"},
    "test": {"test", "testing"},
    "val": {"val", "valid", "validation", "dev"},
}
FILLERS = {"set", "data", "dataset", "images", "imgs", "pictures", "split", "folder"}
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def role_of(name: str, common: "set[str] | frozenset[str]" = frozenset()) -> str | None:
    """The split that a folder's name means (`Training`, `seg_train`, `test-set`), or None.

    `common` are words that all the folders beside it have too.
    """
    words = {word.casefold() for word in words_of(name)}
    left = {word.removesuffix("set") or word for word in words - common - FILLERS}
    return next((role for role, names in ROLES.items() if len(left) == 1 and left <= names), None)


def words_of(name: str) -> list[str]:
    """Its words and numbers: `seg_train2` and `segTrain2` are three. Capitals within a word divide
    it between ASCII letters alone.
    """
    told = unicodedata.normalize("NFC", name)
    return re.findall(r"\d+|[^\W\d_]+", _CAMEL.sub(" ", told))
