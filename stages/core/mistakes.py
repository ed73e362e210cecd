"""Validation mistakes in plain words: the key, its value, what is allowed, the nearest spelling.

Turns pydantic's error details into paragraphs. Leaves the schema itself to `core.params`.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails


def explain(detail: ErrorDetails, root: type[BaseModel]) -> str:
    """One mistake that pydantic found in `root`, as one paragraph without the file's name."""
    if detail["type"] == "conflict":
        return detail["msg"] + "."
    # Branches of a union (`int`, `literal[…]`) are appended to the place: keep the keys alone.
    keys = [part for part in detail["loc"] if isinstance(part, int) or part.isidentifier()]
    known = _keys_of(root)
    while keys and detail["type"] != "extra_forbidden" and _dotted(keys) not in known:
        keys.pop()
    key = _dotted(keys)
    if detail["type"] == "extra_forbidden":
        parent = key.rpartition(".")[0]
        siblings = [name for name in known if name.rpartition(".")[0] == parent]
        by_last_part = {name.rpartition(".")[2]: name for name in known}
        nearest = nearest_name(key, known)
        if nearest is None and (last := nearest_name(str(keys[-1]), by_last_part)):
            nearest = by_last_part[last]
        hint = f"did you mean `{nearest}`? " if nearest else ""
        return f"`{key}` is not a key; {hint}Known here: {', '.join(sorted(siblings))}."
    allowed = _allowed(detail, known.get(key, ""))
    return f"`{key}` is {detail['input']!r}; allowed is {allowed}."


def _dotted(keys: list[Any]) -> str:
    return ".".join(str(part) for part in keys if not isinstance(part, int))


def _allowed(detail: ErrorDetails, described: str) -> str:
    """What a key accepts, in words, and the nearest spelling when it is a choice."""
    if detail["type"] == "amount":
        return str(detail["msg"])
    if detail["type"] == "literal_error":
        choices = re.findall(r"'([^']*)'", str(detail.get("ctx", {}).get("expected", "")))
        nearest = nearest_name(str(detail["input"]), choices)
        return described + (f"; did you mean {nearest}" if nearest else "")
    return described


def _keys_of(section: type[BaseModel], prefix: str = "") -> dict[str, str]:
    """Every dotted key of the file, with what it accepts in words."""
    found: dict[str, str] = {}
    schema = section.model_json_schema()
    for name, field in section.model_fields.items():
        key = prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found[key] = "a mapping of keys"
            found |= _keys_of(field.annotation, f"{key}.")
        else:
            found[key] = _in_words(schema["properties"][name])
    return found


def _in_words(schema: dict[str, Any]) -> str:
    """A JSON schema fragment as a phrase."""
    if "anyOf" in schema:
        return " or ".join(_in_words(option) for option in schema["anyOf"])
    if "enum" in schema:
        return "one of " + ", ".join(str(choice).lower() for choice in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "pattern" in schema:
        return "text of the form " + schema["pattern"].strip("^$").strip("()").replace("|", ", ")
    kind = schema.get("type", "any value")
    if kind == "array":
        return "a list of: " + _in_words(schema["items"]).removeprefix("one of ")
    words = {"integer": "a whole number", "number": "a number", "string": "text",
             "boolean": "true or false", "null": "null"}.get(kind, kind)  # fmt: skip
    bounds = [
        f"{sign} {schema[name]:g}"
        for name, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"),
                           ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if name in schema
    ]  # fmt: skip
    return " ".join([words, " and ".join(bounds)]).strip()


def nearest_name(word: str, known: Iterable[str]) -> str | None:
    """The most similar of the known names, or None when none is similar."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), None)


def unknown_name(key: str, value: str, known: Iterable[str]) -> str:
    """The sentence for a name that is not in a table."""
    names = sorted(known)
    nearest = nearest_name(value, names)
    hint = f"did you mean {nearest}? " if nearest else ""
    return f"`{key}` is {value!r}; {hint}Allowed is one of {', '.join(names)}"
