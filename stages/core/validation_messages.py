"""Validation mistakes in plain words: the key, its value, what is allowed, the nearest spelling.

Turns pydantic's error details into paragraphs.
"""

import difflib
import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails, PydanticCustomError

Schema = dict[str, Any]
SHOWN_CHARACTERS = 60
MEANT = {("device", "gpu"): "auto, cuda or mps"}
"""By key and value, what is meant by what is spelt otherwise."""


def explain(detail: ErrorDetails, root: type[BaseModel]) -> str:
    """One mistake that pydantic found in `root`, as one paragraph without the file's name."""
    if detail["type"] == "conflict":
        return detail["msg"] + "."
    known = _keys_of(root)
    if detail["type"] in ("extra_forbidden", "invalid_key"):
        return _unknown_key(detail, known)
    # Rows of a list and branches of a union (`int`, `literal[…]`) follow the key: leave them out.
    keys = [str(part) for part in detail["loc"]]
    while keys and ".".join(keys) not in known:
        keys.pop()
    key = ".".join(keys)
    schema = known.get(key, {})
    allowed = detail["msg"] if detail["type"] == "amount" else _in_words(schema)
    meant = MEANT.get((key, str(detail["input"]).lower()))
    nearest = meant or nearest_name(str(detail["input"]), _choices(schema))
    if nearest and schema.get("type") == "array" and keys[-1] == str(detail["loc"][-1]):
        nearest = f"[{nearest}]"  # the value itself was to be a list, not a row of it
    hint = f"; did you mean {nearest}" if nearest else ""
    return f"`{key}` is {shown(detail['input'])}; allowed is {allowed}{hint}."


def conflict(text: str) -> PydanticCustomError:
    """The error of values that cannot be meant together; `text` is a sentence without its stop."""
    return PydanticCustomError("conflict", text)


def shown(value: Any) -> str:
    """A value as in a parameter file, cut when it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def nearest_name(word: str, known: Iterable[str]) -> str | None:
    """The most similar of the known names, capitals aside; None when none is similar."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def unknown_name(key: str, value: str, known: Iterable[str]) -> str:
    """The sentence for a name that is not in a table."""
    names = sorted(known)
    nearest = nearest_name(value, names)
    hint = f"Did you mean {nearest}? " if nearest else ""
    return f"`{key}` is {shown(value)}. {hint}Allowed is one of {', '.join(names)}"


def _unknown_key(detail: ErrorDetails, known: dict[str, Schema]) -> str:
    """The paragraph for a key that no section has: misspelt, in the wrong section, or no text."""
    keys = [str(part) for part in detail["loc"]]
    given = f", given as {shown(detail['input'])},"
    if detail["type"] == "invalid_key":  # YAML took it for a number or for true
        keys[-1], given = shown(detail["input"]), ""
    key, parent = ".".join(keys), ".".join(keys[:-1])
    siblings = {_last(name): name for name in known if name.rpartition(".")[0] == parent}
    anywhere = {_last(name): name for name in reversed(known)}
    nearest = (
        anywhere.get(keys[-1])
        or siblings.get(nearest_name(keys[-1], siblings) or "")
        or anywhere.get(nearest_name(keys[-1], anywhere) or "")
    )
    hint = f"Did you mean `{nearest}`? " if nearest else ""
    where = f"under `{parent}`" if parent else "at the top"
    return f"`{key}`{given} is not a key. {hint}Known {where} are {', '.join(sorted(siblings))}."


def _last(key: str) -> str:
    return key.rpartition(".")[2]


@cache
def _keys_of(section: type[BaseModel], prefix: str = "") -> dict[str, Schema]:
    """Every dotted key of the file, with the JSON schema of its value."""
    found: dict[str, Schema] = {}
    schema = section.model_json_schema()
    for name, field in section.model_fields.items():
        key = prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found[key] = {"description": "a mapping of keys"}
            found |= _keys_of(field.annotation, f"{key}.")
        else:
            found[key] = schema["properties"][name]
    return found


def _choices(schema: Schema) -> list[str]:
    """The words that a value may be."""
    options = [choice for option in schema.get("anyOf", []) for choice in _choices(option)]
    own = [*schema.get("enum", []), schema.get("const"), *schema.get("examples", [])]
    rows = _choices(schema["items"]) if "items" in schema else []
    return [choice for choice in own if isinstance(choice, str)] + options + rows


def _in_words(schema: Schema) -> str:
    """A JSON schema fragment as a phrase; a description says it best."""
    if "description" in schema:
        return str(schema["description"])
    if "anyOf" in schema:
        return " or ".join(_in_words(option) for option in schema["anyOf"])
    if "enum" in schema:
        return "one of " + ", ".join(str(choice).lower() for choice in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    kind = str(schema.get("type", "any value"))
    if kind == "array":
        rows = _in_words(schema["items"])
        return f"a list, such as [a, b], of {rows}".replace(" of one of ", " of: ")
    words = {"integer": "a whole number", "number": "a number", "string": "text",
             "boolean": "true or false", "null": "null"}.get(kind, kind)  # fmt: skip
    bounds = [
        f"{sign} {schema[name]}"
        for name, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"),
                           ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if name in schema
    ]  # fmt: skip
    empty = ["that is not empty"] if schema.get("minLength") else []
    return " ".join([words, *empty, " and ".join(bounds)]).strip()
